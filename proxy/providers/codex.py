"""ChatGPT's Codex backend with the login that Codex holds. It takes Codex's own requests, and nobody else's: whoever
else asks is served by the account's own Codex (`proxy.upstream.codex`).
"""

from __future__ import annotations

from dataclasses import replace

from proxy.providers import codex_cli, openai
from proxy.providers.base import Endpoint
from proxy.providers.profiles import profiles

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
    cli_executor="codex",
    cli_profile=profiles("openai", codex_cli.profile),
    cli_limits=codex_cli.limits,
)
ACCOUNT_HEADER = "chatgpt-account-id"
"""Names the workspace that pays."""
