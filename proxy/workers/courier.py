"""What a follower has to say of requests that are over, gathered for a moment and sent to the owner, who keeps the
books: rows of the ledger, figures, lines of the log, decisions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice, takewhile

import msgspec

from proxy.dispatch.decision import Candidate, Decision, PassedOver, Recent
from proxy.observe.casebook import BODY_BYTES_MAX, Case, Casebook
from proxy.observe.metrics import Metrics
from proxy.observe.usage import Used
from proxy.workers.messages import Booked, Busy, Choice, Decided, Failed, FromFollower, Parcel, Served
from proxy.workers.pool import SharedPool

GATHER_SECONDS = 0.1
BOOKED_MAX = 256
"""So many requests are not gathered any longer."""
LINES_BYTES_MAX = 256 * 1024
DECIDED_MAX = 64
"""Of the last decisions, in one parcel: more than that nobody can look at."""
NAMED_MAX = 2_000
"""In all of them together."""
CASES_MAX = 10
"""In `SELDOM_SECONDS`."""
SELDOM_SECONDS = 1.0
"""For readings of usage windows, where none is full; for who has served when, and has how much under way."""


class Courier:
    """`write`, `flush` and `isatty` are those of the stream that the log goes to. `tell`: to the owner; `is_full`: who
    does not listen.
    """

    def __init__(
        self, tell: Callable[[FromFollower], None], *, is_full: Callable[[], bool], is_terminal: bool, pool: SharedPool
    ) -> None:
        self._tell = tell
        self._is_full = is_full
        self._is_terminal = is_terminal
        self._pool = pool
        self._booked: list[Booked] = []
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._lost = 0
        self._decided: tuple[str, Decision] | None = None
        self._in_flight = 0
        self._busy: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._recent = Recent()
        self._count: Callable[[], int] = int
        self._cases_left = CASES_MAX

    def follow(self, recent: Recent, count: Callable[[], int]) -> None:
        """`recent`: the decisions. `count`: of requests in flight."""
        self._recent, self._count = recent, count

    # for the log

    def write(self, data: bytes) -> None:
        self._lines.append(data)
        self._lines_bytes += len(data)
        self._expect(is_urgent=self._lines_bytes > LINES_BYTES_MAX)

    def flush(self) -> None:
        """Lines leave by themselves."""

    def isatty(self) -> bool:
        return self._is_terminal

    # for the books

    def book(self, used: Used, limit: str | None) -> None:
        self._booked.append(Booked(used, limit))
        self._expect(is_urgent=len(self._booked) >= BOOKED_MAX)

    def report(self, case: Case) -> None:
        """A few: the owner keeps no more."""
        if self._cases_left and len(case.body) <= BODY_BYTES_MAX and not self._is_full():
            self._cases_left -= 1
            self._tell(Failed(case=msgspec.structs.replace(case, headers=dict(case.headers), query=dict(case.query))))

    def _expect(self, *, is_urgent: bool) -> None:
        if self._timer is not None and not is_urgent:
            return
        with suppress(RuntimeError):  # a thread's line waits for the next parcel
            loop = asyncio.get_running_loop()
            if is_urgent:
                self.send()
            else:
                self._timer = loop.call_later(GATHER_SECONDS, self.send)

    def send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        booked, self._booked = self._booked, []
        lines, self._lines, self._lines_bytes = b"".join(self._lines), [], 0
        if self._is_full():
            self._lost += len(booked)
            return
        in_flight, lost = self._count(), self._lost
        if booked or lines or lost or in_flight != self._in_flight:
            self._in_flight, self._lost = in_flight, 0
            decided = [*self._decisions()]
            self._tell(Parcel(booked=booked, lines=lines, decided=decided, in_flight=in_flight, lost=lost))

    async def keep(self) -> None:
        """Until cancelled: also what may wait."""
        while True:
            await asyncio.sleep(SELDOM_SECONDS)
            self.send_all()

    def send_all(self) -> None:
        self._cases_left = CASES_MAX
        if not self._is_full():
            self._pool.readings()
            if served := self._pool.served():
                self._tell(Served(at=served))
            if (busy := self._pool.busy()) != self._busy:
                self._busy = busy
                self._tell(Busy(in_flight=busy))
        self.send()

    def _decisions(self) -> Iterator[Decided]:
        """The new ones."""
        last = self._decided
        new = [*islice(takewhile(lambda each: each is not last, reversed(self._recent)), DECIDED_MAX)]
        if new:
            self._decided = new[0]
        while len(new) > 1 and sum(len(decision.passed_over) for _, decision in new) > NAMED_MAX:
            new.pop()
        for request_id, decision in reversed(new):
            chosen = None if decision.chosen is None else _choice(decision.chosen)
            passed_over = tuple(map(_passed_over, decision.passed_over))
            yield Decided(request_id, decision.rule, decision.now, chosen, passed_over)


def _choice(candidate: Candidate) -> Choice:
    return Choice(*candidate.key)


def _passed_over(each: PassedOver) -> Choice:
    return Choice(
        *each.candidate.key,
        why=each.why,
        returns_at=each.returns_at,
        is_transient=each.is_transient,
        is_quota=each.is_quota,
        is_refused=each.is_refused,
        is_busy=each.is_busy,
    )


class CourierCases(Casebook):
    """The owner writes them down."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier

    def note(self, case: Case) -> None:
        self._courier.report(case)


class CourierMetrics(Metrics):
    """The owner counts, and keeps the ledger's row."""

    def __init__(self, courier: Courier, *, version: str) -> None:
        super().__init__(version=version)
        self._courier = courier

    def request_finished(self, used: Used, *, limit: str | None = None) -> None:
        self._courier.book(used, limit)
