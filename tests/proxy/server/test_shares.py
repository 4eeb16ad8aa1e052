from __future__ import annotations

import pytest

from auth.quota import DAY, HOUR, Quotas, Window
from proxy.server.shares import Part, Shares

WEEK = 7 * DAY


def window(
    used: float, *, slot: str = "7d", seconds: float = WEEK, resets_at: float = WEEK, models: str = "*"
) -> Window:
    return Window(
        slot=slot, name="w", read_at=0.0, source="t", seconds=seconds, used=used, resets_at=resets_at, models=models
    )


@pytest.fixture
def quotas() -> Quotas:
    quotas = Quotas()
    quotas.note("a", [window(0.4), window(0.9, slot="5h", seconds=5 * HOUR, resets_at=HOUR)])
    return quotas


def share(part: Part | None) -> float | None:
    return None if part is None else round(part.share, 6)


def test_what_is_used_of_a_window_is_split_by_tokens(quotas: Quotas) -> None:
    shares = Shares(quotas)
    shares.note("x", "a", 300, 10.0)
    shares.note("y", "a", 100, 11.0)
    assert shares.part("x", "week", {"a"}, 12.0) == Part(share=pytest.approx(0.3), resets_at=WEEK)
    assert share(shares.part("y", "week", {"a"}, 12.0)) == 0.1
    assert share(shares.part("y", "day", {"a"}, 12.0)) == 0.225
    assert share(shares.part("z", "week", {"a"}, 12.0)) == 0.0


def test_a_pool_is_the_mean_of_its_accounts(quotas: Quotas) -> None:
    quotas.note("b", [window(0.2)])
    shares = Shares(quotas)
    shares.note("x", "a", 1, 10.0)
    shares.note("x", "b", 1, 10.0)
    assert share(shares.part("x", "week", {"a", "b"}, 12.0)) == 0.3
    assert share(shares.part("x", "week", {"b"}, 12.0)) == 0.2


def test_where_there_is_no_such_window_there_is_no_share(quotas: Quotas) -> None:
    assert Shares(quotas).part("x", "month", {"a"}, 12.0) is None
    assert Shares(quotas).part("x", "week", {"elsewhere"}, 12.0) is None


def test_a_window_that_was_reset_is_a_new_one(quotas: Quotas) -> None:
    shares = Shares(quotas)
    shares.note("x", "a", 300, 10.0)
    assert share(shares.part("x", "week", {"a"}, WEEK + 1)) == 0.0
    quotas.note("a", [window(0.1, resets_at=2 * WEEK)])
    shares.note("y", "a", 100, WEEK + 2)
    assert share(shares.part("x", "week", {"a"}, WEEK + 3)) == 0.0
    assert share(shares.part("y", "week", {"a"}, WEEK + 3)) == 0.1


def test_a_reset_that_is_told_a_little_differently_changes_nothing(quotas: Quotas) -> None:
    shares = Shares(quotas)
    shares.note("x", "a", 300, 10.0)
    quotas.note("a", [window(0.5, resets_at=WEEK + 40.0)])
    assert share(shares.part("x", "week", {"a"}, 12.0)) == 0.5


def test_windows_of_some_models_are_not_the_accounts() -> None:
    quotas = Quotas()
    quotas.note("a", [window(0.9, slot="7d_opus", models="*opus*")])
    shares = Shares(quotas)
    shares.note("x", "a", 1, 1.0)
    assert shares.part("x", "week", {"a"}, 2.0) is None


def test_the_ledger_knows_better(quotas: Quotas) -> None:
    shares = Shares(quotas)
    shares.note("x", "a", 300, 10.0)
    weekly = next(each for _, each in shares.windows(11.0) if each.slot == "7d")
    shares.learn("a", weekly, {"x": 100, "": 300})
    assert share(shares.part("x", "week", {"a"}, 12.0)) == 0.1
    shares.note("x", "a", 200, 13.0)
    assert share(shares.part("x", "week", {"a"}, 14.0)) == 0.2
