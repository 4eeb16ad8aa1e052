"""The providers that we know, in the order in which lists show them. A new one is a file and a line here,
and one in `configured` where its keys stand in the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable

from auth.credential import Credential
from proxy.providers import anthropic, gemini, openai, vertex
from proxy.providers.base import Provider

PROVIDERS: tuple[Provider, ...] = (anthropic.PROVIDER, openai.PROVIDER, gemini.PROVIDER, vertex.PROVIDER)


def stand_ins(credentials: Iterable[Credential]) -> tuple[Credential, ...]:
    """One for each provider that has no credential: recordings need no account."""
    having = {credential.provider for credential in credentials}
    return tuple(
        Credential(id=f"replay-{provider.name}", provider=provider.name, label=f"recordings as {provider.name}")
        for provider in PROVIDERS
        if provider.name not in having
    )
