"""The world beyond this machine, as the CLIs find it: an egress proxy that lets nobody out and remembers who asked."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

from tests.visitors import Visitors

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Outside:
    """``async with Outside() as outside: … outside.environment … outside.asked``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """Request lines: ``CONNECT example.com:443 HTTP/1.1``."""
        self._server: asyncio.Server | None = None
        self._visitors = Visitors()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._visitors.received_by(self._refuse), "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._visitors.leave()

    @property
    def environment(self) -> dict[str, str]:
        assert self._server is not None
        url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        proxies = {name: url for each in ("http_proxy", "https_proxy", "all_proxy") for name in (each, each.upper())}
        return {**proxies, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n")
            self.asked.append(head.decode(errors="replace").strip())
            writer.write(REFUSAL)
            await writer.drain()
