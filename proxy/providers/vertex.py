"""Vertex AI in express mode: Gemini models with an API key."""

from __future__ import annotations

from dataclasses import replace

from proxy.hub.profile import Profile
from proxy.providers.base import Endpoint, Provider, header_key
from proxy.providers.profiles import models, profiles


def _without_call_ids(profile: Profile) -> Profile:
    """Vertex refuses the `id` of functionCall and functionResponse (wires.md §1)."""
    return replace(profile, has_call_ids=False)


PROVIDER = Provider(
    name="vertex",
    wire="gemini",
    base_url="https://aiplatform.googleapis.com",
    endpoints={
        "generate": Endpoint(
            path="/v1/publishers/google/models/{model}:generateContent",
            stream_path="/v1/publishers/google/models/{model}:streamGenerateContent?alt=sse",
        ),
        "count_tokens": Endpoint(path="/v1/publishers/google/models/{model}:countTokens"),
    },
    authorize=header_key("x-goog-api-key"),
    profile=profiles("gemini", _without_call_ids),
    models=models()["gemini"],
    families=("gemini-*",),
)
