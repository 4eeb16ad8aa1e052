"""Web pages of other origins: none, but those that the configuration names; and never on management paths."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from proxy.errors import Forbidden

SECONDS_KEPT = 600


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_headers(headers: Mapping[str, str], origins: Collection[str]) -> dict[str, str]:
    """Raises `Forbidden`. No cookies are ever used, so ``Allow-Credentials`` is never sent."""
    allowed = answer_headers(headers, origins)
    if not allowed:
        raise Forbidden(
            f"a web page of {headers['origin'][:255]!r} may not use this server; "
            "add its origin to server.cors-origins to let it in",
            code="foreign_origin",
        )
    allowed["Access-Control-Allow-Methods"] = "GET, HEAD, POST, DELETE"
    if wanted := headers.get("access-control-request-headers"):
        allowed["Access-Control-Allow-Headers"] = wanted
    if headers.get("access-control-request-private-network") == "true":
        allowed["Access-Control-Allow-Private-Network"] = "true"
    allowed["Access-Control-Max-Age"] = str(SECONDS_KEPT)
    return allowed


def answer_headers(headers: Mapping[str, str], origins: Collection[str]) -> dict[str, str]:
    """Nothing for an origin that is not allowed: the browser then shows the page nothing."""
    origin = headers.get("origin")
    if origin is None or origin not in origins:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "*",
        "Vary": "Origin",
    }
