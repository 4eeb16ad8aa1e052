"""Official CLIs, kept warm: one pool for all kinds and accounts, so that limits and the queue are the machine's.

How a driver of one kind uses it::

    KIND = Kind(name="claude-code", seats=Seats(at_once=1, conversations_max=1), start=start, has_spares=True)
    claim = await pool.claim(KIND, account, wish, seconds=30)     # raises Busy, or what `start` raises
    try:
        ...claim.worker...            # yours and other claims', if seats.at_once > 1
        ...claim.kept...              # None: a new conversation, the whole history has to be told
        claim.keep(said=…, note=…)    # the turn is over; the CLI knows the conversation, the next turn may continue it
    except …:
        claim.drop()                  # the process is of no more use to anybody: closed, its other turns will fail
    finally:
        claim.leave()                 # the turn is over and the conversation forgotten; nothing after keep or drop

The first of `keep`, `drop` and `leave` counts; none of them waits. Only the pool closes a worker.

The decisions are in `proxy.upstream.cli_choice`; `proxy.upstream.cli_traces` clears what a killed server has left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic

import structlog

from proxy.upstream.base import CliAccount
from proxy.upstream.cli_choice import (
    Begin,
    Continue,
    Home,
    Kept,
    Room,
    Standing,
    Start,
    Wait,
    Wish,
    choose,
    expired,
    is_too_old,
    place_for_spare,
    spares_wanted,
)
from proxy.upstream.cli_worker import Kind, Process, W_co, Worker

LOOK_SECONDS = 5.0
"""Between two looks at age, memory and demand."""
SPARE_DELAY_SECONDS = 0.3
"""A spare is started a little after the one before it was taken: starting takes half a second of a processor, which the
turn that has just begun needs itself.
"""
BEGUN_REMEMBERED = 16


class Busy(Exception):
    """No process came free in time, or too many are waiting already. Nothing was asked. The message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """For `/health`. `active`: processes with a turn under way; `warm`: all; `queued`: turns that wait for one."""

    active: int
    warm: int
    max: int
    queued: int


@dataclass(slots=True, eq=False)
class _Waiting:
    kind: Kind[Worker]
    account: CliAccount
    wish: Wish
    seated: asyncio.Future[tuple[Process, Kept | None]]


@dataclass(slots=True)
class _Demand:
    """When the latest conversations of a home were begun."""

    kind: Kind[Worker]
    account: CliAccount
    begun: deque[float] = field(default_factory=lambda: deque(maxlen=BEGUN_REMEMBERED))


