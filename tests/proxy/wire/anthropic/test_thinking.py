from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.hub.loss import Loss
from proxy.hub.profile import Profile
from proxy.hub.request import Effort, Reasoning
from proxy.hub.residue import JsonObject, Residue
from proxy.wire.anthropic.thinking import Plan, fit, parse_reasoning, plan
from proxy.wire.fields import Fields

BUDGET = Profile(maker="anthropic", thinking="budget", budget_tokens_max=32_000)
BOTH = Profile(maker="anthropic", efforts=("low", "medium", "high", "max"))
ADAPTIVE = replace(BOTH, must_think_adaptively=True, efforts=("low", "medium", "high", "xhigh", "max"))
NONE = Profile(maker="anthropic", thinking="none")
ALWAYS = replace(ADAPTIVE, can_stop_thinking=False)


def planned(reasoning: Reasoning, profile: Profile) -> tuple[JsonObject | None, str | None, list[str]]:
    losses: list[Loss] = []
    chosen = plan(reasoning, profile, losses)
    return chosen.thinking, chosen.effort, [f"{loss.path}: {loss.what}" for loss in losses]


def parsed(thinking: JsonObject | None, output_config: JsonObject | None = None) -> Reasoning | None:
    fields = Fields({"thinking": thinking}, wire="anthropic")
    config = None if output_config is None else Fields(output_config, wire="anthropic", path="output_config")
    return parse_reasoning(fields, config)


@pytest.mark.parametrize(
    ("thinking", "output_config", "reasoning"),
    [
        (None, None, None),
        (None, {"effort": "of_tomorrow"}, None),
        ({"type": "of_tomorrow"}, None, None),
        ({"type": "enabled", "budget_tokens": 4096}, {"effort": "high"}, Reasoning(budget_tokens=4096)),
        ({"type": "adaptive"}, {"effort": "max"}, Reasoning(effort="max", is_adaptive=True)),
        ({"type": "adaptive", "display": "omitted"}, None, Reasoning(is_adaptive=True, is_visible=False)),
        ({"type": "disabled"}, {"effort": "low"}, Reasoning(effort="none")),
        (
            None,
            {"effort": "xhigh"},
            Reasoning(effort="xhigh", residue=Residue(wire="anthropic", shape={"type": "absent"})),
        ),
        (
            {"type": "between_tools"},
            None,
            Reasoning(is_adaptive=True, residue=Residue(wire="anthropic", fields={"type": "between_tools"})),
        ),
    ],
)
def test_parse(thinking: JsonObject | None, output_config: JsonObject | None, reasoning: Reasoning | None) -> None:
    assert parsed(thinking, output_config) == reasoning


@pytest.mark.parametrize(
    ("effort", "budget", "both", "adaptive"),
    [
        ("minimal", 1024, "low", "low"),
        ("low", 1024, "low", "low"),
        ("medium", 8192, "medium", "medium"),
        ("high", 24576, "high", "high"),
        ("xhigh", 32_000, "high", "xhigh"),
        ("max", 32_000, "max", "max"),
    ],
)
def test_bug_09_each_effort_keeps_its_level(effort: Effort, budget: int, both: str, adaptive: str) -> None:
    reasoning = Reasoning(effort=effort)
    lost = [f"reasoning.effort: effort {effort}"] if effort in {"minimal", "xhigh"} else []
    assert planned(reasoning, BUDGET) == ({"type": "enabled", "budget_tokens": budget}, None, lost)
    for profile, word in ((BOTH, both), (ADAPTIVE, adaptive)):
        lost = [] if word == effort else [f"reasoning.effort: effort {effort}"]
        assert planned(reasoning, profile) == ({"type": "adaptive"}, word, lost)


@pytest.mark.parametrize(
    "reasoning", [Reasoning(effort="none"), Reasoning(budget_tokens=0), Reasoning(budget_tokens=-1)]
)
def test_bug_10_none_where_thinking_cannot_stop_is_the_least(reasoning: Reasoning) -> None:
    assert planned(reasoning, BUDGET) == ({"type": "disabled"}, None, [])
    assert planned(reasoning, ADAPTIVE) == ({"type": "disabled"}, None, [])
    assert planned(reasoning, NONE) == (None, None, [])
    assert planned(reasoning, ALWAYS) == (None, "low", ["reasoning: no thinking"])


