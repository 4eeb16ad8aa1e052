"""Which providers an account can be added for, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from proxy.config.account_files import COMPATIBLE

KEYS: Mapping[str, str] = MappingProxyType(
    {
        "claude": "claude-api-key",
        "anthropic": "claude-api-key",
        "codex": "codex-api-key",
        "openai": "codex-api-key",
        "gemini": "gemini-api-key",
        "google": "gemini-api-key",
        "vertex": "vertex-api-key",
    }
)
"""What people call a provider → the kind of its keys."""

COMPATIBLE_URLS: Mapping[str, str] = MappingProxyType(
    {
        "openrouter": "https://openrouter.ai/api/v1",
        "groq": "https://api.groq.com/openai/v1",
        "deepseek": "https://api.deepseek.com/v1",
        "mistral": "https://api.mistral.ai/v1",
        "xai": "https://api.x.ai/v1",
        "moonshot": "https://api.moonshot.ai/v1",
        "qwen": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "ollama": "http://127.0.0.1:11434/v1",
    }
)
"""Providers that speak OpenAI Chat Completions, and where. Any other needs a base URL."""


def fields_for(provider: str, key: str, base_url: str | None) -> dict[str, str]:
    """The beginning of an account's file. An unknown provider is one that speaks OpenAI Chat Completions."""
    kind = KEYS.get(provider)
    if kind is not None:
        fields = {"type": kind}
    else:
        fields = {"type": COMPATIBLE, "name": provider}
        base_url = base_url or COMPATIBLE_URLS.get(provider)
    if base_url:
        fields["base-url"] = base_url
    if key:
        fields["api-key"] = key
    return fields
