from __future__ import annotations

import msgspec
import pytest

from proxy.observe.price import Price, Rates
from proxy.observe.usage import Tokens


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        (Tokens(), None),
        (Tokens(input_uncached=1_000_000), 3.0),
        (Tokens(input_uncached=1_000_000, cache_read=1_000_000, output=100_000, reasoning=100_000), 6.3),
        (Tokens(input_uncached=0, output=0), 0.0),
        (Tokens(input_uncached=1, cache_write=1), None),
        (Tokens(input_uncached=1, cache_write=0), 3e-6),
    ],
)
def test_each_bucket_has_its_price_and_what_has_none_makes_the_whole_unknown(
    tokens: Tokens, cost: float | None
) -> None:
    assert Price(input=3, output=15, cache_read=0.3).cost(tokens) == pytest.approx(cost)


@pytest.mark.parametrize(("prompt", "cost"), [(200, 600), (201, 1206), (1000, 6000), (1001, 10010)])
def test_a_long_prompt_costs_more_as_a_whole(prompt: int, cost: int) -> None:
    price = Price(input=3, output=15, tiers={200: Rates(input=6), 1000: Rates(input=10)})
    assert price.cost(Tokens(input_uncached=prompt)) == pytest.approx(cost / 1e6)


def test_what_is_read_from_a_cache_makes_a_prompt_long() -> None:
    price = Price(input=3, output=15, cache_read=0.0, tiers={200: Rates(input=6)})
    assert price.cost(Tokens(input_uncached=100, cache_read=101)) == pytest.approx(600 / 1e6)


def test_what_a_tier_does_not_say_is_as_before() -> None:
    price = Price(input=3, output=15, tiers={200: Rates(input=6)})
    assert price.cost(Tokens(input_uncached=1000, output=1000)) == pytest.approx(0.006 + 0.015)


def test_tiers_can_be_written_in_yaml() -> None:
    price = msgspec.yaml.decode("{input: 1, output: 2, tiers: {200000: {input: 2, cache-read: 0.2}}}", type=Price)
    assert price.tiers[200_000].cache_read == 0.2
