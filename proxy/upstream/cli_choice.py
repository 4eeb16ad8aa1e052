"""Which process of an official CLI serves a turn: decided here, from values; done in `proxy.upstream.cli_pool`.

* **turn**: one request to a model and its answer.
* **conversation**: turns that follow each other. A CLI has in its memory what was said in it.
* **kept**: a conversation that nobody is using, whose CLI still knows it.
* **spare**: a process that no conversation has begun in, started before anybody asked.

A conversation is continued where its CLI knows a true beginning of what is asked now, said to it under the same terms:
then only what is new has to be told. Otherwise it is begun anew, in a process that has room; the history is told, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

DEMAND_SECONDS = 60.0
"""As many spares stand ready as conversations were begun in this time …"""
WARM_SECONDS = 900.0
"""… and one for this long after the last."""
_PROCESS_BYTES = 256 * 1024 * 1024
"""What one takes, about."""
_PROCESSES_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much there may be of everything. `processes_max`: of all accounts and kinds together; each of them is a
    program of 150 to 400 MB. `kept_seconds_max`: how long a silent conversation is remembered by its CLI.
    """

    processes_max: int = 16
    account_processes_max: int = 8
    spares_max: int = 2
    """Of one account."""
    queue_max: int = 64
    kept_seconds_max: float = 600.0
    age_seconds_max: float = 4 * 3600.0
    memory_bytes_max: int = 1024**3
    """Resident, of one process."""


