"""ChatGPT's Codex backend with the login that Codex holds. It takes Codex's own requests, and nobody else's: whoever
else asks is served by the account's own Codex (`proxy.upstream.codex`).
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from proxy.providers import codex_cli, openai
from proxy.providers.base import Endpoint
from proxy.providers.profiles import profiles

OFFERED = ("gpt-5.[5-9]*", "gpt-6*")
"""The models that Codex 0.169 lists; which of them an account has is its plan's to say."""
PROVIDER = replace(
    openai.PROVIDER,
    name="codex",
    base_url="https://chatgpt.com/backend-api/codex",
    endpoints={
        "generate": Endpoint(path="/responses"),
        "compact": Endpoint(path="/responses/compact"),
    },
    models=tuple(
        replace(model, modalities=("text", "image"))
        for model in openai.PROVIDER.models
        if any(fnmatchcase(model.id, each) for each in OFFERED)
    ),
    families=("gpt-*", "codex-*"),
    channel="codex",
    own_cli="Codex",
    cli_executor="codex",
    cli_profile=profiles("openai", codex_cli.profile),
    cli_limits=codex_cli.limits,
)
ACCOUNT_HEADER = "chatgpt-account-id"
"""Names the workspace that pays."""
