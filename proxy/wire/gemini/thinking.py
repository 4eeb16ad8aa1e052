"""`thinkingConfig` ↔ how much to think: a budget in tokens (Gemini 2.5) or a level in words (Gemini 3)."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.hub.effort import BUDGETS, effort_of, nearest
from proxy.hub.loss import Loss
from proxy.hub.profile import Profile
from proxy.hub.request import Effort, Reasoning
from proxy.hub.residue import JsonObject
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape
from proxy.wire.gemini.words import NAME

_EFFORTS: Mapping[str, Effort] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}
_LEVELS: Mapping[Effort, str] = {effort: level for level, effort in _EFFORTS.items()}
_DYNAMIC = -1
"""The budget that leaves it to the model."""


def parse_thinking(fields: Fields | None) -> Reasoning | None:
    if fields is None:
        return None
    is_visible = fields.take_bool("includeThoughts")
    budget, level = fields.take_int("thinkingBudget"), fields.take_str("thinkingLevel")
    effort = _EFFORTS.get(level.upper()) if level is not None else None
    shape: JsonObject = {"own": True}
    if level is not None and (effort is None or budget is not None):
        fields.give_back("thinkingLevel", level)
    elif level is not None:
        shape["level"] = level
    if budget is not None:
        shape["budget"] = budget
        effort = "none" if budget == 0 else None
    return Reasoning(
        effort=effort,
        budget_tokens=budget if budget is not None and budget > 0 else None,
        is_adaptive=budget is not None and budget < 0,
        is_visible=is_visible,
        residue=fields.residue(**shape),
    )


def thinking_config(reasoning: Reasoning | None, profile: Profile, losses: list[Loss]) -> JsonObject | None:
    """None: nothing was asked for, or nothing can be said."""
    if reasoning is None:
        return None
    losses.extend(residue_losses(reasoning.residue, NAME, "reasoning"))
    writer = _Writer(profile, losses)
    if profile.thinking == "none":
        writer.refuse(reasoning)
        return None
    body = writer.as_it_came(reasoning) or writer.amount(reasoning)
    if reasoning.is_visible and not profile.thinks_visibly:
        losses.append(Loss("reasoning.visible", "visible thoughts", "this model does not show them"))
    elif reasoning.is_visible is not None:
        body["includeThoughts"] = reasoning.is_visible
    body.update(residue_fields(reasoning.residue, NAME))
    is_home = reasoning.residue is not None and reasoning.residue.wire == NAME
    return body if body or is_home else None


class _Writer:
    def __init__(self, profile: Profile, losses: list[Loss]) -> None:
        self._profile = profile
        self._losses = losses

    def refuse(self, reasoning: Reasoning) -> None:
        asked = reasoning.effort not in {None, "none"} or reasoning.budget_tokens or reasoning.is_visible
        if asked or reasoning.is_adaptive:
            self._lose("reasoning", "this model does not think")

    def as_it_came(self, reasoning: Reasoning) -> JsonObject:
        """A Gemini client's own words, unless they were changed since: models with levels take budgets, too."""
        budget = residue_shape(reasoning.residue, NAME, "budget")
        level = residue_shape(reasoning.residue, NAME, "level")
        if (
            isinstance(level, str)
            and self._profile.thinking != "budget"
            and _EFFORTS[level.upper()] == reasoning.effort
        ):
            return {"thinkingLevel": level}
        if isinstance(budget, int) and (
            budget == reasoning.budget_tokens
            or (budget < 0 and reasoning.is_adaptive)
            or (budget == 0 and reasoning.effort == "none")
        ):
            return {"thinkingBudget": budget}
        return {}

    def amount(self, reasoning: Reasoning) -> JsonObject:
        if self._profile.thinking == "budget":
            return self._budget(reasoning)
        return self._level(reasoning)

    def _budget(self, reasoning: Reasoning) -> JsonObject:
        profile = self._profile
        if reasoning.effort is not None:
            wanted = 0 if reasoning.effort == "none" else BUDGETS.get(reasoning.effort, profile.budget_tokens_max)
        elif reasoning.budget_tokens is not None:
            wanted = reasoning.budget_tokens
        else:
            return {"thinkingBudget": _DYNAMIC} if reasoning.is_adaptive else {}
        if wanted <= 0 and profile.can_stop_thinking:
            return {"thinkingBudget": 0}
        given = min(max(wanted, profile.budget_tokens_min), profile.budget_tokens_max)
        if given != wanted:
            least, most = profile.budget_tokens_min, profile.budget_tokens_max
            why = f"this model thinks with {least} to {most} tokens: {given} instead"
            self._lose("reasoning.effort" if reasoning.effort is not None else "reasoning.budget_tokens", why)
        return {"thinkingBudget": given}

    def _level(self, reasoning: Reasoning) -> JsonObject:
        effort = reasoning.effort
        if effort is None:
            if reasoning.budget_tokens is None:
                return {}
            effort = effort_of(reasoning.budget_tokens)
        allowed = [word for word in self._profile.efforts if word in _LEVELS]
        given = nearest(effort, allowed)
        if given is None:
            return {}
        if given != effort:
            self._lose("reasoning.effort", f"this model has no level {effort!r}: {given!r} instead")
        return {"thinkingLevel": _LEVELS[given]}

    def _lose(self, path: str, why: str) -> None:
        self._losses.append(Loss(path, "thinking", why))
