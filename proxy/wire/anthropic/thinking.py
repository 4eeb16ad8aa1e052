"""`thinking` and `output_config.effort` ↔ `Reasoning`.

Up to Claude 4.5 a model takes ``enabled`` with a budget; since 4.7 only ``adaptive`` with an effort; 4.6 takes both.
An effort without `thinking` does not switch thinking on: such a request is remembered as such at home.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.hub.effort import BUDGETS, effort_of, nearest
from proxy.hub.loss import Loss
from proxy.hub.profile import Profile
from proxy.hub.request import Effort, Reasoning
from proxy.hub.residue import JsonObject, Residue
from proxy.wire.anthropic.blocks import NAME
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape

BUDGET_TOKENS_MIN = 1024

_EFFORTS: Mapping[str, Effort] = {effort: effort for effort in ("low", "medium", "high", "xhigh", "max")}
"""This wire's own words."""
_DISPLAYS: Mapping[bool, str] = {True: "summarized", False: "omitted"}
_TOO_VISIBLE = "this model never shows its thoughts"


@dataclass(slots=True)
class Plan:
    """`thinking` and `effort` as they will be sent."""

    thinking: JsonObject | None = None
    effort: str | None = None

    @property
    def is_on(self) -> bool:
        return self.thinking is not None and self.thinking.get("type") != "disabled"

    @property
    def budget_tokens(self) -> int | None:
        budget = (self.thinking or {}).get("budget_tokens")
        return budget if isinstance(budget, int) else None

    def turn_off(self) -> None:
        self.thinking = {"type": "disabled"}


def parse_reasoning(fields: Fields, output_config: Fields | None) -> Reasoning | None:
    """Takes what it understands of both; the rest is residue: of `thinking` here, of the other where it stood."""
    known = {"disabled", "enabled", "adaptive", "between_tools"}
    told = fields.peek("thinking")
    thinking = fields.take_fields("thinking") if not isinstance(told, dict) or str(told.get("type")) in known else None
    kind = thinking.take_str("type") if thinking else None
    if thinking is None:
        effort = _take_effort(output_config)
        return (
            None if effort is None else Reasoning(effort=effort, residue=Residue(wire=NAME, shape={"type": "absent"}))
        )
    is_visible = {"summarized": True, "omitted": False}.get(str(thinking.peek("display")))
    if is_visible is not None:
        thinking.take("display")
    if kind == "disabled":
        return Reasoning(effort="none", residue=thinking.residue())
    if kind == "enabled":
        budget = thinking.need_int("budget_tokens")
        return Reasoning(budget_tokens=budget, is_visible=is_visible, residue=thinking.residue())
    if kind == "between_tools":
        thinking.give_back("type", kind)
    effort = _take_effort(output_config)
    return Reasoning(effort=effort, is_adaptive=True, is_visible=is_visible, residue=thinking.residue())


def _take_effort(output_config: Fields | None) -> Effort | None:
    if output_config is None:
        return None
    effort = _EFFORTS.get(str(output_config.peek("effort")))
    if effort is not None:
        output_config.take("effort")
    return effort


def plan(reasoning: Reasoning | None, profile: Profile, losses: list[Loss]) -> Plan:
    """What this model can do of it. Never more thinking than was asked for."""
    if reasoning is None:
        return Plan()
    losses.extend(residue_losses(reasoning.residue, NAME, "reasoning"))
    is_off = reasoning.effort == "none" or (reasoning.budget_tokens is not None and reasoning.budget_tokens <= 0)
    if is_off:
        return _off(reasoning, profile, losses)
    if profile.thinking == "none":
        losses.append(Loss("reasoning", "thinking", "this model does not think"))
        return Plan()
    is_budget = profile.thinking == "budget"
    result = _by_budget(reasoning, profile, losses) if is_budget else _by_effort(reasoning, profile, losses)
    if result.is_on and result.thinking is not None:
        result.thinking.update(residue_fields(reasoning.residue, NAME))
        _show(result.thinking, reasoning, profile, losses)
    return result


def _off(reasoning: Reasoning, profile: Profile, losses: list[Loss]) -> Plan:
    if profile.can_stop_thinking:
        if profile.thinking == "none":
            return Plan()
        return Plan(thinking={"type": "disabled", **residue_fields(reasoning.residue, NAME)})
    losses.append(Loss("reasoning", "no thinking", "this model always thinks: as little as it can"))
    return Plan(effort=None if profile.thinking == "budget" else _nearest("low", profile))


