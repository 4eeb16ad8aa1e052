"""How busy this machine is, for what is asserted by the clock."""

from __future__ import annotations

import time

WORK_SECONDS = 0.02
"""Of a CPU."""


def slowness() -> float:
    """How many times as long work takes here and now as it would if nobody else worked: 1.0 where nobody does."""
    began, cpu = time.perf_counter(), time.thread_time()
    while time.thread_time() - cpu < WORK_SECONDS:
        pass
    return max(1.0, (time.perf_counter() - began) / WORK_SECONDS)
