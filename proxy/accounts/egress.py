"""How official CLIs reach the network: by the configured egress proxy, where it is one that they know."""

from __future__ import annotations

from collections.abc import Mapping

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def with_egress(ours: Mapping[str, str], proxy_url: str) -> Mapping[str, str]:
    """The CLIs know HTTP proxies only."""
    if not proxy_url.startswith(("http://", "https://")):
        return ours
    return {**ours, **dict.fromkeys(PROXY_VARIABLES, proxy_url)}
