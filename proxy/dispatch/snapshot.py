"""Everything a request needs to know of the configuration: one immutable value, swapped as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from auth.credential import Credential
from proxy.providers.base import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Requests in flight keep the one that they began with. Build it with `Snapshot.of(config)`."""

    providers: tuple[Provider, ...]
    credentials: tuple[Credential, ...]
