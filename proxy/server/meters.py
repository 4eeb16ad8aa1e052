"""What each client, address and conversation has asked for of late, and whether it may ask for more.

One table for all of them. Asking changes nothing until everybody agrees, and then counts for all at once, without an
await in between: so the limits hold however many requests come together. Pure; the clock is passed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from proxy.config.client_keys import Rates
from proxy.server.sliding import SECONDS, Sliding

METERS_MAX = 50_000
"""Of those that have been silent for longest, the first are forgotten beyond it."""
BUSY_SECONDS = 2.0
"""When as much is under way as may be: about so long a request takes to make room."""

Kind: TypeAlias = Literal["key", "ip", "session"]
What: TypeAlias = Literal["requests", "tokens", "concurrency"]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a limit is for. `name`: unique among its kind."""

    kind: Kind
    name: str
    rates: Rates


@dataclass(slots=True, eq=False)
class Meter:
    """`held`: tokens that requests under way are believed to take."""

    requests: Sliding = field(default_factory=Sliding)
    tokens: Sliding = field(default_factory=Sliding)
    held: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """Which limit stands in the way. `wait`: seconds until it does not; None: it always will."""

    kind: Kind
    what: What
    limit: int
    wait: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Of a limit by the minute. `reset`: seconds until all of it is there again."""

    what: What
    limit: int
    remaining: int
    reset: float


@dataclass(slots=True, eq=False)
class Stay:
    """A request that was let in, until it leaves. `tokens`: what it is believed to take."""

    tokens: int
    _of: list[tuple[Subject, Meter]]
    _is_over: bool = False

    def leave(self, tokens: int, now: float) -> None:
        """`tokens`: that it took. Later calls change nothing."""
        if self._is_over:
            return
        self._is_over = True
        for subject, meter in self._of:
            meter.running -= 1
            if subject.rates.tokens_per_minute:
                meter.held -= self.tokens
                meter.tokens.add(tokens, now)

    def readings(self, now: float) -> Iterator[Reading]:
        for subject, meter in self._of:
            yield from _readings(subject, meter, now)


class Meters:
    def __init__(self, *, meters_max: int = METERS_MAX) -> None:
        self._meters: OrderedDict[tuple[Kind, str], Meter] = OrderedDict()
        self._meters_max = meters_max

    def __len__(self) -> int:
        return len(self._meters)

    def enter(self, subjects: Sequence[Subject], tokens: int, now: float) -> Stay | Excess:
        """Of several limits in the way, the one that is so for longest."""
        of = [(subject, self._meter(subject)) for subject in subjects]
        if excess := _excess(of, tokens, now):
            return excess
        for subject, meter in of:
            meter.running += 1
            if subject.rates.requests_per_minute:
                meter.requests.add(1, now)
            if subject.rates.tokens_per_minute:
                meter.held += tokens
        return Stay(tokens, of)

    def excess(self, subjects: Iterable[Subject], tokens: int, now: float) -> Excess | None:
        """What `enter` would say; nothing is counted."""
        return _excess([(each, self.find(each.kind, each.name) or Meter()) for each in subjects], tokens, now)

    def find(self, kind: Kind, name: str) -> Meter | None:
        return self._meters.get((kind, name))

    def readings(self, subjects: Iterable[Subject], now: float) -> Iterator[Reading]:
        for subject in subjects:
            yield from _readings(subject, self.find(subject.kind, subject.name) or Meter(), now)

    def _meter(self, subject: Subject) -> Meter:
        key = (subject.kind, subject.name)
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = Meter()
            self._forget()
        else:
            self._meters.move_to_end(key)
        return meter

    def _forget(self) -> None:
        """Whoever has something under way stays, and is looked at again when its turn comes."""
        for _ in range(len(self._meters) - self._meters_max):
            key, meter = self._meters.popitem(last=False)
            if meter.running:
                self._meters[key] = meter


def _excess(of: Iterable[tuple[Subject, Meter]], tokens: int, now: float) -> Excess | None:
    found = [excess for subject, meter in of for excess in _excesses(subject, meter, tokens, now)]
    return max(found, key=lambda each: float("inf") if each.wait is None else each.wait, default=None)


def _excesses(subject: Subject, meter: Meter, tokens: int, now: float) -> Iterator[Excess]:
    rates = subject.rates
    if rates.concurrency and meter.running >= rates.concurrency:
        yield Excess(kind=subject.kind, what="concurrency", limit=rates.concurrency, wait=BUSY_SECONDS)
    limit = rates.requests_per_minute
    if limit and meter.requests.total(now) >= limit:
        yield Excess(kind=subject.kind, what="requests", limit=limit, wait=meter.requests.wait(limit - 1, now))
    limit = rates.tokens_per_minute
    if limit and meter.tokens.total(now) + meter.held + tokens > limit:
        yield Excess(kind=subject.kind, what="tokens", limit=limit, wait=_wait_for_tokens(meter, limit - tokens, now))


def _wait_for_tokens(meter: Meter, room: int, now: float) -> float | None:
    """Until they fit, what is under way taken for as much as it is believed to be. None: they never will."""
    if room < 0:
        return None
    if meter.held > room:
        return BUSY_SECONDS
    return max(meter.tokens.wait(room - meter.held, now), 0.0)


def _readings(subject: Subject, meter: Meter, now: float) -> Iterator[Reading]:
    rates = subject.rates
    if rates.requests_per_minute:
        yield _reading("requests", rates.requests_per_minute, meter.requests, 0, now)
    if rates.tokens_per_minute:
        yield _reading("tokens", rates.tokens_per_minute, meter.tokens, meter.held, now)


def _reading(what: What, limit: int, window: Sliding, held: int, now: float) -> Reading:
    used = window.total(now) + held
    reset = window.wait(0, now)
    return Reading(
        what=what, limit=limit, remaining=max(0, limit - used), reset=max(reset, float(SECONDS)) if held else reset
    )
