"""Google's Gemini Developer API (AI Studio), with an API key."""

from __future__ import annotations

from proxy.providers.base import Endpoint, Provider, header_key
from proxy.providers.profiles import models, profiles

PROVIDER = Provider(
    name="gemini",
    wire="gemini",
    base_url="https://generativelanguage.googleapis.com",
    endpoints={
        # Streams are always asked for as server-sent events: the JSON array is a matter between the client and us.
        "generate": Endpoint(
            path="/v1beta/models/{model}:generateContent",
            stream_path="/v1beta/models/{model}:streamGenerateContent?alt=sse",
        ),
        "count_tokens": Endpoint(path="/v1beta/models/{model}:countTokens"),
        "embed": Endpoint(path="/v1beta/models/{model}:embedContent"),
        "embed_batch": Endpoint(path="/v1beta/models/{model}:batchEmbedContents"),
    },
    authorize=header_key("x-goog-api-key"),
    profile=profiles("gemini"),
    official=(("user-agent", "geminicli"),),
    models=models()["gemini"],
    list_path="/v1beta/models?pageSize=1000",
    families=("gemini-*", "gemma-*", "learnlm-*", "text-embedding-*"),
)
