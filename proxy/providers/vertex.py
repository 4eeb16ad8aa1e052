"""Vertex AI: Gemini models with an API key (express mode), or with a service account's token in one of its projects."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from proxy.hub.profile import Profile
from proxy.providers.base import Endpoint, Provider, bearer, header_key
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

ACCOUNT = replace(
    PROVIDER,
    name="vertex-account",
    base_url="https://aiplatform.googleapis.com/v1",
    endpoints={
        "generate": Endpoint(
            path="/publishers/google/models/{model}:generateContent",
            stream_path="/publishers/google/models/{model}:streamGenerateContent?alt=sse",
        ),
        "count_tokens": Endpoint(path="/publishers/google/models/{model}:countTokens"),
    },
    authorize=bearer,
    channel="vertex",
)
"""Asked with a token. Project and place are part of the address, and so each credential has its own: `place_of`."""

_MULTI_REGIONS = frozenset({"us", "eu"})


def place_of(project: str, location: str, base_url: str = "") -> str:
    """The base URL of a project in a location; ``global`` and the multi-regions are ones, too. `base_url`: of the API,
    where it is not Google's own.
    """
    host = f"https://{location}-aiplatform.googleapis.com"
    if location == "global":
        host = "https://aiplatform.googleapis.com"
    elif location in _MULTI_REGIONS:
        host = f"https://aiplatform.{location}.rep.googleapis.com"
    base = base_url.rstrip("/").removesuffix("/v1") or host
    return f"{base}/v1/projects/{quote(project, safe=':')}/locations/{quote(location, safe='')}"
