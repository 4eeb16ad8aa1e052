"""Whoever speaks OpenAI Chat Completions: one provider for each entry of ``openai-compatibility``."""

from __future__ import annotations

from dataclasses import replace

from proxy.providers.base import Endpoint, Model, Operation, Provider, bearer
from proxy.providers.profiles import known_model, profiles

OPERATIONS: frozenset[Operation] = frozenset({"generate", "count_tokens", "complete", "embed"})


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
        },
        authorize=bearer,
        profile=profiles("openai_compatible"),
        models=tuple(_model(each) for each in dict.fromkeys(model_names)),
        families=() if model_names else ("*",),
    )


def _model(name: str) -> Model:
    return replace(known_model(name), id=name, operations=OPERATIONS)
