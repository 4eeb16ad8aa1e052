"""A client's own key of a provider: for that one request, to that provider's own address, beside the pool.

Nothing is remembered of it: no cooldown, no affinity, no fallback to the accounts here. What its provider refuses is
told to the client as it was said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from auth.credential import Credential
from auth.pool import Pool
from auth.secret import Secret
from proxy.config.schema import Config
from proxy.dispatch.affinity import Affinity
from proxy.dispatch.catalogue import Catalogue
from proxy.dispatch.shared import Shared
from proxy.dispatch.waiting import WaitingRoom
from proxy.providers import anthropic, gemini, openai
from proxy.providers.base import Provider

HEADERS: Mapping[str, Provider] = MappingProxyType(
    {
        "x-openai-api-key": openai.PROVIDER,
        "x-anthropic-api-key": anthropic.PROVIDER,
        "x-gemini-api-key": gemini.PROVIDER,
    }
)
"""In which a client sends it, lower-case, and whose it is."""
LABEL = "the client's own key"


@dataclass(frozen=True, slots=True)
class OwnKey:
    provider: Provider
    secret: Secret

    def catalogue(self, config: Config) -> Catalogue:
        """What it can be asked."""
        credential = Credential(
            id="own-key",
            provider=self.provider.name,
            label=LABEL,
            secret=self.secret,
            proxy_url=config.proxy_url or None,
        )
        return Catalogue((self.provider,), (credential,))


def apart(shared: Shared) -> Shared:
    """For one request."""
    return replace(shared, pool=Pool(), affinity=Affinity(), waiting=WaitingRoom())
