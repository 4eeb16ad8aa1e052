"""Everything a request needs to know of the configuration: one immutable value, swapped as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from auth.credential import Credential
from proxy.config.schema import Config
from proxy.dispatch.catalogue import Catalogue, Naming
from proxy.dispatch.payload import Edits
from proxy.dispatch.policy import Strategy
from proxy.providers.base import Model, Provider
from proxy.providers.configured import from_config
from proxy.upstream.base import Deadlines

EDITS_MAX = 4096
_NO_LISTS: Mapping[str, tuple[Model, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Requests in flight keep the one that they began with. Nothing of the pool's state is in it: that is kept by
    credential id, and outlives every snapshot.
    """

    config: Config
    providers: tuple[Provider, ...]
    credentials: tuple[Credential, ...]
    """Also those that are disabled."""
    catalogue: Catalogue
    _edits: dict[tuple[str, str], Edits] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls, config: Config, *, providers: Iterable[Provider] = (), credentials: Iterable[Credential] = ()
    ) -> Snapshot:
        """`providers` and `credentials`: beside those that the configuration names (accounts, the sandbox)."""
        own_providers, own_credentials = from_config(config)
        rules = config.oauth_request_scoped_errors
        all_providers = tuple(
            replace(each, error_rules=rules[each.channel]) if each.channel in rules else each
            for each in (*own_providers, *providers)
        )
        all_credentials = (*own_credentials, *credentials)
        catalogue = _catalogue(config, all_providers, all_credentials)
        return cls(config=config, providers=all_providers, credentials=all_credentials, catalogue=catalogue)

    def relisted(self, listed: Mapping[str, tuple[Model, ...]], is_lost: Callable[[str], bool]) -> Snapshot:
        """With what providers have told of their models, by credential. `is_lost`: see `Catalogue`."""
        catalogue = _catalogue(self.config, self.providers, self.credentials, listed=listed, is_lost=is_lost)
        return replace(self, catalogue=catalogue)

    @property
    def strategy(self) -> Strategy:
        return self.config.routing.strategy

    @property
    def deadlines(self) -> Deadlines:
        told = self.config.timeouts
        return Deadlines(connect=told.connect, head=told.head, idle=told.silence, total=told.total)

    def edits(self, model: str, wire: str) -> Edits:
        """The operator's rules for one upstream model."""
        edits = self._edits.get((model, wire))
        if edits is None:
            if len(self._edits) >= EDITS_MAX:
                self._edits.clear()
            edits = self._edits[model, wire] = Edits(self.config.payload, model, wire)
        return edits


def _catalogue(
    config: Config,
    providers: Iterable[Provider],
    credentials: Iterable[Credential],
    *,
    listed: Mapping[str, tuple[Model, ...]] = _NO_LISTS,
    is_lost: Callable[[str], bool] = lambda _credential: False,
) -> Catalogue:
    takes_turns_by_weight = config.routing.strategy == "weighted-round-robin"
    return Catalogue(
        providers,
        (each for each in credentials if each.weight > 0 or not takes_turns_by_weight),
        config.oauth_model_alias,
        config.oauth_excluded_models,
        listed=listed,
        is_lost=is_lost,
        naming=Naming(mapped=config.model_map, wants_prefix=config.force_model_prefix),
    )
