"""What this wire calls things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.hub.parts import Opaque, Part, Refusal, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Finish, FinishReason
from proxy.wire.fields import residue_fields, residue_shape

NAME = "openai_chat"
CALL_ID_CHARS_MAX = 64
TOOL_NAME_CHARS_MAX = 64
STOPS_MAX = 4
CACHE_MARKS_MAX = 4

_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",  # together
    "end_turn": "stop",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",  # the legacy form
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # mistral
    "content_filter": "refusal",
    "sensitive": "refusal",  # zai
}
_WORDS: Mapping[FinishReason, str] = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "length": "length",
    "refusal": "content_filter",
    "paused": "stop",
    "malformed_call": "stop",
    "other": "stop",
}


def finish_of(raw: str | None, parts: Sequence[Part]) -> Finish:
    """A call that is there beats the upstream's word, unless it was cut or filtered. No word at a clean end: a stop."""
    reason = _REASONS.get(raw.lower(), "other") if raw is not None else "stop"
    if not parts:
        return Finish("stop" if reason == "tool_calls" else reason, raw)
    if reason in {"stop", "other", "tool_calls"}:
        if any(isinstance(part, ToolCall) for part in parts):
            reason = "tool_calls"
        elif any(isinstance(part, Opaque) and part.kind == "tool_call" for part in parts):
            reason = "malformed_call"
        elif any(isinstance(part, Refusal) for part in parts):
            reason = "refusal"
        elif reason == "tool_calls":
            reason = "stop"
    return Finish(reason, raw)


def finish_word(finish: Finish | None, *, has_refusal: bool, is_legacy: bool) -> str | None:
    """For a client. A refusal that is told in words ends with ``stop``, as OpenAI does."""
    if finish is None:
        return None
    if finish.reason == "refusal" and has_refusal:
        return "stop"
    if finish.reason == "tool_calls" and is_legacy:
        return "function_call"
    return _WORDS[finish.reason]


def own_fields(residue: Residue | None) -> JsonObject:
    return residue_fields(residue, NAME)


def shape_of(residue: Residue | None, key: str) -> JsonValue:
    return residue_shape(residue, NAME, key)


def own_shape(residue: Residue | None) -> Mapping[str, JsonValue]:
    return residue.shape if residue is not None and residue.wire == NAME else {}