class Claim(Generic[W_co]):
    """A seat in a process, for one turn."""

    def __init__(self, pool: CliPool, process: Process, worker: W_co, kept: Kept | None, wish: Wish) -> None:
        self.worker = worker
        self.kept = kept
        self._pool = pool
        self._process = process
        self._wish = wish
        self._is_over = False

    def keep(self, *, said: Sequence[bytes], note: object = None) -> None:
        """`said`: digests of all that the CLI has in its memory now, the answer as last."""
        if not self._is_over:
            self._is_over = True
            self._pool.seat_left(
                self._process, self._pool.kept(self._wish.session, self._wish.terms, tuple(said), note)
            )

    def leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._pool.seat_left(self._process, None)

    def drop(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._process.is_leaving = True
            self._pool.seat_left(self._process, None, is_over=True)


class CliPool:
    """`clock`: monotonic seconds."""

    def __init__(
        self, *, clock: Callable[[], float], log: structlog.typing.FilteringBoundLogger, room: Room | None = None
    ) -> None:
        self.room = room or Room()
        self._clock = clock
        self._log = log
        self._processes: dict[int, Process] = {}
        self._queue: deque[_Waiting] = deque()
        self._demands: dict[Home, _Demand] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._serial = 0
        self._is_closed = False
        self._looking: asyncio.Task[None] | None = None

    @property
    def capacity(self) -> Capacity:
        processes = self._processes.values()
        return Capacity(
            active=sum(each.turns > 0 for each in processes),
            warm=len(self._processes),
            max=self.room.processes_max,
            queued=len(self._queue),
        )

    async def claim(self, kind: Kind[W_co], account: CliAccount, wish: Wish, *, seconds: float) -> Claim[W_co]:
        """Waits at most so long for a free process, in the order of arrival; one that is starting takes its own time.
        Raises `Busy`, or what `kind.start` raises (an `UpstreamError`: nothing was asked).
        """
        if self._is_closed or len(self._queue) >= self.room.queue_max:
            raise Busy(f"{len(self._queue)} requests already wait for an official CLI; the server is at its limit")
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_always())
        waiting = _Waiting(kind, account, wish, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._seat_all()
        claim: Claim[W_co] | None = None
        try:
            process, kept = await self._seated(waiting, seconds)
            worker = await asyncio.shield(process.starting)
            claim = Claim(self, process, worker, kept, wish)  # type: ignore[arg-type]  # its kind is the one asked for
        finally:
            if claim is None:
                self._unseat(waiting)
        return claim

    async def close(self) -> None:
        """Every process is gone when this returns."""
        self._is_closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        for waiting in self._queue:
            waiting.seated.set_exception(Busy("the server is shutting down"))
        self._queue.clear()
        for process in [*self._processes.values()]:
            self._close(process)
        while self._closing:
            await asyncio.wait(self._closing)

    # for claims

    def kept(self, session: str, terms: bytes, said: tuple[bytes, ...], note: object) -> Kept:
        return Kept(session=session, terms=terms, said=said, since=self._clock(), note=note)

    def seat_left(self, process: Process, kept: Kept | None, *, is_over: bool = False) -> None:
        process.turns -= 1
        if kept is not None:
            process.kept.append(kept)
        if is_over:
            self._close(process)
        self._tidy(process)
        self._seat_all()

    # seats

    async def _seated(self, waiting: _Waiting, seconds: float) -> tuple[Process, Kept | None]:
        """Raises `Busy`."""
        try:
            async with asyncio.timeout(seconds):
                return await waiting.seated
        except TimeoutError:
            room = f"{self.room.account_processes_max} of one account, {self.room.processes_max} of all"
            raise Busy(f"no official CLI came free within {seconds:.0f} s ({room})") from None

    def _seat_all(self) -> None:
        """Everybody in the order of arrival; who cannot be seated yet keeps no other account waiting."""
        for waiting in [*self._queue]:
            if waiting.seated.done():
                continue
            choice = choose(waiting.wish, self._standing(), self.room)
            if isinstance(choice, Wait):
                continue
            waiting.seated.set_result(self._seat(choice, waiting))
            self._queue.remove(waiting)

    def _seat(self, choice: Continue | Begin | Start, waiting: _Waiting) -> tuple[Process, Kept | None]:
        process, kept = self._chosen(choice, waiting)
        process.turns += 1
        if kept is None:
            process.begun += 1
            demand = self._demands.setdefault(process.home, _Demand(process.kind, process.account))
            demand.begun.append(self._clock())
            asyncio.get_running_loop().call_later(SPARE_DELAY_SECONDS, self._add_spares, process.home)
        return process, kept

    def _chosen(self, choice: Continue | Begin | Start, waiting: _Waiting) -> tuple[Process, Kept | None]:
        match choice:
            case Continue(serial=serial, kept=kept):
                process = self._processes[serial]
                process.kept.remove(kept)
                return process, kept
            case Begin(serial=serial):
                return self._processes[serial], None
            case Start(instead_of=other):
                if other:
                    self._close(self._processes[other])
                return self._start(waiting.kind, waiting.account, waiting.wish.home), None

    def _unseat(self, waiting: _Waiting) -> None:
        """Whoever asked is gone, or could not be served."""
        if waiting in self._queue:
            self._queue.remove(waiting)
        seated = waiting.seated
        if seated.done() and not seated.cancelled() and seated.exception() is None:
            process, _ = seated.result()
            self.seat_left(process, None)
        seated.cancel()

    # processes

    def _start(self, kind: Kind[Worker], account: CliAccount, home: Home) -> Process:
        self._serial += 1
        starting = asyncio.create_task(_started(kind, account, home.variant))
        process = Process(self._serial, kind, account, home, self._clock(), starting)
        self._processes[process.serial] = process
        starting.add_done_callback(lambda _task: self._has_started(process))
        return process

    def _has_started(self, process: Process) -> None:
        if not process.starting.cancelled() and (error := process.starting.exception()) is not None:
            self._log.warning("cli.not_started", cli=process.kind.name, account=process.account.id, why=str(error))
            self._demands.pop(process.home, None)  # nor are spares, until somebody asks again
        self._tidy(process)

    def _add_spares(self, home: Home) -> None:
        demand = self._demands.get(home)
        if demand is None or not demand.kind.has_spares or self._is_closed:
            return
        wanted = self._spares_wanted(home)
        there = sum(each.is_spare and each.home == home for each in self._standing())
        while there < wanted and (place := place_for_spare(home, self._standing(), self.room)) is not None:
            if place.instead_of:
                self._close(self._processes[place.instead_of])
            self._start(demand.kind, demand.account, home)
            there += 1

    def _spares_wanted(self, home: Home) -> int:
        demand = self._demands.get(home)
        return 0 if demand is None else spares_wanted(demand.begun, self._clock(), self.room)

    def _standing(self) -> list[Standing]:
        return [each.standing for each in self._processes.values()]

    def _tidy(self, process: Process) -> None:
        """Nothing that is of no more use stays."""
        standing = process.standing
        if standing.is_idle and (standing.is_leaving or standing.is_used_up):
            self._close(process)

    def _close(self, process: Process) -> None:
        if self._processes.pop(process.serial, None) is None:
            return
        process.is_leaving = True
        closing = asyncio.create_task(self._closed(process))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _closed(self, process: Process) -> None:
        await asyncio.wait([process.starting])
        if (worker := process.worker) is not None:
            await worker.close()

    # the look

    async def _look_always(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """At age, memory and demand; also called by tests."""
        now = self._clock()
        for process in [*self._processes.values()]:
            self._look_at(process, now)
        for home in [*self._demands]:
            self._add_spares(home)
        self._seat_all()

    def _look_at(self, process: Process, now: float) -> None:
        worker = process.worker
        for kept in expired(process.standing, now, self.room):
            process.kept.remove(kept)
            if worker is not None:
                worker.forget(kept.note)
        is_fat = worker is not None and worker.memory_bytes() > self.room.memory_bytes_max
        is_unwanted = process.standing.is_spare and not self._spares_wanted(process.home)
        process.is_leaving |= is_fat or is_unwanted or is_too_old(process.standing, now, self.room)
        self._tidy(process)


async def _started(kind: Kind[Worker], account: CliAccount, variant: str) -> Worker:
    return await kind.start(account, variant)
