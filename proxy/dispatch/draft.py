"""A request that was never sent, as it is described for a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.providers.base import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """`headers`: as they would come with it. `key`: the client key's name; empty: nobody's. `address`: where it would
    come from; empty: what depends on that is not looked at.
    """

    body: bytes
    model: str
    wire: str
    operation: Operation
    is_stream: bool
    headers: Mapping[str, str]
    key: str
    address: str
