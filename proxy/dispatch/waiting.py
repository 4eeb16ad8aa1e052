"""Those who wait for an account: one line a group, in which the clients take turns and each one's requests keep order.

A request that comes while others wait goes to the end of its client's. Whoever is woken looks for itself; having got
somebody it wakes the next, as there may be more. What a request was refused, an unbound one behind it is refused too,
so only a bound one passes the chance on.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from operator import attrgetter

from auth.turns import STRIDE, Turn
from proxy.dispatch.clock import Clock


@dataclass(eq=False)
class Ticket:
    """One request's place in a line. `is_bound`: it cannot take just any account (tied, or some were tried)."""

    client: str
    is_bound: bool = False
    is_woken: bool = field(default=False, init=False)
    passed: frozenset[Ticket] = field(default=frozenset(), init=False)
    """Those before it in the line for whom there was nobody."""
    _woken: asyncio.Future[None] | None = field(default=None, init=False)

    def wake(self, passed: frozenset[Ticket]) -> None:
        self.passed = passed
        if self._woken is not None and not self._woken.done():
            self.is_woken = True
            self._woken.set_result(None)

    async def sleep(self, seconds: float, clock: Clock) -> None:
        """Until woken, or for so long."""
        self.is_woken = False
        self._woken = asyncio.get_running_loop().create_future()
        sleep = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
        try:
            await asyncio.wait({self._woken, sleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            self._woken = None


@dataclass(eq=False)
class _Line:
    turn: Turn = field(default_factory=Turn)
    """Of the clients."""
    tickets: OrderedDict[str, list[Ticket]] = field(default_factory=OrderedDict)

    def first(self, passed: frozenset[Ticket]) -> Ticket | None:
        waiting = [
            ticket
            for tickets in self.tickets.values()
            for ticket in [next((each for each in tickets if each not in passed), None)]
            if ticket is not None
        ]
        return self.turn.first(waiting, attrgetter("client"), lambda _ticket: STRIDE) if waiting else None


class WaitingRoom:
    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}

    def __len__(self) -> int:
        return sum(len(tickets) for line in self._lines.values() for tickets in line.tickets.values())

    def has_line(self, group: Hashable) -> bool:
        return group in self._lines

    def wake(self) -> None:
        """Somebody has become free, for whichever model: the first of each line looks."""
        if not self._lines:
            return
        for group in list(self._lines):
            self._wake_next(group)

    def enter(self, group: Hashable, ticket: Ticket) -> None:
        line = self._lines.setdefault(group, _Line())
        line.tickets.setdefault(ticket.client, []).append(ticket)

    def leave(self, group: Hashable, ticket: Ticket, *, is_served: bool) -> None:
        """`is_served`: it has got somebody; that was its client's turn."""
        line = self._lines[group]
        tickets = line.tickets[ticket.client]
        tickets.remove(ticket)
        if not tickets:
            del line.tickets[ticket.client]
        if not line.tickets:
            del self._lines[group]
            return
        if is_served:
            line.turn.take(ticket.client, STRIDE)
        if is_served or ticket.is_woken:
            self._wake_next(group)

    def pass_on(self, group: Hashable, ticket: Ticket) -> None:
        """It was woken, and there was nobody for it."""
        if ticket.is_woken and ticket.is_bound:
            self._wake_next(group, ticket.passed | {ticket})

    def _wake_next(self, group: Hashable, passed: frozenset[Ticket] = frozenset()) -> None:
        line = self._lines.get(group)
        ticket = line.first(passed) if line is not None else None
        if ticket is not None:
            ticket.wake(passed)
