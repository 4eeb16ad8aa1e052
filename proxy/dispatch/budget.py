"""How much may be tried again: a total outage must not be answered with a storm.

Only what is tried again with somebody doubtful is counted (`Pool.is_doubtful`): who has failed and not served since.
Of those of whom nothing bad is known there are ever fewer, and an account that is limited or refused is benched, which
ends that by itself. Each request that is served pays for one retry: where some succeed there are as many as are
needed, where none does there are next to none.
"""

from __future__ import annotations

RETRIES_MAX = 10.0
"""That are saved up."""
PER_SECOND = 0.2
"""So that few requests, of which none is served, are still tried again now and then."""


class RetryBudget:
    """`now` is monotonic."""

    def __init__(self) -> None:
        self._left = RETRIES_MAX
        self._looked_at = 0.0

    def count_success(self) -> None:
        """A request is served."""
        self._left = min(RETRIES_MAX, self._left + 1)

    def take_retry(self, now: float) -> bool:
        """Whether there is one left; if so it is spent."""
        self._left = min(RETRIES_MAX, self._left + PER_SECOND * max(0.0, now - self._looked_at))
        self._looked_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
