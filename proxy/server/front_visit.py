"""One request that the front has read, and the way back over its connection: `proxy.server.visit.Visit`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from proxy.server.answer import Answer, Writer
from proxy.server.express import Ride
from proxy.server.head import Head
from proxy.server.intake import Intake
from proxy.server.visit import CONTINUE, Peer


class Link(Protocol):
    """A client's connection."""

    transport: asyncio.Transport
    is_slow: bool
    peer: Peer
    local: Peer

    async def drain(self) -> None:
        """Raises ConnectionError when the client is gone."""
        ...

    def hand_on(self, request: bytes) -> None:
        """The connection is another's from here on, which begins with this request."""
        ...


class FrontVisit:
    """`ride`: how far it has come without an exchange, which nobody has taken over yet."""

    __slots__ = (
        "_front", "_unsent", "_writer", "content", "fields", "headers", "is_last", "local", "method", "path", "peer",
        "query", "ride", "target",
    )  # fmt: skip

    def __init__(self, front: Link, head: Head, content: Intake, ride: Ride | None = None) -> None:
        self._front = front
        self._writer = Writer(is_1_1=head.is_1_1, keeps_alive=head.keeps_alive, is_head=head.method == "HEAD")
        self._unsent = b""
        self.content = content
        self.ride = ride
        self.is_last = not head.keeps_alive
        self.method = head.method
        self.target = head.target
        self.path = head.path
        self.query: Mapping[str, str] = head.query
        self.headers: Mapping[str, str] = head.headers
        self.fields: Sequence[tuple[str, str]] = head.fields
        self.peer = front.peer
        self.local = front.local

    @property
    def is_gone(self) -> bool:
        return self._front.transport.is_closing()

    @property
    def is_slow(self) -> bool:
        return self._front.is_slow

    async def let_send(self) -> None:
        self._front.transport.write(CONTINUE)

    async def give(self, answer: Answer) -> None:
        self._before(answer)
        self._front.transport.write(self._writer.whole(answer))
        self.is_last = answer.is_last
        if self._front.is_slow:
            await self._front.drain()

    def _before(self, answer: Answer) -> None:
        if self._front.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        if self.is_last or not self.content.is_complete or self.content.is_overrun:
            answer.force_close()

    async def begin(self, answer: Answer) -> None:
        self._before(answer)
        self._unsent = self._writer.begin(answer)
        self.is_last = answer.is_last

    async def write(self, data: bytes) -> None:
        front = self._front
        if front.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        unsent, self._unsent = self._unsent, b""
        front.transport.write(unsent + self._writer.piece(data))
        if front.is_slow:
            await front.drain()

    can_send = True

    def send(self, data: bytes) -> bool:
        front = self._front
        if front.transport.is_closing():
            return False
        unsent, self._unsent = self._unsent, b""
        front.transport.write(unsent + self._writer.piece(data))
        return not front.is_slow

    async def end(self) -> None:
        unsent, self._unsent = self._unsent, b""
        self._front.transport.write(unsent + self._writer.end())
        if self._front.is_slow:
            await self._front.drain()

    def hand_on(self, content: bytes) -> None:
        """Somebody else answers it, over the same connection. `content`: of its body, what has come, in one piece.
        Nothing has been answered yet, and the body is not chunked.
        """
        lines = [f"{name}: {value}" for name, value in self.fields if name.lower() != "content-length"]
        length = len(content) + self.content.left  # a head that is known may tell of an earlier one
        head = "\r\n".join((f"{self.method} {self.target} HTTP/1.1", *lines, f"Content-Length: {length}", "", ""))
        self._front.hand_on(head.encode("utf-8", "surrogateescape") + content)

    def close_after(self) -> None:
        self.is_last = True

    def abort(self) -> None:
        self._front.transport.abort()
