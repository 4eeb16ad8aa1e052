"""How much may be tried again, as a share of traffic: a total outage must not be answered with a storm.

Only faults of providers are counted. An account that is limited or refused is benched, which ends that by itself, and
what was never sent costs nobody anything.
"""

from __future__ import annotations

from collections import deque

SECONDS = 10
SHARE = 0.15
FLOOR = 3
"""So many are free in each `SECONDS`, however little else happens."""


class RetryBudget:
    """Counts in slots of one second; `now` is monotonic."""

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()  # second, requests, retries
        self._requests = 0
        self._retries = 0

    def count_request(self, now: float) -> None:
        self._slot(now)[1] += 1
        self._requests += 1

    def take_retry(self, now: float) -> bool:
        """Whether there is one left; if so it is spent."""
        slot = self._slot(now)
        if self._retries >= FLOOR + SHARE * self._requests:
            return False
        slot[2] += 1
        self._retries += 1
        return True

    def _slot(self, now: float) -> list[int]:
        second = int(now)
        while self._slots and self._slots[0][0] <= second - SECONDS:
            _, requests, retries = self._slots.popleft()
            self._requests -= requests
            self._retries -= retries
        if not self._slots or self._slots[-1][0] != second:
            self._slots.append([second, 0, 0])
        return self._slots[-1]
