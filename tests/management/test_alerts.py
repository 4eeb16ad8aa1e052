from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from management.alerts import Alert, Low, Repeats, Seen, alerts

A = Seen("A", "anthropic", "active")
B = Seen("B", "anthropic", "active")
C = Seen("C", "openai", "active")
ALL = {"a": A, "b": B, "c": C}


def told(before: dict[str, Seen], after: dict[str, Seen]) -> list[tuple[str, str]]:
    return [(each.type, each.subject) for each in alerts(before, after)]


def having(**states: str) -> dict[str, Seen]:
    return {name: replace(seen, state=states.get(name, seen.state)) for name, seen in ALL.items()}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({}, {"a": "broken"}, [("account.dead", "a")]),
        ({"a": "broken"}, {"a": "error"}, []),
        ({"a": "broken"}, {}, [("account.recovered", "a")]),
        ({"a": "broken"}, {"a": "cooling"}, [("account.recovered", "a")]),
        ({"a": "broken"}, {"a": "disabled"}, []),
        ({}, {"a": "cooling"}, []),
        ({}, {"a": "cooling", "b": "probing"}, [("pool.empty", "anthropic")]),
        ({"a": "cooling"}, {"a": "cooling", "b": "cooling", "c": "cooling"}, [
            ("pool.empty", ""), ("pool.empty", "anthropic"), ("pool.empty", "openai"),
        ]),
        ({"a": "cooling", "b": "cooling"}, {"a": "cooling"}, [("pool.recovered", "anthropic")]),
        ({"a": "cooling", "b": "cooling"}, {"a": "disabled", "b": "disabled"}, []),
        ({}, {"c": "disabled"}, []),
        ({}, {"c": "busy", "a": "spent"}, []),
    ],
)  # fmt: skip
def test_what_is_news(before: Any, after: Any, expected: list[tuple[str, str]]) -> None:
    assert told(having(**before), having(**after)) == expected


def test_what_is_bad_at_the_start_is_told() -> None:
    assert told({}, having(c="broken")) == [("account.dead", "c"), ("pool.empty", "openai")]


def test_an_account_that_goes_is_no_news() -> None:
    assert told(ALL, {"a": A}) == []


def test_a_window_is_told_when_it_moves() -> None:
    at = lambda used: {"a": replace(A, windows={"5h": used})}  # noqa: E731 - a table's row
    assert told(at(10.0), at(10.0)) == []
    assert told(at(10.0), at(95.0)) == [("quota.low", "a/5h")]
    (alert,) = alerts(at(10.0), at(95.0))
    assert alert.data == {"account": "a", "label": "A", "provider": "anthropic", "window": "5h", "used_percent": 95.0}


def test_low_is_told_once_until_it_was_high_again() -> None:
    low = Low()
    moves = [50.0, 89.0, 90.0, 95.0, 85.0, 92.0, 20.0, 91.0]
    assert [used for used in moves if low.is_news("a/5h", used, 90.0)] == [90.0, 91.0]


DEAD, WELL = Alert("account.dead", "a", {}), Alert("account.recovered", "a", {})


def test_what_comes_and_goes_is_told_once_and_in_the_end_as_it_is() -> None:
    repeats = Repeats(300.0)
    assert [repeats.is_news(each, now) for now, each in ((0, DEAD), (10, WELL), (20, DEAD))] == [True, True, False]
    assert repeats.due(299.0) == []
    assert repeats.due(300.0) == [DEAD], "the last that was told was its recovery"
    assert repeats.due(301.0) == []
    assert repeats.is_news(WELL, 320.0)


def test_what_was_held_back_and_is_over_is_not_told() -> None:
    repeats = Repeats(300.0)
    told = [repeats.is_news(each, now) for now, each in ((0, DEAD), (10, WELL), (20, DEAD), (30, WELL))]
    assert told == [True, True, False, False]
    assert repeats.due(1000.0) == []
    assert repeats.is_news(Alert("account.dead", "b", {}), 1000.0), "of another account"
    assert repeats.is_news(Alert("pool.empty", "a", {}), 1000.0), "another thing of that name"


def test_who_asked_for_one_kind_only_is_not_told_it_twice() -> None:
    repeats = Repeats(300.0)
    assert [repeats.is_news(DEAD, now) for now in (0.0, 20.0)] == [True, False]
    assert repeats.due(500.0) == []
    assert repeats.is_news(DEAD, 600.0)
