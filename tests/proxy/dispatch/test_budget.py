from __future__ import annotations

from proxy.dispatch.budget import FLOOR, SECONDS, SHARE, RetryBudget


def test_a_few_retries_are_always_free() -> None:
    budget = RetryBudget()
    assert [budget.take_retry(0.0) for _ in range(FLOOR + 1)] == [True] * FLOOR + [False]


def test_a_total_outage_costs_at_most_a_fifth_more_calls() -> None:
    budget = RetryBudget()
    calls = 0
    for number in range(1000):
        budget.count_request(number / 1000)
        calls += 1
        while budget.take_retry(number / 1000):
            calls += 1
    assert calls <= 1000 * 1.2
    assert calls >= 1000 * (1 + SHARE)


def test_what_lies_back_counts_no_more() -> None:
    budget = RetryBudget()
    for _ in range(FLOOR):
        budget.take_retry(0.0)
    assert not budget.take_retry(SECONDS - 1.0)
    assert budget.take_retry(SECONDS + 0.0)
