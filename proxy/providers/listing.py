"""A provider's own list of its models, read as far as it goes: of what it does not tell, what we know stays.

Shapes: OpenAI and its likes ``{"data": [{"id", "created", "owned_by", …}]}`` (OpenRouter, vLLM and others add limits
and modalities under names of their own), Anthropic ``{"data": […], "has_more", "last_id"}``, Google ``{"models": […],
"nextPageToken"}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from types import MappingProxyType
from urllib.parse import quote

from proxy.hub.residue import JsonObject, JsonValue
from proxy.providers.base import Model, Operation, Provider
from proxy.providers.profiles import known_model
from proxy.wire.base import loads_upstream

MODELS_MAX = 2000
NAME_CHARACTERS_MAX = 256
_TALK: frozenset[Operation] = frozenset({"generate", "count_tokens"})
_NOTHING: frozenset[Operation] = frozenset()
_BY_NAME: tuple[tuple[tuple[str, ...], frozenset[Operation]], ...] = (
    (("*embed*",), frozenset({"embed"})),
    (("*-transcribe*", "whisper*"), frozenset({"transcribe", "translate"})),
    (("*-tts*", "tts-*"), frozenset({"speak"})),
    (("*moderation*",), frozenset({"moderate"})),
    (("gpt-image-*", "dall-e-*", "chatgpt-image-*"), frozenset({"draw", "edit_image"})),
    (("*rerank*",), frozenset({"rerank"})),
    (("babbage-*", "davinci-*", "*-instruct"), frozenset({"complete"})),
    (("*realtime*", "sora-*", "*-live-*", "veo-*", "imagen-*", "*-audio-*"), _NOTHING),
)
"""What OpenAI's list does not tell: what a model is for, by its name. The first row that fits; any other talks."""
_METHODS: Mapping[str, Operation] = MappingProxyType(
    {
        "generateContent": "generate",
        "countTokens": "count_tokens",
        "embedContent": "embed",
        "batchEmbedContents": "embed_batch",
    }
)
_CONTEXT = ("context_length", "context_window", "max_model_len", "max_input_tokens", "max_context_length")
_OUTPUT = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_DATED = re.compile(r"(.+?)-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest)")


class Unreadable(ValueError):
    """It is no list of models. The text is the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Page:
    """`entries`: as the provider has them. `following`: the query of the next page, to be appended; empty: the last."""

    entries: tuple[JsonObject, ...]
    following: str = ""


def page_of(provider: Provider, body: bytes) -> Page:
    """Raises `Unreadable`."""
    try:
        value = loads_upstream(body)
    except (ValueError, RecursionError):
        raise Unreadable("is no JSON") from None
    if isinstance(value, list):
        value = {"data": value}  # some compatible servers
    if not isinstance(value, dict):
        raise Unreadable("is no JSON object")
    return (_google_page if provider.wire == "gemini" else _page)(value)


def _page(value: JsonObject) -> Page:
    last = value.get("last_id")
    is_last = value.get("has_more") is not True or not isinstance(last, str)
    return Page(_objects(value.get("data")), "" if is_last else f"after_id={quote(str(last), safe='')}")


def _google_page(value: JsonObject) -> Page:
    token = value.get("nextPageToken")
    following = f"pageToken={quote(token, safe='')}" if isinstance(token, str) and token else ""
    return Page(_objects(value.get("models")), following)


def _objects(value: JsonValue) -> tuple[JsonObject, ...]:
    if not isinstance(value, list):
        raise Unreadable("names no models")
    return tuple(each for each in value if isinstance(each, dict))


def models_of(provider: Provider, entries: Iterable[JsonObject]) -> tuple[Model, ...]:
    """What can be asked of us, with what we know of it, and the names without a date that stand for one of them.

    Raises `Unreadable` where there is nothing.
    """
    read: Callable[[JsonObject, Provider], Model | None] = _google if provider.wire == "gemini" else _openai
    told: dict[str, Model] = {}
    for entry in entries:
        model = read(entry, provider)
        if model is not None and model.operations and len(told) < MODELS_MAX:
            told.setdefault(model.id, model)
    if not told:
        raise Unreadable("names no model that can be asked")
    dated = {found[1] for found in map(_DATED.fullmatch, told) if found}
    aliases = {model.id: model for model in provider.models if model.id in dated and model.id not in told}
    return (*aliases.values(), *told.values())


def _known(name: str, provider: Provider) -> Model | None:
    own = next((model for model in provider.models if model.id == name), None)
    if own is not None:
        return own
    found = _DATED.fullmatch(name)
    for each in (name, *(found.groups() if found else ())):
        model = known_model(each)
        if model != Model(id=each):
            return replace(model, id=name)
    return None


def _name(value: JsonValue) -> str:
    return value if isinstance(value, str) and value.isprintable() and 0 < len(value) <= NAME_CHARACTERS_MAX else ""


def _openai(entry: JsonObject, provider: Provider) -> Model | None:
    name = _name(entry.get("id"))
    if not name:
        return None
    known = _known(name, provider)
    model = known or Model(id=name, operations=_operations(name))
    top = entry.get("top_provider")
    inner = top if isinstance(top, dict) else {}
    return replace(
        model,
        display_name=_text(entry.get("display_name"), entry.get("name")) or model.display_name,
        context_tokens=_count(entry, _CONTEXT) or model.context_tokens,
        output_tokens=_count(entry, _OUTPUT) or _count(inner, _OUTPUT) or model.output_tokens,
        modalities=_modalities(entry) or model.modalities,
        created=_created(entry) or model.created,
        owner=_text(entry.get("owned_by")) or model.owner,
    )


def _operations(name: str) -> frozenset[Operation]:
    bare = name.rsplit("/", 1)[-1].lower()
    for patterns, operations in _BY_NAME:
        if any(fnmatchcase(bare, pattern) for pattern in patterns):
            return operations
    return _TALK


def _google(entry: JsonObject, provider: Provider) -> Model | None:
    name = _name(entry.get("name")).removeprefix("models/")
    if not name:
        return None
    model = _known(name, provider) or Model(id=name, modalities=("text", "image", "audio", "video", "document"))
    methods = entry.get("supportedGenerationMethods")
    told = (
        frozenset(_METHODS[each] for each in methods if isinstance(each, str) and each in _METHODS)
        if isinstance(methods, list)
        else model.operations
    )
    if "embed" in told:
        told |= {"embed_batch"}  # Google's list leaves it out, and serves it
    return replace(
        model,
        display_name=_text(entry.get("displayName")) or model.display_name,
        context_tokens=_count(entry, ("inputTokenLimit",)) or model.context_tokens,
        output_tokens=_count(entry, ("outputTokenLimit",)) or model.output_tokens,
        operations=told,
    )


def _count(entry: Mapping[str, JsonValue], keys: Iterable[str]) -> int | None:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _text(*values: JsonValue) -> str | None:
    return next((value for value in values if isinstance(value, str) and value and value.isprintable()), None)


def _created(entry: JsonObject) -> int | None:
    created = _count(entry, ("created",))
    told = entry.get("created_at")
    if created is not None or not isinstance(told, str):
        return created
    try:
        return int(datetime.fromisoformat(told).timestamp()) or None
    except ValueError:
        return None


def _modalities(entry: JsonObject) -> tuple[str, ...]:
    """As OpenRouter tells them."""
    architecture = entry.get("architecture")
    told = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    return tuple(_each_text(told)) if isinstance(told, list) else ()


def _each_text(values: Iterable[JsonValue]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and value.isprintable():
            yield "document" if value == "file" else value
