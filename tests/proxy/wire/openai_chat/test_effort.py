from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.hub.parts import Text
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Reasoning, Request
from proxy.wire.base import RenderedRequest
from proxy.wire.openai_chat import WIRE

PLAIN = Profile(maker="openai_chat")


def rendered(reasoning: Reasoning, profile: Profile = PLAIN) -> RenderedRequest:
    messages = (Message(role="user", parts=(Text(text="go"),)),)
    return WIRE.render_request(Request(model="m", messages=messages, reasoning=reasoning), profile)


WAYS: list[tuple[dict[str, Any], Reasoning]] = [
    ({"reasoning_effort": "high"}, Reasoning(effort="high")),
    ({"reasoning_effort": "ultra"}, Reasoning(effort="max")),
    ({"reasoning": {"effort": "low", "exclude": True}}, Reasoning(effort="low", is_visible=False)),
    ({"reasoning": {"max_tokens": 2000}}, Reasoning(budget_tokens=2000)),
    ({"reasoning": {"enabled": True}}, Reasoning(is_adaptive=True)),
    ({"reasoning": {"enabled": False}}, Reasoning(effort="none")),
    ({"reasoning": {"effort": "high", "enabled": True, "new": 1}}, Reasoning(effort="high")),
    ({"thinking": {"type": "enabled", "clear_thinking": False}}, Reasoning(is_adaptive=True)),
    ({"thinking": {"type": "enabled", "budget_tokens": 99}}, Reasoning(budget_tokens=99)),
    ({"thinking": {"type": "disabled"}}, Reasoning(effort="none")),
    ({"enable_thinking": True, "thinking_budget": 50}, Reasoning(budget_tokens=50)),
    ({"enable_thinking": False}, Reasoning(effort="none")),
    ({"enable_thinking": True}, Reasoning(is_adaptive=True)),
]


@pytest.mark.parametrize(("body", "meaning"), WAYS, ids=str)
def test_each_vendors_way_is_understood_and_comes_back(body: dict[str, Any], meaning: Reasoning, able: Profile) -> None:
    whole = {"model": "m", "messages": [{"role": "user", "content": "x"}], **body}
    request = WIRE.parse_request(whole)
    assert request.reasoning is not None
    assert replace(request.reasoning, residue=None) == meaning
    answer = WIRE.render_request(request, able)
    assert answer.body == whole
    assert answer.losses == ()


@pytest.mark.parametrize("body", [{"reasoning_effort": "somewhat"}, {"reasoning": "yes"}, {"thinking": {"new": 1}}])
def test_what_is_not_understood_comes_back_too(body: dict[str, Any], able: Profile) -> None:
    whole = {"model": "m", "messages": [{"role": "user", "content": "x"}], **body}
    request = WIRE.parse_request(whole)
    assert request.reasoning is None
    assert WIRE.render_request(request, able).body == whole


@pytest.mark.parametrize(
    ("reasoning", "word"),
    [
        (Reasoning(effort="low"), "low"),
        (Reasoning(budget_tokens=1024), "low"),
        (Reasoning(budget_tokens=8192), "medium"),
        (Reasoning(budget_tokens=24576), "high"),
        (Reasoning(budget_tokens=-1), None),
        (Reasoning(is_adaptive=True), None),
        (Reasoning(is_visible=True), None),
    ],
    ids=str,
)
def test_bug_9_a_level_is_kept_and_none_is_made_up(reasoning: Reasoning, word: str | None) -> None:
    answer = rendered(reasoning)
    assert answer.body.get("reasoning_effort") == word
    assert answer.losses == ()


def test_a_budget_that_no_word_stands_for_is_a_loss() -> None:
    answer = rendered(Reasoning(budget_tokens=2000))
    assert answer.body["reasoning_effort"] == "medium"
    assert [loss.path for loss in answer.losses] == ["reasoning.budget_tokens"]


def test_bug_10_what_cannot_be_off_thinks_as_little_as_it_can() -> None:
    assert rendered(Reasoning(effort="none")).body["reasoning_effort"] == "none"
    answer = rendered(Reasoning(effort="none"), replace(PLAIN, can_stop_thinking=False))
    assert answer.body["reasoning_effort"] == "low"
    assert [loss.path for loss in answer.losses] == ["reasoning.effort"]


def test_a_level_that_is_not_taken_moves_to_the_nearest_with_a_loss() -> None:
    answer = rendered(Reasoning(effort="max"))
    assert answer.body["reasoning_effort"] == "high"
    assert [loss.path for loss in answer.losses] == ["reasoning.effort"]


def test_a_model_that_does_not_reason_is_asked_for_nothing() -> None:
    silent = replace(PLAIN, thinking="none")
    assert "reasoning_effort" not in rendered(Reasoning(effort="high"), silent).body
    assert [loss.path for loss in rendered(Reasoning(effort="high"), silent).losses] == ["reasoning.effort"]
    assert rendered(Reasoning(effort="none"), silent).losses == ()


def test_a_suffix_of_the_models_name_overrides_the_clients_word(able: Profile) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "reasoning_effort": "low"}
    request = replace(WIRE.parse_request(body), reasoning=Reasoning(effort="high"))
    assert WIRE.render_request(request, able).body["reasoning_effort"] == "high"
