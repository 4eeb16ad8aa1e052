from __future__ import annotations

from typing import Any

import pytest

from auth.quota import DAY, HOUR, MINUTE, UNDATED_SECONDS_MAX, WINDOWS_MAX, Quotas, Window, window_name


def window(slot: str = "5h", **fields: Any) -> Window:
    return Window(**{"slot": slot, "name": "5-hour", "read_at": 0.0, "source": slot, "resets_at": 100.0, **fields})


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (0.98 * DAY, "daily"), (1.02 * DAY, "daily"), (MINUTE, "minute"), (HOUR, "hour"),
        (5 * HOUR, "5-hour"), (300 * MINUTE + 30, "5-hour"), (DAY, "daily"),
        (7 * DAY, "weekly"), (28 * DAY, "monthly"), (30 * DAY, "monthly"), (31 * DAY, "monthly"),
        (3 * HOUR, "3-hour"), (2 * DAY, "2-day"), (20 * MINUTE, "20-minute"), (10, "10-second"),
    ],
)  # fmt: skip
def test_a_window_is_called_by_its_length(seconds: float, name: str) -> None:
    """A free plan's month told in the slot of the five hours is a month (demands.md, 18)."""
    assert window_name(seconds) == name


@pytest.mark.parametrize(
    ("fields", "is_full"),
    [
        ({"used": 0.99}, False),
        ({"used": 1.0}, True),
        ({"used": 1.3}, True),
        ({"used": None}, False),
        ({"used": 0.2, "is_rejected": True}, True),
    ],
)
def test_full(fields: dict[str, Any], is_full: bool) -> None:
    assert window(**fields).is_full is is_full


def test_a_reading_says_nothing_once_its_window_was_reset() -> None:
    quotas = Quotas()
    quotas.note("a", [window(used=1.0)])
    assert quotas.beyond("a", "m", 99.0, 1.0) is not None
    assert quotas.beyond("a", "m", 100.0, 1.0) is None
    assert quotas.current("a", "m", 100.0) == []


def test_a_reading_without_a_date_counts_for_a_while() -> None:
    assert window(resets_at=None).is_current(UNDATED_SECONDS_MAX - 1)
    assert not window(resets_at=None).is_current(UNDATED_SECONDS_MAX)
    assert window(resets_at=None, seconds=5 * HOUR).is_current(4 * HOUR)


def test_a_later_reading_takes_an_earlier_ones_place() -> None:
    quotas = Quotas()
    quotas.note("a", [window(used=1.0)])
    assert quotas.is_tight("a")
    quotas.note("a", [window(used=0.1, read_at=5.0)])
    assert not quotas.is_tight("a")
    assert [each.used for each in quotas.current("a", "m", 6.0)] == [0.1]


def test_unknown_is_not_zero_and_not_full() -> None:
    quotas = Quotas()
    quotas.note("a", [window(used=None)])
    assert [each.used for each in quotas.current("a", "m", 1.0)] == [None]
    assert quotas.beyond("a", "m", 1.0, 0.0) is None


def test_a_window_of_some_models_limits_those() -> None:
    quotas = Quotas()
    quotas.note("a", [window(used=1.0, models="*opus*")])
    assert quotas.beyond("a", "claude-OPUS-5", 1.0, 1.0) is not None
    assert quotas.beyond("a", "claude-haiku-5", 1.0, 1.0) is None


def test_of_several_the_one_that_is_reset_last_counts() -> None:
    quotas = Quotas()
    quotas.note("a", [window("5h", used=1.0, resets_at=50.0), window("7d", used=0.95, resets_at=500.0)], most=0.9)
    beyond = quotas.beyond("a", "m", 1.0, 0.9)
    assert beyond is not None
    assert beyond.slot == "7d"


def test_what_is_kept_is_bounded_and_goes_with_its_account() -> None:
    quotas = Quotas()
    quotas.note("a", [window(f"slot-{n}", used=1.0) for n in range(WINDOWS_MAX + 9)])
    quotas.note("b", [window()])
    assert len(quotas.current("a", "m", 1.0)) == WINDOWS_MAX
    quotas.retain({"b"})
    assert [credential for credential, _ in quotas.all()] == ["b"]
    assert not quotas.has_tight
    quotas.forget("b")
    assert list(quotas.all()) == []


def test_one_that_is_used_up_is_enough_to_be_looked_at_closely_until_it_is_forgotten() -> None:
    quotas = Quotas()
    quotas.note("a", [window("5h", used=0.1), window("7d", used=1.0)])
    assert quotas.is_tight("a")
    quotas.note("a", [window("5h", used=0.2)])
    assert quotas.is_tight("a"), "the other one still is"
    quotas.forget("a")
    assert not quotas.is_tight("a")


def test_of_too_many_readings_the_last_stay() -> None:
    quotas = Quotas()
    quotas.note("a", [window(f"slot-{n}") for n in range(WINDOWS_MAX)])
    quotas.note("a", [window("slot-0", used=0.5)])
    quotas.note("a", [window("new")])
    slots = [each.slot for _, each in quotas.all()]
    assert len(slots) == WINDOWS_MAX
    assert slots[-2:] == ["slot-0", "new"]
    assert "slot-1" not in slots


def test_a_window_without_a_reset_counts_as_before_one_with_it() -> None:
    quotas = Quotas()
    quotas.note("a", [window("undated", used=1.0, resets_at=None, seconds=60.0), window("dated", used=1.0)])
    beyond = quotas.beyond("a", "m", 1.0, 1.0)
    assert beyond is not None
    assert beyond.slot == "dated"
