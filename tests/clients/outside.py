"""The world beyond this machine, as programs find it: an egress proxy that lets nobody out and remembers who asked.

Whom a test plays itself is found under their own name (`ways`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

from tests.clients.tap import joined
from tests.visitors import Visitors

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Outside:
    """``async with Outside() as outside: … outside.environment … outside.asked``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """Request lines: ``CONNECT example.com:443 HTTP/1.1``; of those who were let nowhere."""
        self.ways: dict[str, int] = {}
        """Host → the port of whoever is it here."""
        self._server: asyncio.Server | None = None
        self._visitors = Visitors()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._visitors.received_by(self._answer), "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._visitors.leave()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def environment(self) -> dict[str, str]:
        url = self.url
        proxies = {name: url for each in ("http_proxy", "https_proxy", "all_proxy") for name in (each, each.upper())}
        return {**proxies, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            line, *_ = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace").splitlines()
            method, target, _ = line.split(" ")
            if method == "CONNECT" and (port := self.ways.get(target.partition(":")[0])) is not None:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await joined(reader, writer, port)
                return
            self.asked.append(line)
            writer.write(REFUSAL)
            await writer.drain()
