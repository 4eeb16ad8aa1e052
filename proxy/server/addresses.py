"""Addresses of clients: whether they lie in a network, and whose word counts for where a client is."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SITE_BITS = 64
"""What one household or machine has of IPv6."""


@functools.lru_cache(maxsize=4096)
def parsed(text: str) -> Address | None:
    """IPv4 in IPv6 (``::ffff:127.0.0.1``) is what it is inside. None for what is no address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@functools.lru_cache(maxsize=1024)
def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Of settings that have been checked."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_within(text: str, ranges: Sequence[Network]) -> bool:
    address = parsed(text)
    return address is not None and any(address in each for each in ranges)


def address_of(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Where a client is: the last address that none of ours is, going back from `peer` as long as it is one of ours.
    `forwarded`: the X-Forwarded-For headers, of which each proxy appends to what it was told.
    """
    hops = [hop.strip() for header in forwarded for hop in header.split(",")]
    address = peer
    while hops and is_within(address, trusted):
        before = _bare(hops.pop())
        if parsed(before) is None:
            return address
        address = before
    return address


def site_of(text: str) -> str:
    """Whom a limit of addresses counts as one."""
    address = parsed(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, SITE_BITS), strict=False))
    return str(address) if address is not None else text


def _bare(hop: str) -> str:
    """Without a port: ``10.0.0.1:1234``, ``[::1]:1234``."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
