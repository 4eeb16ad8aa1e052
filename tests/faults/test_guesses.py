"""T07: a hundred thousand guesses at the management key, over HTTP: the loop is never late for them, and who has the
key gets in. The short form is some hundred guesses at a cheap hash; ``make faults`` has them all, at full cost.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from management import key_ring
from tests.management.conftest import KEY, Stage, opened

ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "2"))
GUESSES = 200 * ROUNDS
COST = 12 if ROUNDS >= 100 else 4
LATE_SECONDS_MAX = 0.02
OWNER_SECONDS_MAX = 1.0
PAUSE_SECONDS = 2.0
CROWD = (12 if ROUNDS >= 100 else 4) * key_ring.WAITING_MAX
"""Each on a connection of its own: who has guessed wrong is held for seconds."""


async def lateness(until: asyncio.Event) -> list[float]:
    """How late a timer of 2 ms was, again and again."""
    late = []
    while not until.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.002)
        late.append(time.perf_counter() - began - 0.002)
    return sorted(late)


def p99(sorted_values: list[float]) -> float:
    return sorted_values[int(len(sorted_values) * 0.99)]


async def crowd(stage: Stage, wanted: int) -> dict[int, int]:
    statuses: dict[int, int] = {}
    numbers = iter(range(wanted))

    async def guess(own: Stage) -> None:
        for number in numbers:
            answer = await own.ask("GET", "/version", key=f"guess {number}")
            statuses[answer.status] = statuses.get(answer.status, 0) + 1

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
    ) as session:
        own = Stage(stage.house, stage.url, session, stage.folder)
        await asyncio.gather(*(guess(own) for _ in range(CROWD)))
    return statuses


async def keyless(stage: Stage, until: asyncio.Event) -> None:
    """The same traffic without a guess in it: what a request costs by itself, on this machine and now."""

    async def hit() -> None:
        while not until.is_set():
            await stage.ask("GET", "/version", key=None)

    await asyncio.gather(*(hit() for _ in range(CROWD)))


async def owner(stage: Stage, until: asyncio.Event) -> list[float]:
    """Seconds until he is let in, on a connection of his own each time; his key is forgotten in between."""
    waited = []
    ring = stage.house._management._ring
    while not until.is_set():
        async with aiohttp.ClientSession() as session:
            own = Stage(stage.house, stage.url, session, stage.folder)
            began = time.perf_counter()
            assert (await own.ask("GET", "/version")).status == 200
            waited.append(time.perf_counter() - began)
        ring._known = dict.fromkeys(ring._known, float("-inf"))
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_SECONDS):
                await until.wait()
    return sorted(waited)


async def test_T07_a_hundred_thousand_guesses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANAGEMENT_PASSWORD", raising=False)
    text = f"auth-dir: {tmp_path / 'accounts'}\nremote-management:\n  secret-key: '{key_ring.hashed(KEY, COST)}'\n"
    async with opened(tmp_path, text) as stage:
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(2.0, over.set)
        usual, _ = await asyncio.gather(lateness(over), keyless(stage, over))
        assert (await stage.ask("GET", "/version")).status == 200, "as whoever has the key has been before"
        over = asyncio.Event()
        measuring, owning = asyncio.create_task(lateness(over)), asyncio.create_task(owner(stage, over))
        statuses = await crowd(stage, GUESSES)
        over.set()
        late, waited = await asyncio.gather(measuring, owning)
        assert sum(statuses.values()) == GUESSES
        assert set(statuses) <= {401, 429}
        assert statuses.get(401, 0) > 0
    assert waited[-1] <= OWNER_SECONDS_MAX, waited[-5:]
    assert p99(late) <= LATE_SECONDS_MAX + 2 * p99(usual), (p99(late), p99(usual))
