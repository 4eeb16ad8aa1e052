"""The list that ships, with the package that it is made of as its judge."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import product

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers

from proxy.observe.price import Price
from proxy.observe.price_list import NAMES, Change, listed, source
from proxy.observe.usage import Tokens

PAIRS = [
    (provider.id, model.id)
    for provider in providers
    if provider.id in {"anthropic", "openai", "google", "deepseek", "mistral", "x-ai"}
    for model in provider.models
]
USED = [
    Tokens(input_uncached=1000, output=500),
    Tokens(input_uncached=1000, cache_read=5000, cache_write=300, output=200, reasoning=50),
    Tokens(input_uncached=150_000, cache_read=150_000, cache_write=1000, output=200),
]


TIMES = [datetime(2026, 11, 20, hour, 45, tzinfo=UTC) for hour in (0, 2, 9, 20)]
TIMES += [datetime(2026, 12, 24, 12, tzinfo=UTC), datetime(2027, 3, 1, 12, tzinfo=UTC)]


@pytest.mark.parametrize(("provider", "model"), PAIRS)
def test_it_says_what_the_package_says_at_any_time(provider: str, model: str) -> None:
    price = listed(provider, model)
    if price is None:
        return  # priced by something else than tokens
    for used, at in product(USED, TIMES):
        cost = price.at(at.timestamp()).cost(used)
        if cost is None:
            continue  # a bucket that nobody has a price for
        counts = [used.input_uncached or 0, used.cache_read or 0, used.cache_write or 0]
        usage = Usage(
            input_tokens=sum(counts),
            cache_read_tokens=counts[1],
            cache_write_tokens=counts[2],
            output_tokens=(used.output or 0) + (used.reasoning or 0),
        )
        judged = calc_price(usage, model_ref=model, provider_id=provider, genai_request_timestamp=at)
        if judged.model.id != model:
            return  # the package, too, takes this name for another model's
        assert Decimal(str(cost)) == pytest.approx(judged.total_price, rel=Decimal("0.000001"))


def test_most_models_have_a_price() -> None:
    known = [pair for pair in PAIRS if listed(*pair) is not None]
    assert len(known) > 0.7 * len(PAIRS)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("claude-code", "claude-opus-4-5"),
        ("codex", "gpt-5-codex"),
        ("openai", "gpt-4o-mini"),
        ("gemini", "gemini-2.5-pro"),
        ("vertex", "gemini-2.5-flash"),
        ("openrouter", "openai/gpt-4o"),
        ("deepseek", "deepseek-chat"),
    ],
)
def test_models_that_people_use_are_known_by_our_names_of_providers(provider: str, model: str) -> None:
    price = listed(provider, model)
    assert price is not None
    assert price.input
    assert price.output


def test_what_nobody_knows_is_unknown() -> None:
    assert listed("openai", "a-model-of-mine") is None
    assert listed("somebody", "gpt-4o") is None


def test_it_says_whose_it_is() -> None:
    assert source().startswith("genai-prices ")
    assert set(NAMES.values()) <= {provider.id for provider in providers}


def test_a_change_holds_from_a_day_on_or_within_hours() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
    price = Price(input=1)
    assert not Change(price=price, since="2026-11-21").holds(noon)
    assert Change(price=price, since="2026-11-20").holds(noon)
    assert Change(price=price, minutes=(30, 990)).holds(noon)
    assert not Change(price=price, minutes=(720, 720)).holds(noon)
    assert [Change(price=price, minutes=(1320, 60)).holds(noon + 3600 * hours) for hours in (0, 11, 12.5, 13.5)] == [
        False, True, True, False,
    ]  # fmt: skip
