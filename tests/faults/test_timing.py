"""T07, T08: how long a wrong key takes to be refused does not tell how much of it is right (``make faults``: more).

Welch's test upon interleaved samples, several times over. What leaks shows each time; what a busy machine does to one
series, it does to the others at another place: told apart is what is told apart in every one of them.
"""

from __future__ import annotations

import gc
import math
import os
import random
import statistics
import time
from collections.abc import Callable

import pytest

from auth.secret import Secret
from management.key_ring import KeyRing
from proxy.config.client_keys import ClientKey
from proxy.server.access import ClientKeys

ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "2"))
SERIES = 8
SAMPLES = max(2000, 60 * ROUNDS)
KEPT = 0.8
"""Of the samples: the slowest say what else the machine does."""
TOLD_APART = 4.5
"""Of Welch's t: by chance once in a hundred thousand series, let alone in all of them."""
KEY = "a-long-key-of-the-house-" + "q7" * 20
NEAR, FAR = KEY[:-1] + "x", "x" * len(KEY)


def welch(ones: list[int], others: list[int]) -> float:
    kept = [sorted(each)[: int(len(each) * KEPT)] for each in (ones, others)]
    (mean, variance), (other_mean, other_variance) = ((statistics.fmean(k), statistics.variance(k)) for k in kept)
    spread = math.sqrt(variance / len(kept[0]) + other_variance / len(kept[1]))
    return (mean - other_mean) / spread if spread else 0.0


def series(look: Callable[[str], object]) -> float:
    times: dict[str, list[int]] = {NEAR: [], FAR: []}
    order = [NEAR, FAR] * SAMPLES
    random.shuffle(order)
    gc.disable()
    try:
        for key in order:
            began = time.perf_counter_ns()
            look(key)
            times[key].append(time.perf_counter_ns() - began)
    finally:
        gc.enable()
    return welch(times[NEAR], times[FAR])


def least(look: Callable[[str], object]) -> float:
    return min(abs(series(look)) for _ in range(SERIES))


def management() -> Callable[[str], object]:
    ring = KeyRing()
    ring.use(stored="", environment=KEY)
    return lambda key: ring._at_once(key, ring._digest(key))


def clients() -> Callable[[str], object]:
    return ClientKeys.of([ClientKey(api_key=Secret(KEY), name="a")]).find


def secret() -> Callable[[str], object]:
    mine = Secret(KEY)
    return lambda key: mine == Secret(key)


@pytest.mark.parametrize("make", [management, clients, secret])
def test_T07_T08_time_does_not_tell_how_near_a_key_is(make: Callable[[], Callable[[str], object]]) -> None:
    look = make()
    look(KEY)
    assert least(look) < TOLD_APART


def test_what_compares_letter_by_letter_would_be_seen() -> None:
    def naive(key: str) -> bool:
        return len(key) == len(KEY) and all(a == b for a, b in zip(key, KEY, strict=True))

    assert least(naive) > TOLD_APART
