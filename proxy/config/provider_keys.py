"""API keys of providers, and the models behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from auth.secret import Secret
from proxy.config import checks
from proxy.config.error_rules import KEYS_OWN, ErrorRule
from proxy.config.settings import Limits, required, setting

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_KEY = Limits(check=checks.api_key)
WEIGHT = Limits(low=0, high=1_000_000)
CONCURRENCY = Limits(low=0, high=10_000)
PERCENT = Limits(low=0, high=99)
PROXY = Limits(check=checks.proxy_url, is_private=True, example="socks5://127.0.0.1:1080")
HEADERS = Limits(check=checks.headers, is_private=True, example={"X-Team": "blue"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAlias:
    name: str = required("The model's name at the provider.", Limits(check=checks.filled, example="upstream-model"))
    alias: str = setting(
        "",
        "What clients call it; empty: the same. One alias for several names: they take turns.",
        Limits(example="model"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKey:
    """One key of a provider that we know."""

    PLAIN: ClassVar[str] = "api-key"

    api_key: Secret = required("The key.", Limits(check=checks.api_key, example="the-key-of-your-account"))
    base_url: str = setting(
        "",
        "Where its API is; empty: the provider's own.",
        Limits(check=checks.base_url, example="https://api.example.com"),
    )
    proxy_url: str = setting("", "Egress proxy for this key alone; direct for none; empty: the general one.", PROXY)
    prefix: str = setting(
        "", "Its models are also offered as prefix/model.", Limits(check=checks.prefix, example="team")
    )
    priority: int = setting(0, "Higher is served first; lower only when nobody higher is ready.")
    weight: int = setting(1, "Its share of the turns under weighted-round-robin; 0 takes none.", WEIGHT)
    concurrency: int = setting(0, "The most requests under way with it at a time; 0: any number.", CONCURRENCY)
    reserve_percent: int = setting(0, "The share of each usage window to leave to its owner.", PERCENT)
    models: tuple[ModelAlias, ...] = setting((), "The models to offer, by which names; empty: the provider's own list.")
    excluded_models: tuple[str, ...] = setting(
        (), "Models never to use with it; * stands for anything.", Limits(check=checks.filled, example=["*-preview"])
    )
    headers: Mapping[str, str] = setting(_NO_HEADERS, "Headers sent with each of its requests.", HEADERS)
    websockets: bool = setting(
        default=True, sentence="Ask over a WebSocket where the client does and the provider can; false: over HTTP."
    )
    request_scoped_errors: tuple[ErrorRule, ...] = setting((), KEYS_OWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibleKey:
    """One key of an OpenAI-compatible provider."""

    PLAIN: ClassVar[str] = "api-key"

    api_key: Secret = required("The key.", Limits(check=checks.api_key, example="the-key-of-your-account"))
    proxy_url: str = setting("", "Egress proxy for this key alone; direct for none; empty: the general one.", PROXY)
    weight: int = setting(1, "Its share of the turns under weighted-round-robin; 0 takes none.", WEIGHT)
    concurrency: int = setting(0, "The most requests under way with it at a time; 0: any number.", CONCURRENCY)
    reserve_percent: int = setting(0, "The share of each usage window to leave to its owner.", PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibleProvider:
    """A provider that speaks OpenAI Chat Completions: OpenRouter, Groq, vLLM, Ollama, …"""

    name: str = required("What logs and the management API call it.", Limits(check=checks.prefix, example="openrouter"))
    base_url: str = required(
        "Where its API is, up to and including /v1.",
        Limits(check=checks.base_url, example="https://openrouter.ai/api/v1"),
    )
    api_key_entries: tuple[CompatibleKey, ...] = setting((), "Its keys; empty for a local server that asks for none.")
    models: tuple[ModelAlias, ...] = setting((), "The models to offer, by which names; empty: those it lists itself.")
    prefix: str = setting(
        "", "Its models are also offered as prefix/model.", Limits(check=checks.prefix, example="team")
    )
    headers: Mapping[str, str] = setting(_NO_HEADERS, "Headers sent with each of its requests.", HEADERS)
    priority: int = setting(0, "Higher is served first; lower only when nobody higher is ready.")
    disabled: bool = setting(default=False, sentence="Keep the entry, and do not use it.")
    request_scoped_errors: tuple[ErrorRule, ...] = setting((), KEYS_OWN)
