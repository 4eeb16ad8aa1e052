"""Providers and credentials as a configuration names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from auth.credential import Credential
from auth.secret import Secret
from proxy.config.provider_keys import CompatibleKey, CompatibleProvider, ModelAlias, ProviderKey
from proxy.config.schema import Config
from proxy.providers import anthropic, gemini, openai, vertex, xai
from proxy.providers.base import Provider
from proxy.providers.openai_compatible import provider_named
from proxy.providers.table import PROVIDERS

_LISTS: tuple[tuple[str, Provider, Callable[[Config], tuple[ProviderKey, ...]]], ...] = (
    ("claude-api-key", anthropic.PROVIDER, lambda config: config.claude_api_key),
    ("codex-api-key", openai.PROVIDER, lambda config: config.codex_api_key),
    ("gemini-api-key", gemini.PROVIDER, lambda config: config.gemini_api_key + config.generative_language_api_key),
    ("vertex-api-key", vertex.PROVIDER, lambda config: config.vertex_api_key),
    ("xai-api-key", xai.PROVIDER, lambda config: config.xai_api_key),
)
"""The setting, the provider whose keys it holds, and the keys."""

PROVIDER_OF: Mapping[str, Provider] = MappingProxyType({setting: provider for setting, provider, _ in _LISTS})
"""Setting → the provider whose keys it holds."""


_KNOWN = frozenset(provider.name for provider in PROVIDERS)


def from_config(config: Config) -> tuple[tuple[Provider, ...], tuple[Credential, ...]]:
    """Providers without credentials are among them: they cost nothing."""
    ids = _Ids()
    credentials = [
        credential_of(
            key,
            provider=provider.name,
            own_id=ids.take(setting, key.api_key, key.base_url),
            label=f"{provider.name} key {number}",
            proxy_url=config.proxy_url,
        )
        for setting, provider, keys in _LISTS
        for number, key in enumerate(keys(config), 1)
    ]
    providers = [*PROVIDERS, xai.PROVIDER]
    for entry in config.openai_compatibility:
        name = compatible_name(entry.name)
        names = tuple(model.name for model in entry.models)
        providers.append(provider_named(name, entry.base_url.rstrip("/"), names))
        credentials += _compatible(entry, name, ids, config.proxy_url)
    return tuple(providers), tuple(credentials)


_KEYLESS = CompatibleKey(api_key=Secret(""))
"""Of a local server that asks for no key."""


class _Ids:
    """Stable and unique: the setting and the key's digest. The same key at two addresses is two credentials."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, setting: str, key: Secret | None, base_url: str = "") -> str:
        stem = key_id(setting, key, base_url)
        taken, number = stem, 1
        while taken in self._taken:
            number += 1
            taken = f"{stem}-{number}"
        self._taken.add(taken)
        return taken


def key_id(setting: str, key: Secret | None, base_url: str = "") -> str:
    """The same for the same key, wherever it is kept."""
    if not key:
        return f"{setting}-keyless"
    digest = key.digest if not base_url else Secret(f"{base_url}\n{key.reveal()}").digest
    return f"{setting}-{digest[:12]}"


def compatible_name(name: str) -> str:
    """What a provider of ``openai-compatibility`` is called: never like one that we know."""
    return f"{name}-compatible" if name in _KNOWN else name


def credential_of(key: ProviderKey, *, provider: str, own_id: str, label: str, proxy_url: str) -> Credential:
    """`proxy_url`: the general egress proxy."""
    return Credential(
        id=own_id,
        provider=provider,
        label=label,
        secret=key.api_key or None,
        base_url=key.base_url.rstrip("/") or None,
        proxy_url=key.proxy_url or proxy_url or None,
        prefix=key.prefix,
        priority=key.priority,
        weight=key.weight,
        concurrency=key.concurrency,
        reserve_percent=key.reserve_percent,
        models=offered(key.models),
        excluded_models=key.excluded_models,
        headers=key.headers,
        is_http_only=not key.websockets,
        error_rules=key.request_scoped_errors,
    )


def _compatible(entry: CompatibleProvider, name: str, ids: _Ids, proxy_url: str) -> Iterable[Credential]:
    for number, key in enumerate(entry.api_key_entries or (_KEYLESS,), 1):
        secret = key.api_key or None
        yield Credential(
            id=ids.take(name, secret),
            provider=name,
            label=name if secret is None else f"{name} key {number}",
            secret=secret,
            proxy_url=key.proxy_url or proxy_url or None,
            prefix=entry.prefix,
            priority=entry.priority,
            weight=key.weight,
            concurrency=key.concurrency,
            reserve_percent=key.reserve_percent,
            models=offered(entry.models),
            headers=entry.headers,
            error_rules=entry.request_scoped_errors,
            is_disabled=entry.disabled,
        )


def offered(models: tuple[ModelAlias, ...]) -> Mapping[str, tuple[str, ...]]:
    """Client's name → upstream models: a name that stands several times is a pool of them."""
    offered: dict[str, tuple[str, ...]] = {}
    for model in models:
        alias = model.alias or model.name
        offered[alias] = (*offered.get(alias, ()), model.name)
    return MappingProxyType(offered)
