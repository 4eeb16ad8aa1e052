"""Anthropic's Messages API with the login that Claude Code holds, for Claude Code's own requests and nobody else's."""

from __future__ import annotations

from dataclasses import replace

from proxy.providers import anthropic
from proxy.providers.base import bearer

PROVIDER = replace(
    anthropic.PROVIDER,
    name="claude-code",
    authorize=bearer,
    channel="claude",
    own_cli="Claude Code",
)
