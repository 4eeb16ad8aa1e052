"""Deadlines of many connections with one timer between them: a timer each, set anew with every byte, costs more than
all else that is done with the byte.

The timer stands at the earliest deadline that anybody has had. Whoever has put his off since is merely looked at once
more; nobody is told late by more than `TICK_SECONDS`.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

NEVER: Final = float("inf")
TICK_SECONDS = 0.05


class Member(Protocol):
    deadline: float
    """On the loop's clock."""

    def overdue(self, now: float) -> None:
        """Its deadline has passed: it has another one now, or is discarded."""
        ...


class Alarm:
    def __init__(self) -> None:
        self.members: set[Member] = set()
        self._at = NEVER
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, when: float) -> None:
        """Somebody's deadline is `when`, now."""
        if when < self._at:
            if self._timer is not None:
                self._timer.cancel()
            self._at = when
            self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer, self._at = None, NEVER
        for member in tuple(self.members):
            if member.deadline <= now:
                member.overdue(now)
        earliest = min((member.deadline for member in self.members), default=NEVER)
        if earliest < NEVER:
            self.expect(max(earliest, now + TICK_SECONDS))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._at = None, NEVER
