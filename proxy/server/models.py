"""What models there are, in the shape of whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from proxy.dispatch.catalogue import meanings
from proxy.dispatch.reach import Reach
from proxy.errors import UnknownModel
from proxy.hub.residue import JsonObject, JsonValue
from proxy.providers.base import Model, Operation


class Listing(Protocol):
    """What clients may ask for, under the names that they may use."""

    def models(self) -> Sequence[Model]:
        """`Model.id` is the client's name for it. Sorted, unique."""
        ...

    def accounts(self) -> Collection[str]:
        """The ids of those that may serve."""
        ...

    def within(self, reach: Reach) -> Listing:
        """What a client sees of it that may not go everywhere."""
        ...


_METHODS: Mapping[Operation, str] = {
    "generate": "generateContent",
    "count_tokens": "countTokens",
    "embed": "embedContent",
    "embed_batch": "batchEmbedContents",
}
"""Google's names of operations."""


_SHOWN: Mapping[str, frozenset[Operation]] = {
    "anthropic": frozenset({"generate"}),
    "gemini": frozenset(_METHODS),
}
"""A wire's clients are shown what they can use: models that do one of these. OpenAI's have a word for everything."""


def render_list(wire: str, listing: Listing) -> JsonObject:
    render, wrap = _SHAPES[wire]
    shown = _SHOWN.get(wire)
    return wrap([render(model) for model in listing.models() if shown is None or model.operations & shown])


def render_one(wire: str, listing: Listing, name: str) -> JsonObject:
    """By any name that it may be asked by. Raises `UnknownModel`."""
    listed = {model.id: model for model in listing.models()}
    for meant in meanings(name):
        if meant in listed:
            return _SHAPES[wire][0](replace(listed[meant], id=name.removeprefix("models/")))
    raise UnknownModel(f"there is no model {name!r}; the list of models names those there are", code="model_not_found")


def _given(fields: Mapping[str, JsonValue]) -> JsonObject:
    """Without what is not known: an unknown limit told as null makes clients fail, a missing one does not."""
    return {key: value for key, value in fields.items() if value is not None}


def _openai(model: Model) -> JsonObject:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created or 0,
        "owned_by": model.owner or "proxy",
        **_given(
            {
                "display_name": model.display_name,
                "context_length": model.context_tokens,
                "max_completion_tokens": model.output_tokens,
            }
        ),
        "architecture": {"input_modalities": list(model.modalities)},
    }


def _openai_list(data: list[JsonValue]) -> JsonObject:
    return {"object": "list", "data": data}


def _anthropic(model: Model) -> JsonObject:
    created = datetime.fromtimestamp(model.created or 0, UTC)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name or model.id,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        **_given({"max_input_tokens": model.context_tokens, "max_tokens": model.output_tokens}),
    }


def _anthropic_list(data: list[JsonValue]) -> JsonObject:
    ids = [each["id"] for each in data if isinstance(each, dict)]
    return {
        "data": data,
        "has_more": False,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }


def _gemini(model: Model) -> JsonObject:
    methods: list[JsonValue] = [name for operation, name in _METHODS.items() if operation in model.operations]
    return {
        "name": f"models/{model.id}",
        "displayName": model.display_name or model.id,
        **_given({"inputTokenLimit": model.context_tokens, "outputTokenLimit": model.output_tokens}),
        "supportedGenerationMethods": methods,
    }


def _gemini_list(data: list[JsonValue]) -> JsonObject:
    return {"models": data}


_SHAPES: Mapping[str, tuple[Callable[[Model], JsonObject], Callable[[list[JsonValue]], JsonObject]]] = {
    "openai_chat": (_openai, _openai_list),
    "anthropic": (_anthropic, _anthropic_list),
    "gemini": (_gemini, _gemini_list),
}
