from __future__ import annotations

from typing import Any

import msgspec
import pytest

from auth.memory import ENTRIES_MAX, Unreadable, render, restore
from auth.pool import Pool
from auth.quota import Window
from auth.standing import ALL_MODELS, READY, STATED_SECONDS_MAX, Setback

UNIX = 1_795_000_000.0
KEY = ("account-1", "model-a")


def cooling(seconds: float | None = 3600.0, **fields: Any) -> Pool:
    pool = Pool()
    setback = Setback(**{"model": ALL_MODELS, "why": "the 5-hour window is full", "seconds": seconds, **fields})
    pool.fail(pool.lend(KEY, 50.0), setback, 50.0, chance=0.9999)
    return pool


def after(pool: Pool, *, asleep: float, now: float = 7.0) -> Pool:
    """As the next process finds it, whose clock begins anew."""
    other = Pool()
    restore(other, render(pool, 50.0, UNIX), now, UNIX + asleep)
    return other


def test_a_cooldown_goes_on_where_it_was() -> None:
    pool = after(cooling(is_stated=True, is_quota=True, window="5h"), asleep=600.0)
    standing = pool.standing(KEY, 7.0)
    assert (standing.state, standing.why, standing.is_quota) == ("cooling", "the 5-hour window is full", True)
    assert standing.is_remembered
    assert standing.until == pytest.approx(7.0 + 3600 + 30 - 600, abs=0.1)


def test_one_that_ended_meanwhile_leaves_one_probe() -> None:
    pool = after(cooling(is_stated=True), asleep=2 * 3600.0)
    assert pool.standing(KEY, 7.0) is READY
    pool.lend(KEY, 7.0)
    assert pool.standing(KEY, 7.0).state == "probing"


def test_it_is_a_hypothesis_that_a_success_or_a_fresh_word_ends() -> None:
    pool = after(cooling(is_stated=True), asleep=0.0)
    pool.succeed(pool.lend(KEY, 8.0))
    assert pool.standing(KEY, 8.0) is READY
    pool = after(cooling(is_stated=True), asleep=0.0)
    fresh = Setback(model=ALL_MODELS, why="m", seconds=5.0, is_stated=True)
    assert pool.fail(pool.lend(KEY, 8.0), fresh, 8.0).until == 13.0
    assert not pool.standing(KEY, 8.0).is_remembered


def test_growth_goes_on() -> None:
    pool = after(cooling(4.0), asleep=0.0)
    assert pool.fail(pool.lend(KEY, 12.0), Setback(model=ALL_MODELS, why="m", seconds=4.0), 12.0, 0.9999).until == (
        pytest.approx(20.0, abs=0.1)
    )


def test_broken_is_remembered_and_mended_by_a_success() -> None:
    pool = after(cooling(None), asleep=1e6)
    assert (pool.standing(KEY, 7.0).state, pool.standing(KEY, 7.0).is_remembered) == ("broken", True)
    fresh = Setback(model=ALL_MODELS, why="m", seconds=5.0, is_stated=True)
    assert pool.fail(pool.lend(KEY, 7.0), fresh, 7.0).state == "cooling"


def test_what_was_transient_or_proven_wrong_is_not_worth_remembering() -> None:
    assert after(cooling(30.0, is_transient=True), asleep=0.0).is_calm
    pool = cooling(is_stated=True)
    pool.succeed(pool.lend(KEY, 60.0))
    assert after(pool, asleep=0.0).is_calm


def test_readings_keep_their_age() -> None:
    pool = Pool()
    window = Window(slot="5h", name="5-hour", read_at=20.0, source="s", seconds=18_000.0, used=0.4, resets_at=9_050.0)
    past = Window(slot="1m", name="minute", read_at=20.0, source="s", seconds=60.0, used=0.4, resets_at=40.0)
    pool.quotas.note("account-1", [window, past])
    [read] = after(pool, asleep=1000.0).quotas.current("account-1", "m", 7.0)
    assert (read.used, read.read_at, read.resets_at) == (0.4, 7.0 - 1030, 7.0 + 8000)
    assert after(pool, asleep=9_001.0).quotas.current("account-1", "m", 7.0) == []


def test_a_wall_clock_that_was_wrong_holds_nobody_for_long() -> None:
    raw = render(cooling(is_stated=True), 50.0, UNIX)
    pool = Pool()
    restore(pool, raw, 7.0, UNIX - 1e9)
    until = pool.standing(KEY, 7.0).until
    assert until is not None
    assert until <= 7.0 + STATED_SECONDS_MAX


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"version":1}', b'{"version":2,"written_at":0}', b"[" * 100_000,
        b'{"version":1,"written_at":0,"cooldowns":[{"credential":"a"}]}',
        b'{"version":1,"written_at":0,"cooldowns":[{"credential":"a","model":"m","why":"w","until":"soon"}]}',
    ],
)  # fmt: skip
def test_what_is_no_memory_changes_nothing(raw: bytes) -> None:
    pool = Pool()
    with pytest.raises(Unreadable):
        restore(pool, raw, 0.0, UNIX)
    assert pool.is_calm


def test_the_number_of_entries_is_bounded() -> None:
    cooldowns = [{"credential": f"a-{n}", "model": "*", "why": "w"} for n in range(ENTRIES_MAX + 10)]
    raw = msgspec.json.encode({"version": 1, "written_at": UNIX, "cooldowns": cooldowns})
    pool = Pool()
    restore(pool, raw, 0.0, UNIX)
    assert len(list(pool.cooldowns())) == ENTRIES_MAX


def test_it_holds_no_more_than_ids_and_reasons() -> None:
    assert set(msgspec.json.decode(render(cooling(), 50.0, UNIX))["cooldowns"][0]) <= {
        "credential", "model", "why", "until", "is_quota", "step", "window",
    }  # fmt: skip
