"""OpenAI's Responses API, with an API key (``codex-api-key``)."""

from __future__ import annotations

from proxy.providers.base import Endpoint, Provider, bearer
from proxy.providers.openai_compatible import SIDE_ENDPOINTS
from proxy.providers.profiles import models, profiles

PROVIDER = Provider(
    name="openai",
    wire="openai_responses",
    base_url="https://api.openai.com/v1",
    endpoints={
        "generate": Endpoint(path="/responses"),
        "count_tokens": Endpoint(path="/responses/input_tokens"),
        "compact": Endpoint(path="/responses/compact"),
        "retrieve": Endpoint(path="/responses/{id}", method="GET"),
        "delete": Endpoint(path="/responses/{id}", method="DELETE"),
        "embed": Endpoint(path="/embeddings", wire="openai_chat"),
        **{operation: endpoint for operation, endpoint in SIDE_ENDPOINTS.items() if operation != "rerank"},
    },
    authorize=bearer,
    has_socket=True,
    profile=profiles("openai"),
    forwarded=frozenset({"openai-beta"}),
    official=(("user-agent", "codex"), ("originator", "codex")),
    models=models()["openai"],
    list_path="/models",
    families=(
        *("gpt-*", "o1*", "o3*", "o4*", "chatgpt-*", "codex-*"),
        *("text-embedding-*", "whisper-*", "tts-*", "omni-moderation-*"),
    ),
)
