"""Google's Code Assist with the login that Gemini CLI holds. It takes Gemini CLI's own requests, and nobody else's:
whoever else asks is served by the account's own Gemini CLI (`proxy.upstream.acp`).
"""

from __future__ import annotations

from dataclasses import replace

from proxy.providers import gemini, gemini_by_cli
from proxy.providers.base import Endpoint, bearer
from proxy.providers.profiles import profiles

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
    cli_executor="gemini-cli",
    cli_profile=profiles("gemini", gemini_by_cli.profile),
    cli_limits=gemini_by_cli.limits,
)
