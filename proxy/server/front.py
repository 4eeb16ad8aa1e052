"""The clients' side of HTTP/1.1, as requests to models need it: read a head, take a body, write an answer.

aiohttp's server does that and much more, and takes 25 µs for a request of 1 KB beside what the sockets take; this takes
13. What needs more, a WebSocket or the management API, is handed on to aiohttp with the connection, before a byte of it
has been read (`proxy.server.connection`).

One task for each connection answers its requests one after the other; what a client sends ahead waits. Deadlines: for
a head, between two requests, and for whoever does not read; bodies have their own (`proxy.server.body`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from proxy.alarm import NEVER, Alarm
from proxy.server.answer import Answer, Writer
from proxy.server.connection import BUSY, STALL_BYTES_PER_SECOND_MIN, Gate, Patience
from proxy.server.head import END, HEAD_BYTES_MAX, BadHead, Head, HeadReader
from proxy.server.intake import Intake
from proxy.server.visit import CONTINUE, Peer
from proxy.wire.base import dumps

AHEAD_BYTES_MAX = 64 * 1024
"""Of requests that are sent before the one before them is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What all connections share. `answer`: one visit; raises CancelledError and ConnectionError only. `is_elsewhere`:
    whether a request is for the protocol that `elsewhere` makes.
    """

    answer: Callable[[FrontVisit], Awaitable[object]]
    is_elsewhere: Callable[[Head], bool]
    elsewhere: Callable[[], asyncio.Protocol]
    gate: Gate
    patience: Patience
    alarm: Alarm


class Front(asyncio.Protocol):
    """One connection of a client."""

    __slots__ = (
        "_drained", "_held", "_is_ahead", "_is_handed_on", "_is_lingering", "_loop", "_next", "_reader", "_reception",
        "_stalled_at", "_task", "_visit", "deadline", "is_slow", "local", "peer", "transport",
    )  # fmt: skip

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._loop = asyncio.get_running_loop()
        self._reader = HeadReader()
        self._held = b""
        self._visit: FrontVisit | None = None
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._stalled_at = 0
        self._is_ahead = self._is_lingering = self._is_handed_on = False
        self.is_slow = False
        self.deadline = NEVER
        self.peer: Peer = None
        self.local: Peer = None
        self.transport: asyncio.Transport

    # what the gate asks and tells

    @property
    def is_busy(self) -> bool:
        return self._visit is not None

    def force_close(self) -> None:
        self._is_lingering = True
        self.transport.close()

    def stop(self) -> asyncio.Task[None] | None:
        """The server ends: its task, to be waited for."""
        if self._task is not None:
            self._task.cancel()
        self.transport.abort()
        return self._task

    # what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.peer = _pair(transport.get_extra_info("peername"))
        self.local = _pair(transport.get_extra_info("sockname"))
        if not self._reception.gate.enter(self, self.peer[0] if self.peer else ""):
            self._is_lingering = True
            self.transport.write(BUSY)
            self.transport.close()
            return
        self._reception.alarm.members.add(self)
        self._expect(self._reception.patience.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._leave()
        self._reader.retire()
        if self._visit is not None:
            self._visit.content.fail(ConnectionResetError("the client is gone"))
        if self._task is not None:
            self._task.cancel()
        self._resume()

    def _leave(self) -> None:
        self._reception.gate.leave(self)
        self._reception.alarm.members.discard(self)

    def data_received(self, data: bytes) -> None:
        visit = self._visit
        if self._is_lingering:
            return
        if visit is None:
            self._begin(self._held + data if self._held else data)
            return
        if not visit.content.is_complete:
            data = visit.content.feed(data)
        self._held += data
        if len(self._held) > AHEAD_BYTES_MAX and not self._is_ahead:
            self._is_ahead = True
            self.transport.pause_reading()

    def eof_received(self) -> None:
        """Whoever sends no more is taken to be gone: the transport closes."""

    def pause_writing(self) -> None:
        self.is_slow = True
        self._stalled_at = self.transport.get_write_buffer_size()
        self._expect(self._reception.patience.stall_seconds)

    def resume_writing(self) -> None:
        self.deadline = NEVER
        self._resume()

    def _resume(self) -> None:
        self.is_slow = False
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    async def drain(self) -> None:
        """Raises ConnectionError when the client is gone."""
        if self.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        if self.is_slow:
            self._drained = self._drained or self._loop.create_future()
            await asyncio.shield(self._drained)

    # deadlines

    def _expect(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds
        self._reception.alarm.expect(self.deadline)

    def overdue(self, now: float) -> None:
        """A slow reader may go on, a stalled one may not; nor may one that says nothing, or goes on after a refusal."""
        self.deadline = NEVER
        if not self.is_slow:
            self.force_close()
            return
        left = self.transport.get_write_buffer_size()
        seconds = self._reception.patience.stall_seconds
        if self._stalled_at - left >= STALL_BYTES_PER_SECOND_MIN * seconds:
            self._stalled_at = left
            self.deadline = now + seconds
        else:
            self.transport.abort()

    # requests, one after the other

    def _begin(self, data: bytes) -> None:
        """`data`: from the beginning of a request."""
        data = data.lstrip(b"\r\n") if data[:1] in b"\r\n" else data
        end = data.find(END) + len(END)
        try:
            if end < len(END):
                self._wait_for_head(data)
                return
            if end > HEAD_BYTES_MAX:
                raise BadHead.too_large()
            head = self._reader.read(data[:end])
        except BadHead as error:
            self._refuse(error)
            return
        if self._reception.is_elsewhere(head):
            self._hand_over(data)
            return
        self.deadline = NEVER
        visit = self._visit = FrontVisit(self, head, self._intake(head))
        self._held = visit.content.feed(data[end:]) if not visit.content.is_complete else data[end:]
        if self._task is None:
            self._task = self._loop.create_task(self._serve())
        elif self._next is not None and not self._next.done():
            self._next.set_result(None)

    def _intake(self, head: Head) -> Intake:
        transport = self.transport
        return Intake(head, self._reader, transport.pause_reading, transport.resume_reading)

    def _wait_for_head(self, data: bytes) -> None:
        """Raises `BadHead` for what cannot become one."""
        if len(data) > HEAD_BYTES_MAX:
            raise BadHead.too_large()
        if data and not self._held:
            self._reader.check(data)
            if self._task is not None:  # the first one has been waited for since the connection was made
                self._expect(self._reception.patience.head_seconds)
        self._held = data

    def _refuse(self, error: BadHead) -> None:
        """Nobody knows its route, so nobody knows its dialect; and nothing of what was sent is repeated."""
        told = {"message": error.message, "type": "invalid_request_error", "param": None, "code": error.code}
        answer = Answer(error.status, {"Content-Type": "application/json", "Server": "proxy"}, dumps({"error": told}))
        answer.force_close()
        self.transport.write(Writer(is_1_1=True, keeps_alive=False, is_head=False).whole(answer))
        self._linger()

    def _linger(self) -> None:
        """An answer before the end of a request: closing now would take it from whoever is still sending."""
        self._is_lingering = True
        self._expect(self._reception.patience.lingering_seconds)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _hand_over(self, data: bytes) -> None:
        self._leave()
        self._is_handed_on = True
        if self._is_ahead:
            self.transport.resume_reading()
        protocol = self._reception.elsewhere()
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if not self.transport.is_closing():
            protocol.data_received(data)
        if self._task is not None:
            self._task.cancel()

    async def _serve(self) -> None:
        try:
            while self._go_on(await self._answered()):
                pass
        finally:  # however it ends, nobody is left waiting
            if not (self._is_lingering or self._is_handed_on):
                self.transport.close()

    async def _answered(self) -> FrontVisit:
        if self._visit is None:
            self._next = self._loop.create_future()
            try:
                await self._next
            finally:
                self._next = None
        visit = self._visit
        assert visit is not None
        with suppress(ConnectionError):
            await self._reception.answer(visit)
        return visit

    def _go_on(self, visit: FrontVisit) -> bool:
        """After an answer: whether there may be another request."""
        if self.transport.is_closing():
            return False
        if visit.is_last or not visit.content.is_complete:
            if visit.content.is_complete:
                self.force_close()
            else:
                self.transport.resume_reading()
                self._linger()
            return False
        self._visit = None
        held, self._held = self._held, b""
        self._expect(self._reception.patience.keepalive_seconds)
        if held:
            self._begin(held)
            if self._is_ahead and len(self._held) <= AHEAD_BYTES_MAX:
                self._is_ahead = False
                self.transport.resume_reading()
        return not self.transport.is_closing()


class FrontVisit:
    """`proxy.server.visit.Visit`."""

    __slots__ = (
        "_front", "_unsent", "_writer", "content", "fields", "headers", "is_last", "local", "method", "path", "peer",
        "query", "target",
    )  # fmt: skip

    def __init__(self, front: Front, head: Head, content: Intake) -> None:
        self._front = front
        self._writer = Writer(is_1_1=head.is_1_1, keeps_alive=head.keeps_alive, is_head=head.method == "HEAD")
        self._unsent = b""
        self.content = content
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

    async def end(self) -> None:
        unsent, self._unsent = self._unsent, b""
        self._front.transport.write(unsent + self._writer.end())
        if self._front.is_slow:
            await self._front.drain()

    def close_after(self) -> None:
        self.is_last = True

    def abort(self) -> None:
        self._front.transport.abort()


def _pair(name: object) -> Peer:
    return (name[0], name[1]) if isinstance(name, tuple) else None
