"""Everything of a request that is neither conversation nor tools: reasoning, output format, sampling, hints."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from proxy.errors import Untranslatable
from proxy.hub.effort import BUDGETS, effort_of, nearest
from proxy.hub.parts import Text
from proxy.hub.profile import ALL_EFFORTS, Profile
from proxy.hub.request import Effort, Hints, OutputFormat, Reasoning, Request, Sampling
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import dumps
from proxy.wire.fields import Fields, residue_fields, residue_shape
from proxy.wire.openai_responses.losses import NAME, Losses

OUTPUT_TOKENS_MIN = 16
KEY_CHARS_MAX = 64
"""Of ``prompt_cache_key``, ``user`` and a format's name."""
LOGPROBS = "message.output_text.logprobs"
_FORMATS: Mapping[str, Literal["text", "json", "json_schema"]] = {
    "text": "text",
    "json_object": "json",
    "json_schema": "json_schema",
}
_FORMAT_TYPES: Mapping[str, str] = {kind: name for name, kind in _FORMATS.items()}
_EFFORTS: Mapping[str, Effort] = {effort: effort for effort in ALL_EFFORTS} | {"ultra": "max"}
"""`ultra` is a word of the Codex CLI: the most, with helpers."""
_Verbosity: TypeAlias = Literal["low", "medium", "high"]
_VERBOSITIES: Mapping[str, _Verbosity] = {"low": "low", "medium": "medium", "high": "high"}
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_SAMPLING = ("temperature", "top_p")
_UNSAYABLE = ("top_k", "stop", "seed", "presence_penalty", "frequency_penalty")
"""Settings that this wire has no field for."""


def parse_reasoning(fields: Fields) -> Reasoning | None:
    inner = fields.take_fields("reasoning")
    if inner is None:
        return None
    shape: JsonObject = {}
    word = inner.take_str("effort")
    effort = _EFFORTS.get(word or "")
    if word is not None and effort is None:
        inner.give_back("effort", word)
    elif word != effort:
        shape["effort"] = word
    summary = inner.take_str("summary")
    if summary is not None:
        shape["summary"] = summary
    is_visible = None if summary is None else summary != "none"
    return Reasoning(effort=effort, is_visible=is_visible, residue=inner.residue(own=True, **shape))


def render_reasoning(reasoning: Reasoning | None, profile: Profile, losses: Losses) -> JsonObject:
    if reasoning is None:
        return {}
    losses.note_residue(reasoning.residue, "reasoning")
    if profile.thinking == "none":
        if reasoning.effort not in {None, "none"} or reasoning.budget_tokens:
            losses.note("reasoning", "reasoning", "this model does not think")
        return {}
    body: JsonObject = {}
    asked = _asked(reasoning)
    if asked is not None:
        can_stop = asked == "none" and profile.can_stop_thinking
        effort = asked if can_stop else nearest(asked, profile.efforts) or asked
        if effort != asked:
            losses.note("reasoning.effort", f"effort {asked}", f"this model takes {effort} at the nearest")
        elif reasoning.effort is None and reasoning.budget_tokens not in {0, *BUDGETS.values()}:
            what = f"budget of {reasoning.budget_tokens} tokens"
            losses.note("reasoning.budget_tokens", what, f"an effort stands for it here: {effort}")
        own = residue_shape(reasoning.residue, NAME, "effort")
        body["effort"] = own if own is not None and effort == "max" else effort
    if reasoning.is_visible is not None:
        own = residue_shape(reasoning.residue, NAME, "summary")
        if own is not None:
            body["summary"] = own
        elif reasoning.is_visible and profile.thinks_visibly:
            body["summary"] = "auto"
        elif reasoning.is_visible:
            losses.note("reasoning.summary", "visible thoughts", "this model does not show them")
    body.update(residue_fields(reasoning.residue, NAME))
    is_own = reasoning.residue is not None and reasoning.residue.wire == NAME
    return {"reasoning": body} if body or is_own else {}


def _asked(reasoning: Reasoning) -> Effort | None:
    """A negative budget leaves it to the model."""
    budget = reasoning.budget_tokens
    return reasoning.effort or (effort_of(budget) if budget is not None and budget >= 0 else None)


