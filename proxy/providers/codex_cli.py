"""What Codex can say for another client, and what it cannot: an outgoing request is cut to it, and each cut is named.

Observed of codex 0.169: its app-server takes a model, instructions, a history, tools, an effort and a schema. It has no
words for how an answer is sampled or how long it may be, and keeps a few names of tools for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject, JsonValue
from proxy.providers.base import Limited
from proxy.providers.codex_history import cut_history, instruction
from proxy.providers.codex_tools import cut_tools
from proxy.wire.base import dumps

_TAKEN = frozenset({"model", "instructions", "input", "tools", "stream"})
_SAMPLING = "Codex does not say how an answer is sampled"
_WHY: Mapping[str, tuple[str, str]] = {
    "temperature": ("temperature", _SAMPLING),
    "top_p": ("top_p", _SAMPLING),
    "top_logprobs": ("logprobs", _SAMPLING),
    "max_output_tokens": ("max_tokens", "Codex does not say how long an answer may be"),
    "prompt_cache_key": ("prompt_cache_key", "Codex has one of its own for each conversation"),
    "metadata": ("metadata", "Codex sends what it keeps of its own accord"),
    "user": ("user", "the account's owner is who asks"),
    "safety_identifier": ("safety_identifier", "the account's owner is who asks"),
}
"""Key → the path that clients know it by, and why it is left out."""
_SAME: Mapping[str, tuple[JsonValue, ...]] = {
    "parallel_tool_calls": (True,),
    "store": (True, False),  # what is to be stored, the server stores itself
    "truncation": ("disabled", "auto"),
    "background": (False,),
    "generate": (True,),
    "metadata": ({},),
}
"""Key → values that ask for what Codex does anyway."""
_OWN_INCLUDES = frozenset({"reasoning.encrypted_content"})
_STATE = ("previous_response_id", "conversation", "prompt")


def profile(known: Profile) -> Profile:
    return replace(
        known,
        sampling=frozenset(),
        media=frozenset({"image"}),
        takes_media_url=False,
        has_custom_tools=False,
        has_cache_marks=False,
        hosted_tools=known.hosted_tools & {"web_search"},
        extras=known.extras & {"verbosity", "service_tier", "store", "max_completion_tokens"},
    )


def limits(body: JsonObject) -> Limited:
    """Raises `Untranslatable`."""
    for key in _STATE:
        if body.get(key) is not None:
            raise Untranslatable(
                f"{key}: Codex asks for nothing that the server keeps; send the whole conversation, or ask an API key",
                path=key,
            )
    losses: list[Loss] = []
    names = cut_tools(body, losses)
    cut_history(body, names, losses)
    for key in [*body]:
        if key not in _TAKEN:
            _CUTS.get(key, _left_out)(body, key, losses)
    return Limited(tuple(losses), names)


def _left_out(body: JsonObject, key: str, losses: list[Loss]) -> None:
    value = body.pop(key)
    if value is not None and value not in _SAME.get(key, ()):
        path, why = _WHY.get(key, (key, "Codex has no such setting"))
        losses.append(Loss(path, key, why))


def _silently(body: JsonObject, key: str, _losses: list[Loss]) -> None:
    del body[key]


def _include(body: JsonObject, key: str, losses: list[Loss]) -> None:
    value = body.pop(key)
    losses.extend(
        Loss(key, str(each), "Codex asks for its encrypted thoughts only")
        for each in (value if isinstance(value, list) else [])
        if each not in _OWN_INCLUDES
    )


def _reasoning(body: JsonObject, key: str, losses: list[Loss]) -> None:
    _keep(body, key, {"effort", "summary"}, losses)


def _tier(body: JsonObject, key: str, _losses: list[Loss]) -> None:
    if body[key] in {None, "auto"}:
        del body[key]


def _text(body: JsonObject, key: str, losses: list[Loss]) -> None:
    _keep(body, key, {"format", "verbosity"}, losses)
    text = body.get(key)
    wanted = text.get("format") if isinstance(text, dict) else None
    if not isinstance(text, dict) or not isinstance(wanted, dict) or wanted.get("type") == "text":
        return
    schema = wanted.get("schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict):
        del text["format"]
        losses.append(Loss("response_format", "json mode", "Codex holds an answer to a schema, or to nothing"))
    elif wanted.get("strict") is not True and not is_strict(schema):
        del text["format"]
        why = "Codex knows strict schemas only; it is an instruction now"
        losses.append(Loss("response_format.schema", "schema", why))
        words = f"Answer with one JSON object that is valid under this JSON Schema: {dumps(schema).decode()}"
        body["input"] = [instruction(words), *_list(body.get("input"))]


def is_strict(schema: JsonValue) -> bool:
    """Whether it may be enforced: each of its objects names all that it may hold, and requires it."""
    if isinstance(schema, list):
        return all(is_strict(each) for each in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        named = properties if isinstance(properties, dict) else {}
        if schema.get("additionalProperties") is not False or {*named} != {*map(str, _list(schema.get("required")))}:
            return False
    return all(is_strict(each) for key, each in schema.items() if key not in {"enum", "const", "default", "examples"})


def _keep(body: JsonObject, key: str, names: set[str], losses: list[Loss]) -> None:
    value = body.get(key)
    if not isinstance(value, dict):
        del body[key]
        return
    kept: JsonObject = {name: each for name, each in value.items() if name in names and each is not None}
    body[key] = kept
    losses.extend(
        Loss(f"{key}.{name}", name, "Codex has no such setting")
        for name, each in value.items()
        if name not in names and each is not None
    )
    if not kept:
        del body[key]


def _list(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    return value if isinstance(value, list) else []


_CUTS: Mapping[str, Callable[[JsonObject, str, list[Loss]], None]] = {
    "include": _include,
    "reasoning": _reasoning,
    "service_tier": _tier,
    "stream_options": _silently,
    "text": _text,
    "tool_choice": _silently,  # has been read with the tools
}
