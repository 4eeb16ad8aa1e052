"""Token counts, both ways. This wire's input includes what was cached, and its output what was reasoned."""

from __future__ import annotations

from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Usage
from proxy.wire.openai_chat.words import NAME, shape_of


def parse_usage(value: JsonValue) -> Usage | None:
    """None for what tells nothing: null, or the bare zeros that some vendors send until they know."""
    if not isinstance(value, dict):
        return None
    prompt, completion = _count(value, "prompt_tokens"), _count(value, "completion_tokens")
    of_prompt, of_completion = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    if not prompt and not completion and not of_prompt:
        return None
    cached = written = reasoning = None
    if of_prompt:
        cached, written = _count(of_prompt, "cached_tokens"), _count(of_prompt, "cache_write_tokens")
    if cached is None and not value.keys().isdisjoint(_CACHED):
        cached = next((count for key in _CACHED if (count := _count(value, key)) is not None), None)
    if of_completion:
        reasoning = _count(of_completion, "reasoning_tokens")
    output = completion
    if output is not None and reasoning and not _is_apart(value, prompt, completion, reasoning):
        output = max(0, output - reasoning)
    return Usage(
        input_uncached=None if prompt is None else max(0, prompt - (cached or 0) - (written or 0)),
        cache_read=cached,
        cache_write=written,
        output=output,
        reasoning=reasoning,
        residue=Residue(wire=NAME, shape={"usage": value}),
    )


_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
"""Where deepseek, moonshot and together, and mistral tell of the cache."""


def _count(told: JsonValue, key: str) -> int | None:
    """A number of tokens; some vendors tell negative ones, or a null instead of the details."""
    value = told.get(key) if isinstance(told, dict) else None
    if type(value) is int:
        return max(0, value)
    return max(0, int(value)) if isinstance(value, float) else None


def _is_apart(usage: JsonObject, prompt: int | None, completion: int | None, reasoning: int | None) -> bool:
    """The completion_tokens of xAI are without the reasoning; the total shows it."""
    total = _count(usage, "total_tokens")
    return bool(reasoning) and total == (prompt or 0) + (completion or 0) + (reasoning or 0)


def render_usage(usage: Usage) -> JsonObject:
    """What came in this wire goes as it came. Details are told where they are known."""
    own = shape_of(usage.residue, "usage")
    if isinstance(own, dict):
        return own
    rendered: JsonObject = {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
    }
    prompt: JsonObject = {}
    if usage.cache_read is not None:
        prompt["cached_tokens"] = usage.cache_read
    if usage.cache_write is not None:
        prompt["cache_write_tokens"] = usage.cache_write
    if prompt:
        rendered["prompt_tokens_details"] = prompt
    if usage.reasoning is not None:
        rendered["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return rendered
