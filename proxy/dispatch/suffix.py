"""How much to think, said in the model's name: ``model(high)``.

Grammar (docs/models.md)::

    name   = model "(" effort ")"
    effort = "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max"     a level
           | digits                                                              a budget in tokens; 0: none
           | "auto" | "-1"                                                       the model decides

The suffix beats what the body says. A name that is offered with its brackets is no suffix. Levels that the model does
not know are moved to its nearest, budgets cut to its limits, by the renderer that knows its profile.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

from proxy.hub.request import Effort, Reasoning, Request

_SUFFIX = re.compile(r"(?P<model>.+)\((?P<effort>[a-z]+|\d{1,9}|-1)\)", re.IGNORECASE | re.DOTALL)
_EFFORTS: dict[str, Effort] = {effort: effort for effort in get_args(Effort)} | {"ultra": "max"}


def split_suffix(name: str) -> tuple[str, Reasoning | None]:
    """The model, and what to think; None when there is no suffix, or none that means anything."""
    match = _SUFFIX.fullmatch(name)
    if match is None:
        return name, None
    word = match["effort"].lower()
    if word in {"auto", "-1"}:
        return match["model"], Reasoning(is_adaptive=True)
    if word.isdecimal():
        tokens = int(word)
        return match["model"], Reasoning(budget_tokens=tokens) if tokens else Reasoning(effort="none")
    effort = _EFFORTS.get(word)
    return (name, None) if effort is None else (match["model"], Reasoning(effort=effort))


def overridden(request: Request, reasoning: Reasoning) -> Request:
    """Whether thoughts are to be shown stays as the client said."""
    shown = None if request.reasoning is None else request.reasoning.is_visible
    return replace(request, reasoning=replace(reasoning, is_visible=shown))
