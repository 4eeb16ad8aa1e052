"""Google's Code Assist with the login that Gemini CLI holds. It takes Gemini CLI's own requests, and nobody else's."""

from __future__ import annotations

from dataclasses import replace

from proxy.providers import gemini
from proxy.providers.base import Endpoint, bearer

PROVIDER = replace(
    gemini.PROVIDER,
    name="gemini-cli",
    base_url="https://cloudcode-pa.googleapis.com",
    endpoints={
        "generate": Endpoint(
            path="/v1internal:generateContent", stream_path="/v1internal:streamGenerateContent?alt=sse"
        ),
        "count_tokens": Endpoint(path="/v1internal:countTokens"),
    },
    authorize=bearer,
    models=tuple(model for model in gemini.PROVIDER.models if "generate" in model.operations),
    families=("gemini-*",),
    channel="gemini-cli",
    is_enveloped=True,
    own_cli="Gemini CLI",
)
