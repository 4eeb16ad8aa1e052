from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.observe.prices import FOUND_MAX, Prices
from proxy.observe.usage import Tokens


def test_the_most_exact_name_counts_and_nobody_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("m-*: {input: 1}\nm-one: {input: 2}\nacme/m-one: {input: 4}\n")
    prices = Prices(path)
    prices.look()
    million = Tokens(input_uncached=1_000_000)
    found = [prices.cost(*each, million) for each in (("acme", "m-one"), ("x", "m-one"), ("x", "m-two"), ("x", "n"))]
    assert found == [4.0, 2.0, 1.0, None]


def test_a_faulty_file_changes_nothing_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("m: {input: 1}\n")
    prices = Prices(path)
    prices.look()
    path.write_text("m: {inptu: 10}\n")
    prices.look()
    assert prices.fault is not None
    assert "inptu" in prices.fault
    assert prices.cost(None, "m", Tokens(input_uncached=1_000_000)) == 1.0
    path.unlink()
    prices.look()
    assert prices.fault is None
    assert prices.cost(None, "m", Tokens(input_uncached=1)) is None


def test_another_price_takes_the_place_of_one_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    prices = Prices(path)
    million = Tokens(input_uncached=1_000_000)
    found = []
    for text in ("m: {input: 1}\n", "m: {input: 20}\nn*: {input: 3}\n", "n*: {input: 3}\n# no m\n"):
        path.write_text(text)
        prices.look()
        found.append([prices.cost(None, name, million) for name in ("m", "new")])
    assert found == [[1.0, None], [20.0, 3.0], [None, 3.0]]


def test_names_without_end_are_not_kept_without_end(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("m*: {input: 1}\n")
    prices = Prices(path)
    prices.look()
    for number in range(FOUND_MAX + 9):
        assert prices.cost(None, f"m{number}", Tokens(input_uncached=1_000_000)) == 1.0
    assert len(prices._found) <= FOUND_MAX


def test_the_operators_file_beats_the_list_that_ships(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    prices = Prices(path)
    million = Tokens(input_uncached=1_000_000)
    assert prices.cost("openai", "gpt-4o", million) == 2.5
    path.write_text("gpt-4o: {input: 1}\n")
    prices.look()
    assert prices.cost("openai", "gpt-4o", million) == 1.0
    assert prices.cost("nobody", "gpt-4o-of-theirs", million) is None


def test_a_price_is_that_of_its_time() -> None:
    """DeepSeek's are lower at night; announced ones hold from their day on."""
    million = Tokens(input_uncached=1_000_000)
    noon, night = (datetime(2026, 11, 20, hour, tzinfo=UTC).timestamp() for hour in (12, 20))
    prices = Prices(now=lambda: noon)
    assert prices.cost("deepseek", "deepseek-chat", million, night) == pytest.approx(0.135)
    assert prices.cost("deepseek", "deepseek-chat", million, noon) == pytest.approx(0.27)
    assert prices.cost("deepseek", "deepseek-chat", million) == pytest.approx(0.27)
