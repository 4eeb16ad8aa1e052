from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.client_keys import Budget
from proxy.server.periods import DAY, period_of
from proxy.server.spending import Amount, Balance, Spending, overdrawn

NOON = 1_795_176_000.0
"""Of 2026-11-20."""
DAILY, MONTHLY = Budget(per="day", tokens=1000), Budget(per="month", dollars=5.0)


def used(spending: Spending, *budgets: Budget, at: float = NOON) -> list[float]:
    return [balance.used for balance in spending.balances("a", budgets, at)]


def test_what_is_under_way_is_held_and_then_known() -> None:
    spending = Spending()
    spending.hold("a", Amount(300, 1.0), NOON)
    assert used(spending, DAILY, MONTHLY) == [300, 1.0]
    spending.settle("a", Amount(300, 1.0), Amount(120, 0.25), NOON)
    assert used(spending, DAILY, MONTHLY) == [120, 0.25]


def test_a_new_day_is_new_and_the_month_goes_on() -> None:
    spending = Spending()
    spending.settle("a", Amount(), Amount(900, 2.0), NOON)
    assert used(spending, DAILY, MONTHLY, at=NOON + DAY) == [0, 2.0]
    spending.settle("a", Amount(), Amount(50, 0.5), NOON + DAY)
    assert used(spending, DAILY, MONTHLY, at=NOON + DAY) == [50, 2.5]


def test_what_is_held_over_midnight_counts_on_the_next_day() -> None:
    spending = Spending()
    spending.hold("a", Amount(300), NOON)
    assert used(spending, DAILY, at=NOON + DAY) == [300]
    spending.settle("a", Amount(300), Amount(200), NOON + DAY)
    assert used(spending, DAILY, at=NOON + DAY) == [200]


def test_what_was_used_before_the_process_began_counts() -> None:
    spending = Spending()
    spending.remember("a", "day", Amount(400), NOON)
    spending.remember("a", "month", Amount(9000, 4.0), NOON)
    spending.settle("a", Amount(), Amount(100, 0.5), NOON)
    assert used(spending, DAILY, MONTHLY) == [500, 4.5]
    assert used(spending, DAILY, MONTHLY, at=NOON + DAY) == [0, 4.5]


def test_each_name_has_its_own() -> None:
    spending = Spending()
    spending.settle("b", Amount(), Amount(900, 2.0), NOON)
    assert used(spending, DAILY) == [0]
    assert spending.used("b", "week", NOON) == Amount(900, 2.0)


def test_a_budget_with_several_limits_has_several_balances() -> None:
    both = Budget(per="week", tokens=10, dollars=2.0, quota_percent=5)
    assert [(each.unit, each.limit) for each in Spending().balances("a", [both], NOON)] == [
        ("tokens", 10),
        ("dollars", 2.0),
    ]


@pytest.mark.parametrize(
    ("spent", "more", "is_full"), [(0, 100, False), (0, 101, True), (99, 1, False), (100, 0, True), (150, 0, True)]
)
def test_a_budget_has_room_for_so_much(spent: int, more: int, is_full: bool) -> None:
    balance = Balance(per="day", unit="tokens", limit=100, used=spent, resets_at=1.0)
    assert (overdrawn([balance], Amount(more)) is balance) is is_full


def test_of_several_that_are_full_the_last_to_end_is_told() -> None:
    day, month = (
        Balance(per=per, unit="tokens", limit=1, used=1, resets_at=period_of(per, NOON).end) for per in ("day", "month")
    )
    assert overdrawn([month, day], Amount()) is month
    assert overdrawn([day], Amount()) is day


@given(
    st.lists(
        st.tuples(st.floats(0, 0.6, allow_nan=False), st.integers(0, 60), st.integers(0, 60), st.booleans()),
        max_size=50,
    )
)
def test_no_day_sees_more_than_its_budget(steps: list[tuple[float, int, int, bool]]) -> None:
    """Requests overlap as they like; as long as none takes more than was believed, no day passes its limit."""
    spending, now = Spending(), NOON
    budgets = (Budget(per="day", tokens=100),)
    under_way: list[tuple[Amount, Amount]] = []
    days: dict[float, int] = {}
    for pause, tokens, less, is_over in steps:
        now += pause * DAY
        held = Amount(tokens)
        if overdrawn(spending.balances("a", budgets, now), held) is None:
            spending.hold("a", held, now)
            under_way.append((held, Amount(max(0, tokens - less))))
        if is_over and under_way:
            held, took = under_way.pop(0)
            spending.settle("a", held, took, now)
            days[now // DAY] = days.get(now // DAY, 0) + took.tokens
        assert days.get(now // DAY, 0) + sum(held.tokens for held, _ in under_way) <= 100
