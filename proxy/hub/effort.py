"""How much to think, said in words or in tokens: one ladder for all wires."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from proxy.hub.profile import ALL_EFFORTS
from proxy.hub.request import Effort

BUDGETS: Mapping[Effort, int] = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 32768}
"""Tokens for a word. `none` is 0, `max` whatever the model allows."""

_RANK = {effort: rank for rank, effort in enumerate(ALL_EFFORTS)}


def budget_of(effort: Effort, *, budget_tokens_max: int) -> int:
    """Within what the model allows."""
    if effort == "none":
        return 0
    return min(BUDGETS.get(effort, budget_tokens_max), budget_tokens_max)


def effort_of(budget_tokens: int) -> Effort:
    """The lowest word whose budget is enough. Negative (Gemini's dynamic budget) has none: ask before."""
    if budget_tokens <= 0:
        return "none"
    return next(
        (effort for effort, budget in BUDGETS.items() if budget_tokens <= budget and effort != "xhigh"), "xhigh"
    )


def nearest(effort: Effort, allowed: Collection[Effort]) -> Effort | None:
    """`effort` itself, else the highest allowed word below it that still thinks, else the lowest above it.

    None where nothing is allowed. `none` becomes the least thinking there is; what thinks never becomes `none`.
    """
    if effort in allowed:
        return effort
    thinking = sorted((word for word in allowed if word != "none"), key=_RANK.__getitem__)
    below = [word for word in thinking if _RANK[word] < _RANK[effort]]
    return below[-1] if below else thinking[0] if thinking else None
