"""How much to think, in the vendors' ways: `reasoning_effort` (OpenAI), `reasoning` (OpenRouter), `thinking` (zai,
deepseek, kimi) and `enable_thinking` (alibaba), both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxy.hub.effort import BUDGETS, effort_of, nearest
from proxy.hub.loss import Loss
from proxy.hub.profile import ALL_EFFORTS, Profile
from proxy.hub.request import Effort, Reasoning
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.fields import Fields, residue_losses
from proxy.wire.openai_chat.parts import keep_inner
from proxy.wire.openai_chat.words import NAME, own_shape

_EFFORTS: Mapping[JsonValue, Effort] = {**{effort: effort for effort in ALL_EFFORTS}, "ultra": "max"}


def parse_reasoning(fields: Fields) -> Reasoning | None:
    """The first way of saying it that is used; the others stay where they are."""
    return next((told for read in (_effort, _reasoning, _thinking, _enable) if (told := read(fields))), None)


def _effort(fields: Fields) -> Reasoning | None:
    word = fields.peek("reasoning_effort")
    effort = _EFFORTS.get(word) if isinstance(word, str) else None
    if effort is None:
        return None
    fields.take("reasoning_effort")
    return Reasoning(effort=effort, residue=_shaped("reasoning_effort", {"word": word}))


def _reasoning(fields: Fields) -> Reasoning | None:
    if not isinstance(fields.peek("reasoning"), dict):
        return None
    inner = fields.take_fields("reasoning")
    if inner is None:
        return None
    word, shape = inner.peek("effort"), JsonObject()
    effort = _EFFORTS.get(word) if isinstance(word, str) else None
    if effort is not None:
        shape["word"] = inner.take("effort")
    budget = inner.take_int("max_tokens") if effort is None else None
    is_enabled, is_excluded = inner.take_bool("enabled"), inner.take_bool("exclude")
    shape.update({"enabled": is_enabled, "exclude": is_excluded})
    keep_inner(fields, "reasoning", inner)
    return Reasoning(
        effort="none" if is_enabled is False and effort is None else effort,
        budget_tokens=budget,
        is_adaptive=is_enabled is True and effort is None and budget is None,
        is_visible=None if is_excluded is None else not is_excluded,
        residue=_shaped("reasoning", shape),
    )


def _thinking(fields: Fields) -> Reasoning | None:
    value = fields.peek("thinking")
    kind = value.get("type") if isinstance(value, dict) else None
    inner = fields.take_fields("thinking") if isinstance(kind, str) else None
    if inner is None:
        return None
    inner.take("type")
    budget = inner.take_int("budget_tokens") if kind == "enabled" else None
    keep_inner(fields, "thinking", inner)
    return Reasoning(
        effort="none" if kind == "disabled" else None,
        budget_tokens=budget,
        is_adaptive=kind != "disabled" and budget is None,
        residue=_shaped("thinking", {"type": kind}),
    )


def _enable(fields: Fields) -> Reasoning | None:
    is_enabled = fields.take_bool("enable_thinking")
    if is_enabled is None:
        return None
    budget = fields.take_int("thinking_budget") if is_enabled else None
    return Reasoning(
        effort=None if is_enabled else "none",
        budget_tokens=budget,
        is_adaptive=is_enabled and budget is None,
        residue=_shaped("enable_thinking", {}),
    )


def _shaped(key: str, shape: JsonObject) -> Residue:
    return Residue(wire=NAME, shape={"as": key, **shape})


def write_reasoning(reasoning: Reasoning, profile: Profile, body: JsonObject, losses: list[Loss]) -> None:
    """In the client's own way, else as `reasoning_effort`, which most vendors take. What a model does by itself is not
    asked for.
    """
    losses.extend(residue_losses(reasoning.residue, NAME, "reasoning"))
    wanted = reasoning.effort
    if wanted is None and reasoning.budget_tokens is not None and reasoning.budget_tokens >= 0:
        wanted = effort_of(reasoning.budget_tokens)
    if profile.thinking == "none":
        if wanted not in {None, "none"}:
            losses.append(Loss("reasoning.effort", "reasoning effort", "the model does not reason"))
        return
    if reasoning.is_visible and not profile.thinks_visibly:
        losses.append(Loss("reasoning.visible", "visible thoughts", "the model does not show them"))
    write = _WRITERS.get(str(own_shape(reasoning.residue).get("as")), _write_effort)
    effort = _taken(wanted, profile, losses) if reasoning.effort is not None or write is _write_effort else None
    budget = reasoning.budget_tokens or 0
    if write is _write_effort and effort == wanted and budget > 0 and budget not in BUDGETS.values():
        losses.append(Loss("reasoning.budget_tokens", f"budget {budget}", f"an effort stands for it here: {effort}"))
    write(reasoning, effort, body)


def _taken(wanted: Effort | None, profile: Profile, losses: list[Loss]) -> Effort | None:
    if wanted is None:
        return None
    can_stop = wanted == "none" and profile.can_stop_thinking
    given = wanted if can_stop else nearest(wanted, profile.efforts)
    if given != wanted:
        losses.append(Loss("reasoning.effort", f"effort {wanted}", f"the model takes {given or 'none'} instead"))
    return given


def _write_effort(reasoning: Reasoning, effort: Effort | None, body: JsonObject) -> None:
    if effort is not None:
        body["reasoning_effort"] = _word(reasoning, effort)


def _write_reasoning(reasoning: Reasoning, effort: Effort | None, body: JsonObject) -> None:
    shape = own_shape(reasoning.residue)
    have = body.get("reasoning")
    written: JsonObject = dict(have) if isinstance(have, dict) else {}
    for key in ("enabled", "exclude"):
        if shape.get(key) is not None:
            written[key] = shape[key]
    if effort is not None and shape.get("enabled") is not False:
        written["effort"] = _word(reasoning, effort)
    if reasoning.budget_tokens is not None:
        written["max_tokens"] = reasoning.budget_tokens
    body["reasoning"] = written


def _write_thinking(reasoning: Reasoning, effort: Effort | None, body: JsonObject) -> None:
    del effort
    have = body.get("thinking")
    written: JsonObject = {**(have if isinstance(have, dict) else {}), "type": own_shape(reasoning.residue)["type"]}
    if reasoning.budget_tokens is not None:
        written["budget_tokens"] = reasoning.budget_tokens
    body["thinking"] = written


def _write_enable(reasoning: Reasoning, effort: Effort | None, body: JsonObject) -> None:
    body["enable_thinking"] = effort != "none"
    if reasoning.budget_tokens is not None:
        body["thinking_budget"] = reasoning.budget_tokens


def _word(reasoning: Reasoning, effort: Effort) -> JsonValue:
    """The client's own spelling, where it means the same."""
    word = own_shape(reasoning.residue).get("word")
    return word if _EFFORTS.get(word) == effort else effort


_WRITERS: Mapping[str, Callable[[Reasoning, Effort | None, JsonObject], None]] = {
    "reasoning_effort": _write_effort,
    "reasoning": _write_reasoning,
    "thinking": _write_thinking,
    "enable_thinking": _write_enable,
}
