from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from auth.quota import DAY, HOUR, Quotas, Window
from proxy.observe.ledger import Ledger
from proxy.observe.prices import Prices
from proxy.observe.usage import Tokens, Used
from proxy.server.limits import Limits
from proxy.server.recollection import Recollection
from proxy.server.shares import Shares

NOON = 1_795_176_000.0
"""Of 2026-11-20, a Friday."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    prices = tmp_path / "prices.yaml"
    prices.write_text("m: {input: 1000000}\n")
    ledger = Ledger(tmp_path / "usage.sqlite", prices=Prices(prices), now=lambda: NOON)
    yield ledger
    ledger.close()


def used(key: str, tokens: int, *, at: float, account: str = "acc") -> Used:
    return Used(
        at=at, request_id="r", route="/", operation="generate", status=200, seconds=1.0, key=key, model_served="m",
        provider="p", credential=account, tokens=Tokens(input_uncached=tokens),
    )  # fmt: skip


def recollection(ledger: Ledger, quotas: Quotas) -> tuple[Recollection, Limits, Shares]:
    shares = Shares(quotas)
    limits = Limits(shares=shares, now=lambda: 1000.0, unix=lambda: NOON)
    return Recollection(ledger, limits, shares, structlog.get_logger()), limits, shares


async def test_what_is_used_of_budgets_is_in_the_ledger(ledger: Ledger) -> None:
    for tokens, at in ((1, NOON - HOUR), (10, NOON - DAY), (100, NOON - 6 * DAY), (1000, NOON - 25 * DAY)):
        ledger.record(used("a", tokens, at=at))
    ledger.record(used("b", 7, at=NOON))
    ledger.record(used("", 9, at=NOON))
    read, limits, _ = recollection(ledger, Quotas())
    await ledger_is_written(ledger)
    await read.recall()
    spent = {per: limits.spending.used("a", per, NOON) for per in ("day", "week", "month")}
    assert {per: tuple(amount) for per, amount in spent.items()} == {
        "day": (1, 1.0),
        "week": (11, 11.0),
        "month": (111, 111.0),
    }
    assert limits.spending.used("b", "day", NOON).tokens == 7


async def test_without_a_ledger_everything_begins_anew(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "usage.sqlite")
    read, limits, _ = recollection(ledger, Quotas())
    await read.recall()
    assert limits.spending.used("a", "month", NOON).tokens == 0
    assert not ledger.exists


async def test_a_ledger_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    path.mkdir()
    ledger = Ledger(path)
    read, limits, _ = recollection(ledger, Quotas())
    await read.recall()
    assert limits.spending.used("a", "month", NOON).tokens == 0
    ledger.close()


async def test_shares_of_a_window_are_those_since_it_began(ledger: Ledger) -> None:
    quotas = Quotas()
    quotas.note(
        "acc",
        [
            Window(
                slot="7d", name="w", read_at=1000.0, source="t", seconds=7 * DAY, used=0.5, resets_at=1000.0 + 5 * DAY
            )
        ],
    )
    for key, tokens, at in (("a", 100, NOON - DAY), ("b", 300, NOON - HOUR), ("b", 9000, NOON - 3 * DAY)):
        ledger.record(used(key, tokens, at=at))
    ledger.record(used("b", 9000, at=NOON, account="another"))
    read, limits, shares = recollection(ledger, quotas)
    await ledger_is_written(ledger)
    await read.recall()
    part = shares.part("a", "week", {"acc"}, 1000.0)
    assert part is not None
    assert part.share == 0.0, "nobody asks for it"
    limits.is_sharing = True
    await read.refresh()
    part = shares.part("a", "week", {"acc"}, 1000.0)
    assert part is not None
    assert part.share == pytest.approx(0.125)


async def ledger_is_written(ledger: Ledger) -> None:
    ledger.read(lambda _connection: None)
