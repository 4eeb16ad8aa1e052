"""Who has room where connections are many: decided here, and done by the gate (`proxy.server.connection`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, IPv6Network
from typing import TypeVar

from proxy.server.addresses import parsed

Guest = TypeVar("Guest")

ELSEWHERE_PART = 4
"""Another machine may have a quarter of all connections, and never less than `ELSEWHERE_MIN`."""
ELSEWHERE_MIN = 64
LEFT_PART = 8
"""This machine may have all but an eighth: behind a reverse proxy everybody is this machine."""


def household(peer: str) -> str:
    """Who a peer's connections are counted with: in IPv6 one machine has all addresses of a network of 64 bits."""
    address = parsed(peer)
    if isinstance(address, IPv6Address) and not address.is_loopback:
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return peer


def share(peer: str, most: int) -> int:
    """Of `most` connections in all."""
    address = parsed(peer)
    if address is not None and address.is_loopback:
        return most - most // LEFT_PART
    return max(ELSEWHERE_MIN, most // ELSEWHERE_PART)


def leaver(idle: Iterable[tuple[Guest, str]], counts: Mapping[str, int]) -> Guest | None:
    """Which idle connection makes room for a new one: of those whose peer has most, the first. None: there is none.

    `idle`: with whose each is, the longest idle first. `counts`: how many each has.
    """
    found = max(idle, key=lambda each: counts[each[1]], default=None)
    return None if found is None else found[0]
