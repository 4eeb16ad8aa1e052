from __future__ import annotations

import pytest

from proxy.hub.effort import budget_of, effort_of, nearest
from proxy.hub.request import Effort


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(0, "none"), (1, "minimal"), (512, "minimal"), (1024, "low"), (8192, "medium"), (24576, "high"), (24577, "xhigh")],
)
def test_a_budget_has_a_word(budget: int, effort: Effort) -> None:
    assert effort_of(budget) == effort


@pytest.mark.parametrize(("effort", "budget"), [("none", 0), ("low", 1024), ("high", 20000), ("max", 20000)])
def test_a_word_has_a_budget_within_the_model(effort: Effort, budget: int) -> None:
    assert budget_of(effort, budget_tokens_max=20000) == budget


@pytest.mark.parametrize(
    ("effort", "allowed", "given"),
    [
        ("high", ("low", "high"), "high"),
        ("xhigh", ("low", "medium", "high"), "high"),
        ("minimal", ("low", "high"), "low"),
        ("none", ("low", "high"), "low"),
        ("low", ("none", "high"), "high"),
        ("low", ("none",), None),
        ("low", (), None),
    ],
)
def test_a_word_that_is_not_taken_moves_to_the_nearest(
    effort: Effort, allowed: tuple[Effort, ...], given: Effort | None
) -> None:
    assert nearest(effort, allowed) == given
