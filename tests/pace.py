"""How busy this machine is, for what waits and for what is asserted by the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable

SECONDS_MAX = 60
"""Of whatever is waited for within one process; a wait ends when what it waits for is so."""
TRIES_MAX = 20
WORK_SECONDS = 0.02
"""Of a CPU."""


def slowness() -> float:
    """How many times as long work takes here and now as it would if nobody else worked: 1.0 where nobody does."""
    began, cpu = time.perf_counter(), time.thread_time()
    while time.thread_time() - cpu < WORK_SECONDS:
        pass
    return max(1.0, (time.perf_counter() - began) / WORK_SECONDS)


async def quickest(measured: Callable[[], Awaitable[float]], seconds_max: float) -> float:
    """The best of a few that are measured, in seconds of a machine that does nothing else; one that is quick enough is
    the last.
    """
    best = math.inf
    for _ in range(TRIES_MAX):
        best = min(best, await measured() / slowness())
        if best <= seconds_max:
            break
    return best
