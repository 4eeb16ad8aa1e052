"""T07, T08: how long a wrong key takes to be refused does not tell how much of it is right (``make faults``: more).

Welch's test upon interleaved samples, several times over. What leaks shows each time; what a busy machine does to one
series, it does to the others at another place: told apart is what is told apart in every one of them.
"""

from __future__ import annotations

import gc
import math
import os
import random
import secrets
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
PART = 0.02
"""A smaller difference is not what the key does: where a text lies in memory makes as much."""
KEY = "a-long-key-of-the-house-" + "q7" * 20
TAIL = 4


def guess(*, is_near: bool) -> str:
    """As long as the key; a near one begins as it does. Each is a text of its own."""
    head = KEY[:-TAIL] if is_near else secrets.token_urlsafe(len(KEY))[: len(KEY) - TAIL]
    return "".join((head, secrets.token_urlsafe(TAIL)[:TAIL]))


def trimmed(times: list[int]) -> list[int]:
    return sorted(times)[: int(len(times) * KEPT)]


def is_told_apart(near: list[int], far: list[int]) -> bool:
    near, far = trimmed(near), trimmed(far)
    difference = abs(statistics.fmean(near) - statistics.fmean(far))
    spread = math.sqrt(statistics.variance(near) / len(near) + statistics.variance(far) / len(far))
    return difference > TOLD_APART * spread and difference > PART * statistics.fmean(far)


def series(look: Callable[[str], object]) -> bool:
    times: dict[bool, list[int]] = {True: [], False: []}
    guesses = [(is_near, guess(is_near=is_near)) for is_near in (True, False) * SAMPLES]
    random.shuffle(guesses)
    gc.disable()
    try:
        for is_near, key in guesses:
            began = time.perf_counter_ns()
            look(key)
            times[is_near].append(time.perf_counter_ns() - began)
    finally:
        gc.enable()
    return is_told_apart(times[True], times[False])


def always_told_apart(look: Callable[[str], object]) -> bool:
    return all(series(look) for _ in range(SERIES))


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
    assert not always_told_apart(look)


def test_what_compares_letter_by_letter_would_be_seen() -> None:
    def naive(key: str) -> bool:
        return len(key) == len(KEY) and all(a == b for a, b in zip(key, KEY, strict=True))

    assert always_told_apart(naive)
