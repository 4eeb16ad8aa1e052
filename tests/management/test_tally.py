from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from management import tally
from management.tally import PEERS_MAX, Tally
from tests.pace import SECONDS_MAX


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))


class Stand:
    """`turn`: a minute is over."""

    def __init__(self) -> None:
        self.log = Log()
        self.tally = Tally(cast("Any", self.log))

    def guess(self, peer: str, times: int = 1, status: int = 401) -> None:
        for _ in range(times):
            self.tally.note(peer, status, "invalid management key")

    def turn(self) -> None:
        timer = self.tally._timer
        assert timer is not None
        timer.cancel()
        self.tally._turn()

    def told(self) -> list[tuple[str, Any]]:
        lines, self.log.lines = self.log.lines, []
        return [(fields["peer"], fields.get("times", event)) for event, fields in lines]


@pytest.fixture
async def stand() -> Any:
    stand = Stand()
    yield stand
    stand.tally.close()


async def test_the_first_is_told_at_once_and_the_rest_as_a_count(stand: Stand) -> None:
    stand.guess("a", 1000)
    stand.guess("a", 3, status=429)
    assert stand.told() == [("a", "management.refused")]
    stand.turn()
    assert stand.told() == [("a", {"401": 999, "429": 3})]
    stand.guess("a", 5)
    assert stand.told() == [], "it goes on, which is no news"
    stand.turn()
    assert stand.told() == [("a", {"401": 5})]
    stand.turn()
    assert stand.told() == []
    assert stand.tally._timer is None, "nobody is there any more: nothing ticks"
    stand.guess("a")
    assert stand.told() == [("a", "management.refused")]
    stand.turn()
    assert stand.told() == [], "there was no more than that"


async def test_however_many_addresses_a_few_lines(stand: Stand) -> None:
    for _ in range(3):
        for number in range(5000):
            stand.guess(f"2001:db8::{number:x}")
        stand.turn()
        told = stand.told()
        assert len(told) <= 2 * PEERS_MAX + 1
        assert sum(sum(times.values()) if isinstance(times, dict) else 1 for _, times in told) == 5000


async def test_what_is_left_is_told_at_the_end(stand: Stand) -> None:
    stand.guess("a", 3)
    stand.tally.close()
    assert stand.told() == [("a", "management.refused"), ("a", {"401": 2})]
    assert stand.tally._timer is None


async def test_a_minute_passes_by_itself(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "WINDOW_SECONDS", 0.01)
    stand.guess("a", 3)
    async with asyncio.timeout(SECONDS_MAX):
        while stand.tally._timer is not None:  # noqa: ASYNC110 - the loop's own timer ends it
            await asyncio.sleep(0.01)
    assert stand.told() == [("a", "management.refused"), ("a", {"401": 2})]
