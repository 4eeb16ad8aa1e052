"""The clients' side of HTTP/1.1, as requests to models need it: read a head, take a body, write an answer.

aiohttp's server does that and much more, and takes 25 µs for a request of 1 KB beside what the sockets take; this takes
13. What needs more, a WebSocket or the management API, is handed on to aiohttp with the connection, before a byte of it
has been read (`proxy.server.connection`).

Requests are answered one after the other; what a client sends ahead waits. Those that need not wait for anything but
their answer ride (`proxy.server.express`); the others are answered by the connection's task. Deadlines: for
a head, between two requests, and for whoever does not read; bodies have their own (`proxy.server.body`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from proxy.alarm import NEVER, Alarm
from proxy.server.answer import Answer, Writer
from proxy.server.connection import BUSY, Gate, Patience
from proxy.server.express import Express, Ride
from proxy.server.front_visit import FrontVisit
from proxy.server.head import END, HEAD_BYTES_MAX, BadHead, Head, HeadReader, SameHead
from proxy.server.intake import Intake
from proxy.server.pace import Paced
from proxy.server.terms import Terms
from proxy.server.visit import Peer
from proxy.wire.base import dumps

AHEAD_BYTES_MAX = 64 * 1024
"""Of requests that are sent before the one before them is answered."""
GATHERING_SECONDS = 1.0
"""For a body that comes in pieces, before a task waits for the rest of it."""


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
    express: Express


class Front(Paced):
    """One connection of a client."""

    __slots__ = (
        "_gathering", "_held", "_is_ahead", "_is_handed_on", "_is_lingering", "_next", "_reader", "_reception", "_ride",
        "_same", "_task", "_terms", "_visit", "local", "peer",
    )  # fmt: skip

    def __init__(self, reception: Reception) -> None:
        super().__init__(reception.alarm, reception.patience.stall_seconds)
        self._reception = reception
        self._reader = HeadReader()
        self._held = b""
        self._visit: FrontVisit | None = None
        self._ride: Ride | None = None
        self._same: SameHead | None = None
        self._terms: Terms | None = None
        self._gathering: Terms | None = None
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_ahead = self._is_lingering = self._is_handed_on = False
        self.peer: Peer = None
        self.local: Peer = None

    # what the gate asks and tells

    @property
    def is_busy(self) -> bool:
        return self._visit is not None or self._ride is not None

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
        self.expect(self._reception.patience.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._withdraw()
        self._reader.retire()
        ride, visit = self._ride, self._visit
        self._ride = self._visit = None
        if ride is not None:
            ride.abandon()
        if visit is not None:
            visit.content.fail(ConnectionResetError("the client is gone"))
            if visit.ride is not None:
                visit.ride.close()
        task, self._task = self._task, None  # which keeps what it ends with, and that where it went, which is here
        if task is not None:
            task.cancel()
        self.resume()

    def _withdraw(self) -> None:
        self._reception.gate.leave(self)
        self._reception.alarm.members.discard(self)

    def data_received(self, data: bytes) -> None:
        visit = self._visit
        if self._is_lingering:
            return
        if visit is None and self._ride is None:
            self._begin(self._held + data if self._held else data)
            return
        if visit is not None and not visit.content.is_complete:
            data = visit.content.feed(data)
        self._held += data
        if len(self._held) > AHEAD_BYTES_MAX and not self._is_ahead:
            self._is_ahead = True
            self.transport.pause_reading()
        if visit is not None and self._gathering is not None:
            self._gather(visit, self._gathering)

    def eof_received(self) -> None:
        """Whoever sends no more is taken to be gone: the transport closes."""

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._ride is not None and self._ride.is_over:
            self.leave()

    def overdue(self, now: float) -> None:
        """Nor is whoever says nothing waited for, or goes on after a refusal."""
        self.deadline = NEVER
        if self._gathering is not None:
            self._gathering = None
            self._exchange()
        elif self.is_slow:
            self.overdue_reading(now)
        else:
            self.force_close()

    # requests, one after the other

    def _begin(self, data: bytes) -> None:
        """`data`: from the beginning of a request."""
        data = data.lstrip(b"\r\n") if data[:1] in b"\r\n" else data
        found = None if self._same is None else self._same.look(data)
        if found is None:
            self._same = None
        elif self._depart(data, *found):
            return
        self._read(data)

    def _read(self, data: bytes) -> None:
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
        if self._learn(head, data[:end]) and self._depart(data, head.length or 0, end):
            return
        self._admit(head, head.length, data[end:])
        self._exchange()

    # at once

    def _learn(self, head: Head, data: bytes) -> bool:
        """Whether requests with this head can ride."""
        self._same = self._terms = None
        if head.length:
            self._terms = self._reception.express.terms(FrontVisit(self, head, self._intake(0)))
        if self._terms is not None:
            self._same = SameHead.of(data, head)
        return self._same is not None

    def _depart(self, data: bytes, length: int, begin: int) -> bool:
        """With a head that is known. `begin`: of the body. False: nothing was done, it is to be read as any other."""
        express, terms, same = self._reception.express, self._terms, self._same
        if terms is None or same is None or not express.is_good(terms):
            self._same = None
            return False
        if len(data) - begin < length:
            self._gathering = terms
            self._gather(self._admit(same.head, length, data[begin:]), terms)
            self.expect(GATHERING_SECONDS)
            return True
        ride = express.begin(terms, data[begin : begin + length], self)
        if ride is None:
            self._admit(same.head, length, data[begin:])
            self._exchange()
            return True
        self.deadline = NEVER
        self._held = data[begin + length :]
        self._ride = ride
        ride.look()
        return True

    def _gather(self, visit: FrontVisit, terms: Terms) -> None:
        """Its body, as long as there is no hurry."""
        content = visit.content
        if not (content.is_complete or content.is_held):
            return
        self._gathering = None
        self.deadline = NEVER
        ride = self._reception.express.begin(terms, content.look(), self) if content.is_complete else None
        if ride is None:
            self._exchange()
            return
        self._visit, self._ride = None, ride
        ride.look()

    def hurry(self) -> None:
        """The server leaves: what is under way here has a task that can be waited for."""
        if self._gathering is not None:
            self._gathering = None
            self._exchange()
        elif self._ride is not None:
            self._ride.hand_over()

    def take_over(self, ride: Ride) -> None:
        """`proxy.server.express.Seat`."""
        assert self._same is not None
        self._ride = None
        self._visit = FrontVisit(self, self._same.head, self._intake(0), ride)
        self._exchange()

    @property
    def is_plain(self) -> bool:
        """`proxy.server.express.Seat`."""
        return self._same is not None and self._same.is_plain

    def send(self, data: bytes) -> bool:
        """`proxy.server.express.Seat`."""
        if self.transport.is_closing():
            return False
        self.transport.write(data)
        return True

    def arrive(self, answer: Answer) -> bool:
        """`proxy.server.express.Seat`."""
        assert self._same is not None
        if self.transport.is_closing():
            return False
        head = self._same.head
        writer = Writer(is_1_1=head.is_1_1, keeps_alive=head.keeps_alive, is_head=False)
        self.transport.write(writer.whole(answer))
        if answer.is_last:
            self.force_close()
        return True

    def leave(self) -> None:
        """`proxy.server.express.Seat`. Whoever reads slowly is waited for."""
        if not self.is_slow:
            self._ride = None
            if not self.transport.is_closing():
                self._await_next()

    # by the task

    def _admit(self, head: Head, length: int | None, data: bytes) -> FrontVisit:
        """`data`: from the beginning of the body."""
        self.deadline = NEVER
        visit = self._visit = FrontVisit(self, head, self._intake(length))
        self._held = visit.content.feed(data) if not visit.content.is_complete else data
        return visit

    def _exchange(self) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._serve())
        elif self._next is not None and not self._next.done():
            self._next.set_result(None)

    def _intake(self, length: int | None) -> Intake:
        transport = self.transport
        return Intake(length, self._reader, transport.pause_reading, transport.resume_reading)

    def _wait_for_head(self, data: bytes) -> None:
        """Raises `BadHead` for what cannot become one."""
        if len(data) > HEAD_BYTES_MAX:
            raise BadHead.too_large()
        if data and not self._held:
            self._reader.check(data)
            if self._task is not None:  # the first one has been waited for since the connection was made
                self.expect(self._reception.patience.head_seconds)
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
        self.expect(self._reception.patience.lingering_seconds)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def hand_on(self, request: bytes) -> None:
        """A request that was read here, as it came, is answered where `elsewhere` leads, and so are those behind it."""
        held, self._held = self._held, b""
        self._hand_over(request + held)

    def _hand_over(self, data: bytes) -> None:
        self._withdraw()
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
        if self.transport.is_closing() or self._is_handed_on:
            return False
        if visit.is_last or not visit.content.is_complete:
            if visit.content.is_complete:
                self.force_close()
            else:
                self.transport.resume_reading()
                self._linger()
            return False
        self._visit = None
        self._await_next()
        return not self.transport.is_closing()

    def _await_next(self) -> None:
        """The next request, which may have come already."""
        held, self._held = self._held, b""
        self.expect(self._reception.patience.keepalive_seconds)
        if held:
            self._begin(held)
            if self._is_ahead and len(self._held) <= AHEAD_BYTES_MAX:
                self._is_ahead = False
                self.transport.resume_reading()


def _pair(name: object) -> Peer:
    return (name[0], name[1]) if isinstance(name, tuple) else None
