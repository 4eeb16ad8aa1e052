from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from proxy.server import lanes
from proxy.server.creation import Creation
from proxy.server.lanes import Crowded, Lanes
from tests.pace import SECONDS_MAX


def ask(name: str, lane: str | None = None, size: int = 10) -> Creation:
    return Creation(fields={}, members={}, model=name, lane=lane, is_prewarm=False, size=size)


class Desk:
    """Answers each request when it is told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.rests = 0
        self._doors: dict[str, asyncio.Event] = {}

    async def answer(self, creation: Creation) -> None:
        self.begun.append(creation.model)
        await self._doors.setdefault(creation.model, asyncio.Event()).wait()

    def open(self, name: str) -> None:
        self._doors.setdefault(name, asyncio.Event()).set()

    def rest(self) -> None:
        self.rests += 1


@asynccontextmanager
async def running(desk: Desk, bytes_max: int = 1000) -> AsyncIterator[Lanes]:
    async with asyncio.TaskGroup() as group:
        made = Lanes(group, desk.answer, bytes_max=bytes_max, at_rest=desk.rest)
        yield made
        made.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not is_so():  # noqa: ASYNC110 - turns of the loop are what is waited for
            await asyncio.sleep(0)


async def test_one_lane_answers_in_order_and_lanes_beside_each_other() -> None:
    desk = Desk()
    async with running(desk) as made:
        for name, lane in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("n1", None)):
            made.add(ask(name, lane))
        await until(lambda: len(desk.begun) == 3)
        assert desk.begun == ["a1", "b1", "n1"]
        desk.open("a1")
        await until(lambda: len(desk.begun) == 4)
        assert desk.begun[-1] == "a2"
        assert made.is_busy
        for name in ("a2", "b1", "n1"):
            desk.open(name)
        await until(lambda: not made.is_busy)
        assert desk.rests == 1


async def test_only_so_many_answers_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "RUNNING_MAX", 2)
    desk = Desk()
    async with running(desk) as made:
        for name in "abc":
            made.add(ask(name, name))
        await until(lambda: len(desk.begun) == 2)
        for _ in range(5):
            await asyncio.sleep(0)
        assert desk.begun == ["a", "b"]
        desk.open("b")
        await until(lambda: len(desk.begun) == 3)


async def test_only_so_many_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "WAITING_MAX", 3)
    desk = Desk()
    async with running(desk) as made:
        for number in range(3):
            made.add(ask(f"{number}"))
        with pytest.raises(Crowded) as raised:
            made.add(ask("one too many"))
        assert raised.value.status == 429
        await until(lambda: bool(desk.begun))
        made.add(ask("there is room again"))


async def test_only_so_many_bytes_may_wait() -> None:
    desk = Desk()
    async with running(desk, bytes_max=100) as made:
        made.add(ask("large", size=90))
        with pytest.raises(Crowded):
            made.add(ask("larger", size=90))
        await until(lambda: bool(desk.begun))
        made.add(ask("later", size=90))


async def test_cancelled_all_of_them_end() -> None:
    desk = Desk()
    async with running(desk) as made:
        made.add(ask("a"))
        made.add(ask("b"))
        await until(lambda: bool(desk.begun))
    assert desk.begun == ["a"]
    assert not made.is_busy
