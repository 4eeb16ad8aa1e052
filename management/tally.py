"""What the log says of those who are refused: the first time at once, then once a minute how often since.

A flood of guesses would write as many lines, and useful ones would be rotated away for them. However many there are,
from however many addresses: a few dozen lines a minute. What is counted here has no line of its own as a request.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from structlog.typing import FilteringBoundLogger

WINDOW_SECONDS = 60.0
PEERS_MAX = 20
"""That are named in a minute; of all others only how often."""
OTHERS = "others"


class Tally:
    """Lives on one event loop. `close` tells what is left to tell."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._counts: dict[str, Counter[int]] = {}
        self._known: frozenset[str] = frozenset()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def note(self, peer: str, status: int, why: str) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WINDOW_SECONDS, self._turn)
        if peer not in self._counts and len(self._counts) >= PEERS_MAX:
            peer = OTHERS
        counts = self._counts.get(peer)
        if counts is None:
            counts = self._counts[peer] = Counter()
            if peer not in self._known and peer != OTHERS:
                self._log.warning("management.refused", peer=peer, status=status, why=why)
                return
        counts[status] += 1

    def _turn(self) -> None:
        """A minute is over. Who goes on is not named anew; who was not there in it, is forgotten."""
        self._timer = None
        counted, self._counts = self._counts, {}
        for peer, counts in counted.items():
            if counts:
                times = {str(status): count for status, count in sorted(counts.items())}
                self._log.warning("management.refused_more", peer=peer, times=times, within_seconds=WINDOW_SECONDS)
        self._known = frozenset(counted)
        if counted and not self._is_closed:
            self._timer = asyncio.get_running_loop().call_later(WINDOW_SECONDS, self._turn)

    def close(self) -> None:
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._turn()
