"""Time and chance, as whoever builds a `Dispatcher` passes them in. Tests pass a fake."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_SLEEPLESS = getattr(time, "CLOCK_BOOTTIME", None)
awake_or_asleep: Callable[[], float] = (
    time.monotonic if _SLEEPLESS is None else functools.partial(time.clock_gettime, _SLEEPLESS)
)
"""Linux stops `time.monotonic` while the machine is suspended; quotas are reset all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """`monotonic`: seconds, for durations and everything the pool keeps: a jump of the wall clock moves no cooldown.
    `unix`: seconds since 1970, for reset times that providers state as dates and for `created` in answers.
    `sleep`: waits so many seconds of `monotonic`. `chance`: a number in [0, 1), for jitter.
    """

    monotonic: Callable[[], float] = awake_or_asleep
    unix: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
