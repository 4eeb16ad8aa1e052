"""ChatGPT's Codex backend with the login that Codex holds. It takes Codex's own requests, and nobody else's."""

from __future__ import annotations

from dataclasses import replace

from proxy.providers import openai
from proxy.providers.base import Endpoint

PROVIDER = replace(
    openai.PROVIDER,
    name="codex",
    base_url="https://chatgpt.com/backend-api/codex",
    endpoints={
        "generate": Endpoint(path="/responses"),
        "compact": Endpoint(path="/responses/compact"),
    },
    families=("gpt-*", "codex-*"),
    channel="codex",
    own_cli="Codex",
)
ACCOUNT_HEADER = "chatgpt-account-id"
"""Names the workspace that pays."""
