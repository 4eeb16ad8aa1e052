"""One request of a client, and the way back to whoever asked: what an exchange sees of a connection.

Two kinds: `proxy.server.front` reads and writes HTTP/1.1 itself; what it does not do (WebSockets, the management API)
comes through aiohttp, and looks the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from aiohttp import web

from proxy.server.answer import Answer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
Peer = tuple[str, int] | None
"""An address and a port; None: a socket without."""


class Source(Protocol):
    """A request's body."""

    def is_eof(self) -> bool:
        """All of it is there, read or not."""
        ...

    async def readany(self) -> bytes:
        """Nothing at the end only. Raises `BrokenBody`."""
        ...


class BrokenBody(Exception):
    """It is not framed as HTTP has it."""


class Visit(Protocol):
    """`target`: of the request, as it was sent; `path`: decoded. `fields`: the headers in their order and case."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> Mapping[str, str]: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def fields(self) -> Sequence[tuple[str, str]]: ...
    @property
    def peer(self) -> Peer: ...
    @property
    def local(self) -> Peer: ...
    @property
    def content(self) -> Source: ...

    @property
    def is_gone(self) -> bool:
        """Nobody is left to be told anything."""
        ...

    @property
    def is_slow(self) -> bool:
        """More was written than the client has read."""
        ...

    async def let_send(self) -> None:
        """100 Continue: the client waits with its body."""
        ...

    async def give(self, answer: Answer) -> None:
        """A whole one."""
        ...

    async def begin(self, answer: Answer) -> None:
        """One that is told piece by piece: `write`, `end`. Its head leaves with the first piece."""
        ...

    async def write(self, data: bytes) -> None:
        """Waits while the client does not read. Raises ConnectionError when it is gone."""
        ...

    @property
    def can_send(self) -> bool:
        """Whether there is `send`."""
        ...

    def send(self, data: bytes) -> bool:
        """As `write`, at once, and only where `can_send`. False: the client is slow, or gone."""
        ...

    async def end(self) -> None: ...

    def close_after(self) -> None:
        """Nothing more is read from this connection."""
        ...

    def abort(self) -> None:
        """The connection itself has to say that this is no end."""
        ...


class AiohttpVisit:
    """`Visit`. `request`: for those who need more of aiohttp."""

    def __init__(self, request: web.BaseRequest) -> None:
        self.request = request
        self.method = request.method
        self.target = request.raw_path
        self.headers = request.headers
        self.content = request.content
        self.peer = _pair(request.protocol.peername)
        self.local = _pair(request.protocol.sockname)
        self.response: web.StreamResponse | None = None

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query if self.request.query_string else {}

    @property
    def fields(self) -> Sequence[tuple[str, str]]:
        raw = self.request.raw_headers
        return [(name.decode(errors="replace"), value.decode(errors="replace")) for name, value in raw]

    @property
    def is_gone(self) -> bool:
        """A transport is closing for a moment before it is lost, and refuses what is written then."""
        return self.request.transport is None or self.request.transport.is_closing()

    @property
    def is_slow(self) -> bool:
        return self.request.protocol.writing_paused

    async def let_send(self) -> None:
        await self.request.writer.write(CONTINUE)
        self.request.writer.output_size = 0

    async def give(self, answer: Answer) -> None:
        """It is aiohttp's handler that sends it."""
        answer.is_begun = True
        self.response = web.Response(status=answer.status, headers=answer.headers, body=answer.body or b"")
        self._follow(answer, self.response)

    async def begin(self, answer: Answer) -> None:
        answer.is_begun = True
        self.response = web.StreamResponse(status=answer.status, headers=answer.headers)
        self._follow(answer, self.response)
        await self.response.prepare(self.request)

    def _follow(self, answer: Answer, response: web.StreamResponse) -> None:
        if answer.is_last:
            response.force_close()

    async def write(self, data: bytes) -> None:
        assert self.response is not None
        await self.response.write(data)

    can_send = False

    def send(self, data: bytes) -> bool:
        raise AssertionError(f"aiohttp writes when it may: {len(data)} bytes")

    async def end(self) -> None:
        assert self.response is not None
        await self.response.write_eof()

    def close_after(self) -> None:
        self.request.protocol.close()

    def abort(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()


def _pair(name: object) -> Peer:
    return (name[0], name[1]) if isinstance(name, tuple) else None