@pytest.mark.parametrize(("asked", "sent"), [(200, 1024), (1024, 1024), (8000, 8000), (100_000, 32_000)])
def test_a_budget_stays_within_the_models_limits(asked: int, sent: int) -> None:
    lost = [] if asked == sent else [f"reasoning.budget_tokens: budget {asked}"]
    reasoning = Reasoning(budget_tokens=asked)
    assert planned(reasoning, BUDGET) == ({"type": "enabled", "budget_tokens": sent}, None, lost)


@pytest.mark.parametrize(
    ("budget", "word"), [(512, "low"), (1024, "low"), (1025, "medium"), (8193, "high"), (24577, "xhigh")]
)
def test_a_budget_is_an_effort_where_thinking_must_be_adaptive(budget: int, word: str) -> None:
    lost = [f"reasoning.budget_tokens: budget {budget}"]
    assert planned(Reasoning(budget_tokens=budget), ADAPTIVE) == ({"type": "adaptive"}, word, lost)
    assert planned(Reasoning(budget_tokens=9000), BOTH) == ({"type": "enabled", "budget_tokens": 9000}, None, [])


def test_adaptive_thinking_without_a_level_leaves_the_models_default() -> None:
    assert planned(Reasoning(is_adaptive=True), ADAPTIVE) == ({"type": "adaptive"}, None, [])
    thinking, _, lost = planned(Reasoning(is_adaptive=True), BUDGET)
    assert thinking == {"type": "enabled", "budget_tokens": 8192}
    assert lost == ["reasoning: adaptive thinking"]


def test_nobody_thinks_unasked() -> None:
    assert plan(None, ADAPTIVE, []) == Plan()
    effort_alone = parsed(None, {"effort": "high"})
    assert effort_alone is not None
    assert planned(effort_alone, ADAPTIVE) == (None, "high", [])
    assert planned(effort_alone, BUDGET) == (None, None, ["reasoning.effort: effort high"])


def test_a_model_that_does_not_think() -> None:
    assert planned(Reasoning(effort="high"), NONE) == (None, None, ["reasoning: thinking"])


def test_visibility() -> None:
    for is_visible, display in ((True, "summarized"), (False, "omitted")):
        reasoning = Reasoning(effort="high", is_visible=is_visible)
        assert planned(reasoning, ADAPTIVE)[0] == {"type": "adaptive", "display": display}
    hidden = replace(ADAPTIVE, thinks_visibly=False)
    assert planned(Reasoning(effort="high", is_visible=True), hidden)[2] == ["reasoning: visible thoughts"]
    assert planned(Reasoning(effort="high", is_visible=False), hidden) == ({"type": "adaptive"}, "high", [])


def fitted(
    budget: int, max_tokens: int, most: int | None = None, *, is_asked: bool = True
) -> tuple[int | None, int, int]:
    losses: list[Loss] = []
    chosen = Plan(thinking={"type": "enabled", "budget_tokens": budget})
    profile = replace(BUDGET, max_output_tokens=most)
    result = fit(chosen, max_tokens, profile, is_asked=is_asked, losses=losses)
    return chosen.budget_tokens, result, len(losses)


def test_bug_08_the_budget_is_less_than_max_tokens() -> None:
    assert fitted(2000, 4000) == (2000, 4000, 0)
    assert fitted(8000, 4000) == (8000, 12_000, 1)
    assert fitted(8000, 4000, is_asked=False) == (8000, 12_000, 0)
    assert fitted(8000, 4000, 10_000) == (8000, 10_000, 1)
    assert fitted(8000, 4000, 6000) == (3000, 6000, 2)
    assert fitted(1024, 1024, 1024) == (1024, 1025, 1)
    assert fit(Plan(thinking={"type": "adaptive"}), 10, ADAPTIVE, is_asked=True, losses=[]) == 10
