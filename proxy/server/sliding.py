"""How much there was in the last minute: a sliding window over slots of a second.

An amount counts for a minute, and up to a slot longer: so never more than the limit passes in any minute, wherever it
begins. Each operation looks at a fixed number of slots at most, whatever the traffic. The clock is passed in.
"""

from __future__ import annotations

from collections import deque

SECONDS = 60
"""So long is the window, in slots of one second."""


class Sliding:
    __slots__ = ("_slots", "_total")

    def __init__(self) -> None:
        self._slots: deque[tuple[int, int]] = deque()
        """The second, and what came in it; the oldest first. Seconds without anything have none."""
        self._total = 0

    def total(self, now: float) -> int:
        """What counts at that moment. What does not any more is forgotten."""
        slots, oldest = self._slots, int(now) - SECONDS
        while slots and slots[0][0] < oldest:
            self._total -= slots.popleft()[1]
        return self._total

    def add(self, amount: int, now: float) -> None:
        """A clock that steps back counts on in its latest second."""
        slots, second = self._slots, int(now)
        if slots and slots[-1][0] >= second:
            second, before = slots.pop()
            slots.append((second, before + amount))
        else:
            slots.append((second, amount))
        self._total += amount

    def wait(self, room: int, now: float) -> float:
        """Seconds until no more than `room` counts, if nothing is added."""
        left = self.total(now)
        for second, amount in self._slots:
            if left <= room:
                break
            left -= amount
            until = second + SECONDS + 1
            if left <= room:
                return until - now
        return 0.0
