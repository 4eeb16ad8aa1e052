from __future__ import annotations

from typing import Any

import pytest

from proxy.hub.profile import ALL_EFFORTS
from proxy.hub.request import Effort, Reasoning
from proxy.wire.gemini import WIRE
from tests.proxy.wire.gemini.exchanges import asked, upstream

GEMINI_3 = upstream(thinking="level", efforts=("minimal", "low", "medium", "high"), can_stop_thinking=False)
GEMINI_25 = upstream(thinking="budget", budget_tokens_max=24576)
GEMINI_25_PRO = upstream(thinking="budget", budget_tokens_min=128, budget_tokens_max=32768, can_stop_thinking=False)


def written(reasoning: Reasoning, profile: Any) -> tuple[Any, list[str]]:
    rendered = WIRE.render_request(asked(reasoning=reasoning), profile)
    config: Any = rendered.body.get("generationConfig") or {}
    return config.get("thinkingConfig"), [loss.path for loss in rendered.losses]


def read(**config: Any) -> Reasoning:
    body: Any = {"contents": [], "generationConfig": {"thinkingConfig": config}}
    reasoning = WIRE.parse_request(body, model="m").reasoning
    assert reasoning is not None
    return reasoning


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"thinkingBudget": 512}, Reasoning(budget_tokens=512)),
        ({"thinkingBudget": 0}, Reasoning(effort="none")),
        ({"thinkingBudget": -1, "includeThoughts": True}, Reasoning(is_adaptive=True, is_visible=True)),
        ({"thinkingLevel": "HIGH"}, Reasoning(effort="high")),
        ({"thinkingLevel": "low", "includeThoughts": False}, Reasoning(effort="low", is_visible=False)),
        ({"includeThoughts": True}, Reasoning(is_visible=True)),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, Reasoning()),
    ],
)
def test_read(config: Any, said: Reasoning) -> None:
    reasoning = read(**config)
    assert (reasoning.effort, reasoning.budget_tokens, reasoning.is_adaptive, reasoning.is_visible) == (
        said.effort, said.budget_tokens, said.is_adaptive, said.is_visible,
    )  # fmt: skip


class TestBudget:
    @pytest.mark.parametrize(
        ("effort", "budget"),
        [
            ("none", 0),
            ("minimal", 512),
            ("low", 1024),
            ("medium", 8192),
            ("high", 24576),
            ("max", 24576),
        ],
    )
    def test_words_become_tokens(self, effort: Effort, budget: int) -> None:
        assert written(Reasoning(effort=effort), GEMINI_25) == ({"thinkingBudget": budget}, [])

    def test_more_than_the_model_has_is_its_most(self) -> None:
        assert written(Reasoning(effort="xhigh"), GEMINI_25) == ({"thinkingBudget": 24576}, ["reasoning.effort"])

    def test_bug_10_what_cannot_be_off_thinks_least(self) -> None:
        assert written(Reasoning(effort="none"), GEMINI_25_PRO) == ({"thinkingBudget": 128}, ["reasoning.effort"])
        assert written(Reasoning(effort="none"), GEMINI_3) == ({"thinkingLevel": "MINIMAL"}, ["reasoning.effort"])

    def test_tokens_are_clamped(self) -> None:
        assert written(Reasoning(budget_tokens=99), GEMINI_25_PRO) == (
            {"thinkingBudget": 128},
            ["reasoning.budget_tokens"],
        )
        assert written(Reasoning(budget_tokens=99999), GEMINI_25) == (
            {"thinkingBudget": 24576},
            ["reasoning.budget_tokens"],
        )
        assert written(Reasoning(budget_tokens=2000), GEMINI_25) == ({"thinkingBudget": 2000}, [])

    def test_the_model_decides(self) -> None:
        assert written(Reasoning(is_adaptive=True), GEMINI_25) == ({"thinkingBudget": -1}, [])


class TestLevel:
    @pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high"])
    def test_bug_09_each_word_keeps_its_level(self, effort: Effort) -> None:
        assert written(Reasoning(effort=effort), GEMINI_3) == ({"thinkingLevel": effort.upper()}, [])

    @pytest.mark.parametrize(("effort", "level"), [("xhigh", "HIGH"), ("max", "HIGH")])
    def test_what_is_not_there_becomes_the_nearest(self, effort: Effort, level: str) -> None:
        assert written(Reasoning(effort=effort), GEMINI_3) == ({"thinkingLevel": level}, ["reasoning.effort"])
        able = upstream(efforts=ALL_EFFORTS)
        assert written(Reasoning(effort="xhigh"), able) == ({"thinkingLevel": "XHIGH"}, [])

    def test_two_levels_only(self) -> None:
        pro = upstream(efforts=("low", "high"))
        assert written(Reasoning(effort="medium"), pro) == ({"thinkingLevel": "LOW"}, ["reasoning.effort"])

    @pytest.mark.parametrize(("budget", "level"), [(100, "MINIMAL"), (1024, "LOW"), (8000, "MEDIUM"), (24576, "HIGH")])
    def test_tokens_become_words(self, budget: int, level: str) -> None:
        assert written(Reasoning(budget_tokens=budget), GEMINI_3) == ({"thinkingLevel": level}, [])

    def test_the_model_decides(self) -> None:
        assert written(Reasoning(is_adaptive=True), GEMINI_3) == (None, [])


class TestVisible:
    def test_only_what_was_asked(self) -> None:
        assert written(Reasoning(effort="low"), GEMINI_3) == ({"thinkingLevel": "LOW"}, [])
        assert written(Reasoning(is_visible=True), GEMINI_3) == ({"includeThoughts": True}, [])
        assert written(Reasoning(is_visible=False), GEMINI_3) == ({"includeThoughts": False}, [])

    def test_what_cannot_be_shown(self) -> None:
        assert written(Reasoning(is_visible=True), upstream(thinks_visibly=False)) == (None, ["reasoning.visible"])


class TestNone:
    def test_a_model_that_does_not_think(self) -> None:
        plain = upstream(thinking="none")
        assert written(Reasoning(effort="high"), plain) == (None, ["reasoning"])
        assert written(Reasoning(effort="none"), plain) == (None, [])


class TestHome:
    @pytest.mark.parametrize("profile", [GEMINI_3, GEMINI_25])
    def test_a_gemini_clients_budget_goes_as_it_came(self, profile: Any) -> None:
        """Models with levels take budgets, too (recorded)."""
        for budget in (-1, 0, 6400):
            body: Any = {"contents": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": budget}}}
            assert WIRE.render_request(WIRE.parse_request(body, model="m"), profile).body == body

    def test_a_level_becomes_a_budget_where_the_model_has_no_levels(self) -> None:
        assert written(read(thinkingLevel="high"), GEMINI_25) == ({"thinkingBudget": 24576}, [])

    def test_what_a_suffix_changed_is_written_anew(self) -> None:
        came = read(thinkingLevel="low", includeThoughts=True)
        changed = Reasoning(effort="high", is_visible=came.is_visible, residue=came.residue)
        assert written(changed, GEMINI_3) == ({"thinkingLevel": "HIGH", "includeThoughts": True}, [])
        changed = Reasoning(budget_tokens=512, residue=read(thinkingBudget=9999).residue)
        assert written(changed, GEMINI_25) == ({"thinkingBudget": 512}, [])
