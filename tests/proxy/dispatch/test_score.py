"""The published formula (docs/routing.md), number by number."""

from __future__ import annotations

from typing import Any

import pytest

from auth.quota import DAY, HOUR, Window
from proxy.dispatch.score import Load, score

NOW = 1000.0


def window(used: float | None, *, ahead: float | None = 1.0, seconds: float | None = 5 * HOUR, **fields: Any) -> Window:
    """`ahead`: the share of the window that is still to come."""
    resets_at = None if ahead is None or seconds is None else NOW + ahead * seconds
    return Window(
        slot=str(seconds), name="w", read_at=NOW, source="s", used=used, seconds=seconds, resets_at=resets_at, **fields
    )


def worth(*windows: Window, reserve: float = 0.0, **load: Any) -> float:
    return score(windows, reserve=reserve, load=Load(**load), now=NOW)


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ((), 0.5),  # nothing was ever told: neither empty nor full
        ((window(None),), 0.5),
        ((window(0.0),), 1.0),
        ((window(0.25),), 0.75),
        ((window(1.0),), 0.0),
        ((window(1.7),), 0.0),
        ((window(None, is_rejected=True),), 0.0),
        ((window(0.25, ahead=0.5),), 1.12),  # half of it has gone by
        ((window(0.25, ahead=0.0),), 1.5),
        ((window(0.25, ahead=None),), 0.75),
        ((window(0.2), window(0.6, seconds=7 * DAY)), 0.4),  # the tightest
        ((window(0.2), window(0.6, seconds=7 * DAY, ahead=0.25)), 0.7),  # the most urgent
        ((window(0.5, seconds=60.0),), 0.5),  # minutes do not count before their last quarter
        ((window(0.75, seconds=60.0),), 0.5),
        ((window(0.9, seconds=60.0),), 0.2),
        ((window(0.9, seconds=None),), 0.2),
        ((window(0.0), window(1.0, seconds=60.0)), 0.0),
    ],
)
def test_headroom_and_urgency(windows: tuple[Window, ...], expected: float) -> None:
    assert worth(*windows) == pytest.approx(expected)


def test_the_owners_reserve_is_no_headroom() -> None:
    assert worth(window(0.5), reserve=0.3) == 0.2
    assert worth(window(0.8), reserve=0.3) == 0.0


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        ({}, 0.8),
        ({"idle_seconds": 100.0}, 0.88),
        ({"idle_seconds": 301.0}, 0.8),
        ({"in_flight": 8}, 0.55),
        ({"in_flight": 1, "at_most": 2}, 0.55),
        ({"in_flight": 2, "at_most": 2}, 0.3),
    ],
)
def test_warmth_and_load(load: dict[str, Any], expected: float) -> None:
    assert worth(window(0.2), **load) == pytest.approx(expected)


def test_nobody_clings_to_an_account_that_never_told_anything() -> None:
    assert worth(idle_seconds=1.0) == worth()


def test_what_is_reset_first_is_spent_first() -> None:
    soon, late = window(0.2, seconds=7 * DAY, ahead=1 / 7), window(0.2, seconds=7 * DAY, ahead=6 / 7)
    assert worth(soon) > worth(late)


def test_almost_the_same_is_the_same() -> None:
    """So that equals take turns."""
    assert worth(window(0.2)) == worth(window(0.2004))
