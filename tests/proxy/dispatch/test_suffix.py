from __future__ import annotations

import pytest

from proxy.dispatch.suffix import overridden, split_suffix
from proxy.hub.request import Reasoning, Request


@pytest.mark.parametrize(
    ("name", "reasoning"),
    [
        ("m(high)", Reasoning(effort="high")),
        ("m(HIGH)", Reasoning(effort="high")),
        ("m(minimal)", Reasoning(effort="minimal")),
        ("m(xhigh)", Reasoning(effort="xhigh")),
        ("m(ultra)", Reasoning(effort="max")),
        ("m(none)", Reasoning(effort="none")),
        ("m(0)", Reasoning(effort="none")),
        ("m(8192)", Reasoning(budget_tokens=8192)),
        ("m(auto)", Reasoning(is_adaptive=True)),
        ("m(-1)", Reasoning(is_adaptive=True)),
    ],
)
def test_suffixes(name: str, reasoning: Reasoning) -> None:
    assert split_suffix(name) == ("m", reasoning)


@pytest.mark.parametrize("name", ["m", "m()", "m(fast)", "(high)", "m(high) ", "m(-2)", "m(8k)", "m(1234567890)"])
def test_what_is_no_suffix_stays_in_the_name(name: str) -> None:
    assert split_suffix(name) == (name, None)


def test_only_the_last_brackets_count() -> None:
    assert split_suffix("m(v2)(low)") == ("m(v2)", Reasoning(effort="low"))


def test_it_beats_the_body_but_not_what_is_to_be_shown() -> None:
    request = Request(model="m", reasoning=Reasoning(effort="low", is_visible=False))
    assert overridden(request, Reasoning(budget_tokens=5)).reasoning == Reasoning(budget_tokens=5, is_visible=False)
    assert overridden(Request(model="m"), Reasoning(effort="high")).reasoning == Reasoning(effort="high")