def room_for(memory_bytes: int) -> Room:
    """What half of a machine's memory has room for, within reason; 0: its size is not known."""
    if not memory_bytes:
        return Room()
    most = max(_PROCESSES_MIN, min(Room().processes_max, memory_bytes // 2 // _PROCESS_BYTES))
    return Room(processes_max=most, account_processes_max=min(Room().account_processes_max, most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats:
    """What one process of a kind can do. `at_once`: turns under way. `conversations_max`: over its whole life; Claude
    Code has one, as nothing makes it forget. `counts_for`: so many others, in the room that there is.
    """

    at_once: int = 1
    conversations_max: int = 1
    counts_for: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Processes of one home may stand in for each other. `variant`: what can be said only when the CLI is started
    (switches, an egress proxy); empty: nothing.
    """

    kind: str
    account: str
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A turn that somebody wants. `session`: the conversation's name or empty. `terms`: a digest of what cannot change
    within a conversation (system prompt, tools, model). `said`: a digest of each message of the history and of what is
    asked now; of no message: nothing to continue. `accepts`: whether, by its note, a kept conversation can be told what
    is new; the driver knows.
    """

    home: Home
    session: str = ""
    terms: bytes = b""
    said: tuple[bytes, ...] = ()
    accepts: Callable[[Kept], bool] = lambda _: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """`said`: as in `Wish`, with the answer as last. `note`: whatever the CLI's driver needs to go on."""

    session: str
    terms: bytes
    said: tuple[bytes, ...]
    since: float
    note: object = None

    def leads_to(self, wish: Wish) -> bool:
        """Whether what is asked goes on from here; a session's name alone proves nothing, as clients edit histories."""
        if self.terms != wish.terms or not 0 < len(self.said) < len(wish.said):
            return False
        return self._is_beginning_of(wish) and wish.accepts(self)

    def _is_beginning_of(self, wish: Wish) -> bool:
        return wish.said[: len(self.said)] == self.said


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One process, as far as the choice needs to know it. `begun`: conversations so far. `turns`: under way."""

    serial: int
    home: Home
    seats: Seats
    since: float
    begun: int = 0
    turns: int = 0
    kept: tuple[Kept, ...] = ()
    is_leaving: bool = False
    """It gets nothing new, and is closed when its turns are over."""

    @property
    def is_spare(self) -> bool:
        return self.begun == 0 and not self.is_leaving

    @property
    def is_idle(self) -> bool:
        return self.turns == 0

    @property
    def has_room(self) -> bool:
        return not self.is_leaving and self.turns < self.seats.at_once and self.begun < self.seats.conversations_max

    @property
    def is_used_up(self) -> bool:
        """Nothing goes on in it, and nothing more may begin."""
        return self.is_idle and not self.kept and self.begun >= self.seats.conversations_max

    @property
    def last_used(self) -> float:
        return max((each.since for each in self.kept), default=self.since)


@dataclass(frozen=True, slots=True)
class Continue:
    serial: int
    kept: Kept


@dataclass(frozen=True, slots=True)
class Begin:
    """A new conversation in a process that is there or about to be."""

    serial: int


@dataclass(frozen=True, slots=True)
class Start:
    """A new process; `instead_of`: one that must go first, 0 for none."""

    instead_of: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    pass


Choice: TypeAlias = Continue | Begin | Start | Wait


def choose(wish: Wish, standing: Sequence[Standing], room: Room) -> Choice:
    mine = [each for each in standing if each.home == wish.home and not each.is_leaving]
    if (continued := _continued(wish, mine)) is not None:
        return continued
    open_ones = [each for each in mine if each.has_room]
    if open_ones:  # the busiest first, so that the others may fall idle and leave; of equals, the oldest
        return Begin(max(open_ones, key=lambda each: (each.turns, each.begun, -each.serial)).serial)
    account = [each for each in standing if _is_same_account(each.home, wish.home)]
    if _taken(account) >= room.account_processes_max:
        return _instead_of(account)
    if _taken(standing) >= room.processes_max:
        return _instead_of(standing)
    return Start()


def _taken(standing: Iterable[Standing]) -> int:
    return sum(each.seats.counts_for for each in standing)


def _continued(wish: Wish, mine: Iterable[Standing]) -> Continue | None:
    """Of its own session first, then what is longest, then what was used last."""
    found = [
        (bool(wish.session) and kept.session == wish.session, len(kept.said), kept.since, each.serial, kept)
        for each in mine
        if each.turns < each.seats.at_once
        for kept in each.kept
        if kept.leads_to(wish)
    ]
    if not found:
        return None
    *_, serial, kept = max(found, key=lambda one: one[:-1])
    return Continue(serial, kept)


def _instead_of(crowd: Iterable[Standing]) -> Start | Wait:
    """Of those that nobody is using: spares before conversations, then whoever was silent longest."""
    idle = [each for each in crowd if each.is_idle]
    if not idle:
        return Wait()
    return Start(min(idle, key=lambda each: (not each.is_spare, each.last_used, each.serial)).serial)


def _is_same_account(one: Home, other: Home) -> bool:
    return (one.kind, one.account) == (other.kind, other.account)


def spares_wanted(begun: Collection[float], now: float, room: Room) -> int:
    """`begun`: when the latest conversations of a home were begun. Demand decides, within limits."""
    if not begun or now - max(begun) > WARM_SECONDS:
        return 0
    recent = sum(now - each <= DEMAND_SECONDS for each in begun)
    return min(max(recent, 1), room.spares_max)


def place_for_spare(home: Home, standing: Sequence[Standing], room: Room) -> Start | None:
    """None: it would take the last place that somebody who asks might need. Where an account's places are all taken,
    the one spare of a home takes that of whoever was silent longest: the next who begins would, and wait for the start.
    """
    account = [each for each in standing if _is_same_account(each.home, home)]
    if _taken(account) < room.account_processes_max and _taken(standing) < room.processes_max - 1:
        return Start()
    idle = [each for each in account if each.is_idle]
    if not idle or any(each.is_spare and each.home == home for each in account):
        return None
    chosen = _instead_of(idle)
    return chosen if isinstance(chosen, Start) else None


def expired(standing: Standing, now: float, room: Room) -> tuple[Kept, ...]:
    """The conversations to forget."""
    is_old = now - standing.since > room.age_seconds_max
    return tuple(kept for kept in standing.kept if is_old or now - kept.since > room.kept_seconds_max)


def is_too_old(standing: Standing, now: float, room: Room) -> bool:
    return now - standing.since > room.age_seconds_max
