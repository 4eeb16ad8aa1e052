"""`usageMetadata` ↔ the hub's disjoint buckets. Google counts cached tokens inside the prompt, thoughts beside the
candidates, and what its own tools fed the model beside the prompt.
"""

from __future__ import annotations

from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Usage
from proxy.wire.fields import residue_fields, residue_shape
from proxy.wire.gemini.words import NAME

_COUNTS = ("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
_FED = "toolUsePromptTokenCount"


def parse_usage(raw: JsonObject) -> Usage:
    prompt, cached, output, thoughts = (_count(raw.get(key)) for key in _COUNTS)
    fed = _count(raw.get(_FED)) or 0
    uncached = None if prompt is None and not fed else max(0, (prompt or 0) + fed - (cached or 0))
    counted = {key for key in _COUNTS if _count(raw.get(key)) is not None}
    shape: JsonObject = {}
    if (uncached or 0) + (cached or 0) - fed != (prompt or 0) or (prompt is None and uncached is not None):
        shape["prompt"] = prompt
    return Usage(
        input_uncached=uncached,
        cache_read=cached,
        output=output,
        reasoning=thoughts,
        residue=Residue(wire=NAME, fields={key: item for key, item in raw.items() if key not in counted}, shape=shape),
    )


def prompt_usage(raw: JsonValue) -> Usage | None:
    """What an early chunk knows of the prompt; its other counts go on growing."""
    if not isinstance(raw, dict) or _count(raw.get("promptTokenCount")) is None:
        return None
    usage = parse_usage(raw)
    return Usage(input_uncached=usage.input_uncached, cache_read=usage.cache_read)


def render_usage(usage: Usage) -> JsonObject:
    if usage.residue is None or usage.residue.wire != NAME:
        return _foreign(usage)
    fields = residue_fields(usage.residue, NAME)
    body: JsonObject = {}
    shape = usage.residue.shape
    prompt = usage.input_total - (_count(fields.get(_FED)) or 0) if usage.input_uncached is not None else None
    for key, count in zip(
        _COUNTS,
        (residue_shape(usage.residue, NAME, "prompt") if "prompt" in shape else prompt,
         usage.cache_read, usage.output, usage.reasoning),
        strict=True,
    ):  # fmt: skip
        if count is not None:
            body[key] = count
    return {**body, **fields}


def _foreign(usage: Usage) -> JsonObject:
    body: JsonObject = {"promptTokenCount": usage.input_total, "candidatesTokenCount": usage.output or 0}
    if usage.cache_read:
        body["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        body["thoughtsTokenCount"] = usage.reasoning
    body["totalTokenCount"] = usage.input_total + usage.output_total
    return body


def _count(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
