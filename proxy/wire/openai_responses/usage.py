"""Usage: this wire counts cached tokens as input and thoughts as output; the hub's buckets are disjoint."""

from __future__ import annotations

from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Usage
from proxy.wire.fields import residue_shape
from proxy.wire.openai_responses.losses import NAME


def parse_usage(value: JsonValue) -> Usage | None:
    """None where it tells of no tokens."""
    if not isinstance(value, dict):
        return None
    read, write = (
        _detail(value, "input_tokens_details", "cached_tokens"),
        _detail(value, "input_tokens_details", "cache_write_tokens"),
    )
    reasoning = _detail(value, "output_tokens_details", "reasoning_tokens")
    total_in, total_out = _count(value.get("input_tokens")), _count(value.get("output_tokens"))
    if total_in is None and total_out is None:
        return None
    return Usage(
        input_uncached=None if total_in is None else max(total_in - (read or 0) - (write or 0), 0),
        cache_read=read,
        cache_write=write,
        output=None if total_out is None else _visible(total_out, reasoning or 0),
        reasoning=reasoning,
        residue=Residue(wire=NAME, shape={"raw": value}),
    )


def _visible(total: int, reasoning: int) -> int:
    """More thoughts than output: a vendor that counts them apart."""
    return total - reasoning if reasoning <= total else total


def _detail(usage: JsonObject, key: str, name: str) -> int | None:
    details = usage.get(key)
    return _count(details.get(name)) if isinstance(details, dict) else None


def _count(value: JsonValue) -> int | None:
    """Some vendors send negative numbers: that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return max(int(value), 0)


def render_usage(usage: Usage | None) -> JsonValue:
    """The details are always there: SDKs and the Codex CLI rely on them."""
    if usage is None:
        return None
    raw = residue_shape(usage.residue, NAME, "raw")
    if raw is not None:
        return raw
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": usage.cache_write or 0,
        },
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.input_total + usage.output_total,
    }
