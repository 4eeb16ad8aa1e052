"""Between a CLI and the proxy: it passes everything, and remembers what the CLI said, byte for byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tests.visitors import Visitors

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """One request. `headers` in their order and case. `body`: of a WebSocket's handshake, all that came after it."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Tap:
    """``async with Tap() as tap: tap.target = url … tap.url … tap.said()``."""

    def __init__(self) -> None:
        self.target = ""
        self._heard: list[bytearray] = []
        self._server: asyncio.Server | None = None
        self._visitors = Visitors()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._visitors.received_by(self._serve), "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._visitors.leave()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def said(self) -> list[Said]:
        """All requests, connection by connection."""
        return [each for heard in self._heard for each in _requests(bytes(heard))]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = bytearray()
        self._heard.append(heard)
        await joined(reader, writer, urlsplit(self.target).port or 80, heard)


async def joined(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, heard: bytearray | None = None
) -> None:
    """With whoever listens on that port here, until both have gone. `heard`: what is said there is added."""
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    heard = bytearray() if heard is None else heard
    await asyncio.gather(_pipe(reader, there_writer, heard), _pipe(there_reader, writer, bytearray()))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray) -> None:
    try:
        while data := await reader.read(PIECE_BYTES):
            heard += data
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # one of the two has gone: so does the other
    finally:
        writer.close()


def _requests(heard: bytes) -> list[Said]:
    requests = []
    while heard:
        head, _, rest = heard.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _version = first.split(" ")
        pairs = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        known = {name.lower(): value for name, value in pairs}
        if known.get("upgrade", "").lower() == "websocket":
            body, heard = rest, b""
        elif known.get("transfer-encoding", "").lower() == "chunked":
            body, heard = _unchunked(rest)
        else:
            length = int(known.get("content-length", "0"))
            body, heard = rest[:length], rest[length:]
        requests.append(Said(method, target, pairs, body))
    return requests


def _unchunked(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body += rest[:size]
        rest = rest[size + 2 :]
        if not size:
            return body, rest