def parse_text(fields: Fields) -> tuple[OutputFormat | None, _Verbosity | None, bool]:
    """The format, the verbosity, and whether there was a ``text`` at all. What else it holds goes back into it."""
    inner = fields.take_fields("text")
    if inner is None:
        return None, None, False
    word = inner.peek("verbosity")
    verbosity = _VERBOSITIES.get(word) if isinstance(word, str) else None
    if verbosity is not None:
        inner.take("verbosity")
    output = _parse_format(inner)
    rest = inner.residue()
    if rest is not None:
        fields.give_back("text", dict(rest.fields))
    return output, verbosity, True


def _parse_format(text: Fields) -> OutputFormat | None:
    raw = text.peek("format")
    kind = _FORMATS.get(str(raw.get("type"))) if isinstance(raw, dict) else None
    inner = text.take_fields("format") if kind is not None else None
    if inner is None or kind is None:
        return None
    inner.take("type")
    return OutputFormat(
        kind=kind,
        schema=inner.take_object("schema"),
        name=inner.take_str("name"),
        description=inner.take_str("description"),
        is_strict=inner.take_bool("strict"),
        residue=inner.residue(own=True),
    )


def render_text(request: Request, profile: Profile, losses: Losses) -> JsonObject:
    """``text``. A schema that the model cannot be held to becomes json mode; see `output_instruction`."""
    body: JsonObject = {}
    output = request.output
    if output is not None:
        losses.note_residue(output.residue, "response_format")
        body["format"] = _render_format(output, profile, losses)
    if request.hints.verbosity is not None:
        if "verbosity" in profile.extras:
            body["verbosity"] = request.hints.verbosity
        else:
            losses.note("verbosity", "verbosity", "this model does not take it")
    own = residue_fields(request.residue, NAME).get("text")
    body.update(own if isinstance(own, dict) else {})
    return {"text": body} if body or residue_shape(request.residue, NAME, "has_text") else {}


def _render_format(output: OutputFormat, profile: Profile, losses: Losses) -> JsonObject:
    is_own = output.residue is not None and output.residue.wire == NAME
    if output.kind == "json_schema" and not profile.has_json_schema:
        losses.note(
            "response_format.schema", "schema", "this model has json mode only; the schema is an instruction now"
        )
        return {"type": "json_object"}
    body: JsonObject = {"type": _FORMAT_TYPES[output.kind], "schema": output.schema, "description": output.description}
    if output.kind == "json_schema":
        body["name"] = output.name if is_own else _format_name(output.name, losses)
        if output.is_strict and not profile.has_strict_schema:
            losses.note("response_format.strict", "strict", "this model does not take it")
        else:
            body["strict"] = output.is_strict
    present: JsonObject = {key: value for key, value in body.items() if value is not None}
    return {**present, **residue_fields(output.residue, NAME)}


def _format_name(name: str | None, losses: Losses) -> str:
    legal = re.sub(r"[^A-Za-z0-9_-]", "_", name or "")[:KEY_CHARS_MAX] or "response"
    if name is not None and legal != name:
        losses.note("response_format.name", f"name {name}", f"it is written {legal} here")
    return legal


def output_instruction(request: Request, profile: Profile, *, is_own: bool) -> str | None:
    """What the model must be told in words: a schema that it cannot be held to; or json mode, which is refused where no
    message of the input speaks of JSON, whatever the instructions say.
    """
    output = request.output
    if output is None or output.kind == "text":
        return None
    if output.kind == "json_schema":
        if profile.has_json_schema:
            return None
        schema = dumps(output.schema or {}).decode()
        return f"Answer with one JSON object that is valid under this JSON Schema: {schema}"
    return None if is_own or _speaks_of_json(request) else "Answer with one JSON object."


def _speaks_of_json(request: Request) -> bool:
    texts = (part.text for message in request.messages for part in message.parts if isinstance(part, Text))
    return any("json" in text.lower() for text in texts)


