"""Whoever speaks OpenAI Chat Completions: one provider for each entry of ``openai-compatibility``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from proxy.providers.base import OF_TEXT, Endpoint, Model, Operation, Provider, bearer
from proxy.providers.profiles import known_model, profiles

_SIDE_PATHS: Mapping[Operation, str] = {
    "draw": "/images/generations",
    "edit_image": "/images/edits",
    "transcribe": "/audio/transcriptions",
    "translate": "/audio/translations",
    "speak": "/audio/speech",
    "moderate": "/moderations",
    "rerank": "/rerank",
}
SIDE_ENDPOINTS: Mapping[Operation, Endpoint] = MappingProxyType(
    {operation: Endpoint(path=path, wire="openai_chat") for operation, path in _SIDE_PATHS.items()}
)
"""Beside text. What of it a server has, its answers tell; `rerank` is in Jina's and Cohere's format."""
OPERATIONS: frozenset[Operation] = frozenset({*OF_TEXT, "embed", *SIDE_ENDPOINTS})


def provider_named(name: str, base_url: str, model_names: tuple[str, ...]) -> Provider:
    """`model_names`: the upstream models of its entry; empty: any name that nobody else offers is asked of it."""
    return Provider(
        name=name,
        wire="openai_chat",
        base_url=base_url,
        endpoints={
            "generate": Endpoint(path="/chat/completions"),
            "complete": Endpoint(path="/completions"),
            "embed": Endpoint(path="/embeddings"),
            **SIDE_ENDPOINTS,
        },
        authorize=bearer,
        profile=profiles("openai_compatible"),
        models=tuple(_model(each) for each in dict.fromkeys(model_names)),
        list_path="/models",
        families=() if model_names else ("*",),
    )


def _model(name: str) -> Model:
    return replace(known_model(name), id=name, operations=OPERATIONS)
