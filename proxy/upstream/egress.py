"""The way out of a CLI, as its environment tells it."""

from __future__ import annotations

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def by_way_of(address: str) -> dict[str, str]:
    """All that it asks of anybody goes to `address`."""
    return dict.fromkeys(_PROXIES, address)


def by_way_of_but_here(address: str) -> dict[str, str]:
    """All but what it asks of this machine."""
    return {**by_way_of(address), **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")}
