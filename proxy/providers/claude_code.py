"""Anthropic's Messages API with the login that Claude Code holds. It takes Claude Code's own requests, and nobody
else's: whoever else asks is served by the account's own Claude Code (`proxy.upstream.claude_code`).
"""

from __future__ import annotations

from dataclasses import replace

from proxy.providers import anthropic, claude_cli
from proxy.providers.base import bearer
from proxy.providers.profiles import profiles

PROVIDER = replace(
    anthropic.PROVIDER,
    name="claude-code",
    authorize=bearer,
    channel="claude",
    own_cli="Claude Code",
    cli_executor="claude-code",
    cli_profile=profiles("anthropic", claude_cli.profile),
    cli_limits=claude_cli.limits,
)
