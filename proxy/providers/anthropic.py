"""Anthropic's Messages API, with an API key."""

from __future__ import annotations

from proxy.providers.base import Endpoint, Provider, header_key
from proxy.providers.profiles import models, profiles

PROVIDER = Provider(
    name="anthropic",
    wire="anthropic",
    base_url="https://api.anthropic.com",
    endpoints={
        "generate": Endpoint(path="/v1/messages"),
        "count_tokens": Endpoint(path="/v1/messages/count_tokens"),
    },
    authorize=header_key("x-api-key"),
    profile=profiles("anthropic"),
    # The older of the two versions takes the sampling fields of older models; newer models refuse them under both.
    headers=(("anthropic-version", "2023-06-01"),),
    forwarded=frozenset({"anthropic-version", "anthropic-beta"}),
    # Others call themselves so, too; the session is Claude Code's alone.
    official=(("user-agent", "claude-cli/"), ("x-claude-code-session-id", "")),
    models=models()["anthropic"],
    list_path="/v1/models?limit=1000",
    families=("claude-*",),
)