def parse_sampling(fields: Fields, include: list[JsonValue]) -> Sampling:
    alternatives = fields.take_int("top_logprobs")
    if alternatives == 0:
        fields.give_back("top_logprobs", 0)
    if not alternatives:
        alternatives = 0 if LOGPROBS in include else None
    return Sampling(
        max_output_tokens=fields.take_int("max_output_tokens"),
        temperature=fields.take_number("temperature"),
        top_p=fields.take_number("top_p"),
        logprobs=alternatives,
    )


def render_sampling(sampling: Sampling, profile: Profile, losses: Losses, *, is_own: bool) -> JsonObject:
    body: JsonObject = {}
    if (tokens := sampling.max_output_tokens) is not None:
        least = tokens if is_own else OUTPUT_TOKENS_MIN
        body["max_output_tokens"] = _limit(tokens, least, profile.max_output_tokens, losses)
    for key in _SAMPLING:
        value = getattr(sampling, key)
        if value is not None and key in profile.sampling:
            body[key] = _within(key, value, profile, losses)
        elif value is not None:
            losses.note(key, key, "this model does not take it")
    for key in _UNSAYABLE:
        if getattr(sampling, key) not in {None, ()}:
            losses.note(key, key, "OpenAI Responses has no such setting")
    if sampling.candidates is not None and sampling.candidates > 1:
        raise Untranslatable("OpenAI Responses gives one answer a request: leave out n, or ask n times", path="n")
    if sampling.logprobs is not None:
        if "logprobs" not in profile.sampling:
            losses.note("logprobs", "logprobs", "this model does not take it")
        elif sampling.logprobs or not is_own:
            body["top_logprobs"] = sampling.logprobs
    return body


def _limit(tokens: int, least: int, most: int | None, losses: Losses) -> int:
    if tokens < least:
        losses.note("max_tokens", f"a limit of {tokens} tokens", f"the least is {least} here")
        return least
    if most is not None and tokens > most:
        losses.note("max_tokens", f"a limit of {tokens} tokens", f"this model writes {most} at most")
        return most
    return tokens


def _within(key: str, value: float, profile: Profile, losses: Losses) -> float:
    if key != "temperature" or value <= profile.temperature_max:
        return value
    losses.note(key, f"temperature {value}", f"the most that this model takes is {profile.temperature_max}")
    return profile.temperature_max


def parse_hints(fields: Fields, verbosity: _Verbosity | None) -> Hints:
    metadata = fields.peek("metadata")
    words: dict[str, str] = {}
    if isinstance(metadata, dict) and metadata and all(isinstance(word, str) for word in metadata.values()):
        fields.take("metadata")
        words = {key: str(word) for key, word in metadata.items()}
    return Hints(
        user=fields.take_str("user"),
        metadata=words,
        service_tier=fields.take_str("service_tier"),
        verbosity=verbosity,
        cache_key=fields.take_str("prompt_cache_key"),
    )


def render_hints(hints: Hints, profile: Profile, losses: Losses, *, is_own: bool) -> JsonObject:
    """All but the verbosity."""
    user, key = hints.user, hints.cache_key
    if user is not None and len(user) > KEY_CHARS_MAX and not is_own:
        losses.note("user", "user", f"it is longer than {KEY_CHARS_MAX} characters")
        user = None
    if key is not None and len(key) > KEY_CHARS_MAX and not is_own:
        key = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    tier = hints.service_tier
    if tier is not None and tier not in _TIERS and not is_own:
        losses.note("service_tier", f"service tier {tier}", "OpenAI has no tier of that name")
        tier = None
    said: tuple[tuple[str, str, JsonValue], ...] = (
        ("user", "user", user),
        ("metadata", "metadata", {**hints.metadata} or None),
        ("service_tier", "service_tier", tier),
        ("prompt_cache_key", "cache_key", key),
    )
    body: JsonObject = {}
    for name, extra, value in said:
        if value is not None and extra in profile.extras:
            body[name] = value
        elif value is not None:
            losses.note(name, name, "this model does not take it")
    return body


def own_residue(shape: JsonObject, fields: Fields) -> Residue:
    """Of a whole request: always there, so that its home is known."""
    residue = fields.residue()
    return Residue(wire=NAME, fields=residue.fields if residue is not None else {}, shape=shape)
