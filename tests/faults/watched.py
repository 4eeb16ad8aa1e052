"""The program, as it is, with two more eyes: ``python -m tests.faults.watched FOUND`` and what the program takes.

How late its loop was, every two milliseconds, and which guesses at the management key were weighed. It never remembers
a right key: each visit of the owner is one of somebody whom this process has not seen. At its end it writes what it has
found to the file ``FOUND``: `Found`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from management import key_ring
from proxy.__main__ import main
from proxy.config.load import Loaded
from proxy.house import House

EVERY_SECONDS = 0.002


class Late(NamedTuple):
    """`own`: of what it was late by, so much was its thread's own work, and not a machine that was busy otherwise."""

    at: float
    seconds: float
    own_seconds: float


class Weighing(NamedTuple):
    """`cpu`: of the seconds it took, how many it had a core."""

    key: str
    seconds: float
    cpu_seconds: float


class Found(msgspec.Struct):
    """Times are the machine's monotonic ones."""

    late: list[Late] = []
    weighed: list[Weighing] = []

    def late_p99(self, begin: float, end: float) -> tuple[float, float]:
        """By the clock, and of our own making."""
        during = [each for each in self.late if begin <= each.at < end]
        most = int(len(during) * 0.99)
        return sorted(each.seconds for each in during)[most], sorted(each.own_seconds for each in during)[most]

    @property
    def stretch(self) -> float:
        """How much slower than on a machine of its own it was: the middle one of all weighings."""
        return sorted(each.seconds / each.cpu_seconds for each in self.weighed)[len(self.weighed) // 2]


found = Found()


async def watch() -> None:
    while True:
        began, cpu = time.monotonic(), time.thread_time()
        await asyncio.sleep(EVERY_SECONDS)
        seconds = time.monotonic() - began - EVERY_SECONDS
        found.late.append(Late(began, seconds, min(seconds, time.thread_time() - cpu)))


def run(file: Path) -> None:
    live, matches, note = House.live, key_ring.matches, key_ring.KeyRing._note

    async def watched(house: House, loaded: Loaded) -> None:
        watching = asyncio.create_task(watch())
        try:
            await live(house, loaded)
        finally:
            watching.cancel()
            await asyncio.to_thread(file.write_bytes, msgspec.json.encode(found))

    def weigh(key: str, stored: str) -> bool:
        began, cpu = time.monotonic(), time.thread_time()
        is_right = matches(key, stored)
        found.weighed.append(Weighing(key, time.monotonic() - began, time.thread_time() - cpu))
        return is_right

    def forgetful(ring: key_ring.KeyRing, digest: bytes, *, is_right: bool) -> None:
        if not is_right:
            note(ring, digest, is_right=False)

    House.live = watched  # type: ignore[method-assign]
    key_ring.matches = weigh
    key_ring.KeyRing._note = forgetful  # type: ignore[method-assign]
    main()


def unlearned() -> None:
    """Nothing shows of a key that proved right: each visit is the first use of a hash that was made elsewhere."""

    async def learn(_ring: key_ring.KeyRing, _key: str, _stored: str) -> None:
        return

    key_ring.KeyRing.learn = learn  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[1] == "--unlearned":
        unlearned()
        sys.argv.pop(1)
    run(Path(sys.argv.pop(1)))