def _by_budget(reasoning: Reasoning, profile: Profile, losses: list[Loss]) -> Plan:
    if residue_shape(reasoning.residue, NAME, "type") == "absent":
        losses.append(Loss("reasoning.effort", f"effort {reasoning.effort}", "this model knows no efforts"))
        return Plan()
    if reasoning.budget_tokens is not None:
        wanted = reasoning.budget_tokens
    elif reasoning.effort is not None:
        wanted = BUDGETS.get(reasoning.effort, profile.budget_tokens_max)
    else:
        wanted = BUDGETS["medium"]
        losses.append(Loss("reasoning", "adaptive thinking", f"this model needs a budget: {wanted} tokens"))
    return Plan(thinking={"type": "enabled", "budget_tokens": _clamped(wanted, reasoning, profile, losses)})


def _clamped(wanted: int, reasoning: Reasoning, profile: Profile, losses: list[Loss]) -> int:
    budget = max(BUDGET_TOKENS_MIN, profile.budget_tokens_min, min(wanted, profile.budget_tokens_max))
    if budget != wanted:
        is_word = reasoning.budget_tokens is None
        path = "reasoning.effort" if is_word else "reasoning.budget_tokens"
        what = f"effort {reasoning.effort}" if is_word else f"budget {wanted}"
        losses.append(Loss(path, what, f"{budget} tokens are the nearest it takes"))
    return budget


def _by_effort(reasoning: Reasoning, profile: Profile, losses: list[Loss]) -> Plan:
    budget, effort = reasoning.budget_tokens, reasoning.effort
    if budget is not None and not profile.must_think_adaptively:
        return Plan(thinking={"type": "enabled", "budget_tokens": _clamped(budget, reasoning, profile, losses)})
    if budget is not None:
        word = _nearest(effort_of(budget), profile)
        losses.append(Loss("reasoning.budget_tokens", f"budget {budget}", f"this model takes an effort: {word}"))
    else:
        word = None if effort is None else _nearest(effort, profile)
        if word != effort:
            why = f"{word} is the nearest it knows" if word else "this model knows no efforts"
            losses.append(Loss("reasoning.effort", f"effort {effort}", why))
    if residue_shape(reasoning.residue, NAME, "type") == "absent":
        return Plan(effort=word)
    return Plan(thinking={"type": "adaptive"}, effort=word)


def _nearest(effort: Effort, profile: Profile) -> str | None:
    return nearest(effort, [word for word in profile.efforts if word in _EFFORTS])


def fit_effort(config: JsonObject, profile: Profile, losses: list[Loss]) -> JsonObject:
    """An effort beside thinking that is off (at home) says how much to write; it too must be one that the model knows,
    unless nobody here knows it.
    """
    asked = config.get("effort")
    effort, is_taken = _EFFORTS.get(str(asked)), profile.thinking == "effort"
    word = _nearest(effort, profile) if effort is not None and is_taken else None
    if is_taken and (effort is None or word == asked):
        return config
    why = f"{word} is the nearest it knows" if word else "this model knows no efforts"
    losses.append(Loss("reasoning.effort", f"effort {asked}", why))
    rest = {key: value for key, value in config.items() if key != "effort"}
    return rest if word is None else {**rest, "effort": word}


def _show(thinking: JsonObject, reasoning: Reasoning, profile: Profile, losses: list[Loss]) -> None:
    if reasoning.is_visible is None:
        return
    if profile.thinks_visibly:
        thinking["display"] = _DISPLAYS[reasoning.is_visible]
    elif reasoning.is_visible:
        losses.append(Loss("reasoning", "visible thoughts", _TOO_VISIBLE))


def fit(chosen: Plan, max_tokens: int, profile: Profile, *, is_asked: bool, losses: list[Loss]) -> int:
    """The budget counts towards `max_tokens` and must be less: room is made for both, else the budget shrinks.

    Returns the new `max_tokens`. `is_asked`: it is the client's own number.
    """
    budget = chosen.budget_tokens
    if budget is None or chosen.thinking is None or budget < max_tokens:
        return max_tokens
    most = profile.max_output_tokens or budget + max_tokens
    raised = max(max_tokens, min(most, budget + max_tokens))
    if is_asked and raised != max_tokens:
        losses.append(
            Loss("max_tokens", f"at most {max_tokens} tokens", f"{raised}: the thinking needs room beside them")
        )
    if budget >= raised:
        shrunk = max(BUDGET_TOKENS_MIN, raised // 2)
        chosen.thinking["budget_tokens"] = shrunk
        losses.append(Loss("reasoning", f"budget {budget}", f"{shrunk}: it must be less than max_tokens"))
        raised = max(raised, shrunk + 1)
    return raised
