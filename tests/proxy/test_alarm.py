from __future__ import annotations

import asyncio
import time

from proxy.alarm import NEVER, TICK_SECONDS, Alarm
from tests.pace import SECONDS_MAX, quickest


class Sleeper:
    def __init__(self, alarm: Alarm, seconds: float) -> None:
        self.rung = asyncio.Event()
        self.late = 0.0
        self.deadline = asyncio.get_running_loop().time() + seconds
        alarm.members.add(self)
        alarm.expect(self.deadline)

    def overdue(self, now: float) -> None:
        self.late = now - self.deadline
        self.deadline = NEVER
        self.rung.set()


async def test_everybody_is_told_at_his_time() -> None:
    async def latest() -> float:
        alarm = Alarm()
        sleepers = [Sleeper(alarm, seconds) for seconds in (0.2, 0.01, 0.1, 0.02)]
        async with asyncio.timeout(SECONDS_MAX):
            for sleeper in sleepers:
                await sleeper.rung.wait()
        assert all(sleeper.late >= 0 for sleeper in sleepers)
        return max(sleeper.late for sleeper in sleepers)

    assert await quickest(latest, 2 * TICK_SECONDS) <= 2 * TICK_SECONDS


async def test_whoever_puts_it_off_is_not_told() -> None:
    alarm = Alarm()
    active, other = Sleeper(alarm, 0.05), Sleeper(alarm, 0.2)
    active.deadline += 60
    async with asyncio.timeout(SECONDS_MAX):
        await other.rung.wait()
    assert not active.rung.is_set()
    alarm.close()


async def test_nothing_is_asked_when_nobody_expects_anything() -> None:
    alarm = Alarm()
    sleeper = Sleeper(alarm, 0.0)
    await sleeper.rung.wait()
    assert alarm._timer is None


async def test_many_cost_little() -> None:
    alarm = Alarm()
    sleepers = [Sleeper(alarm, 60) for _ in range(10_000)]
    began = time.process_time()
    for sleeper in sleepers:
        sleeper.deadline += 1
        alarm.expect(sleeper.deadline)
    assert time.process_time() - began < 1
    alarm.close()
