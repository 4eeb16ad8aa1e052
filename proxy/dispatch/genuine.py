"""An official CLI's own request, on its way to that CLI's own vendor: its headers go on as they are.

Only what belongs to this hop or to another account stays here. Everybody else's headers are left out but for the few
that the provider is known to read, and we say who we are (docs/decisions/2026-11-20-an-official-clis-own-request.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from multidict import CIMultiDict

from proxy.providers.base import Provider

_CONNECTION = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Of the connection between the client and us (RFC 9110 §7.6.1), and how its body was packed on it."""
_ACCOUNT = frozenset(
    {
        "api-key",
        "authorization",
        "chatgpt-account-id",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-goog-api-key",
        "x-goog-user-project",
    }
)
"""Say who pays."""
_FORWARDING = re.compile(
    r"x-forwarded.*|forwarded|via|x-real-ip|.*-client-ip|x-original-forwarded-for|cf-.*|x-envoy-.*|x-amzn-trace-id"
)
"""Written by whoever stands between the client and us."""
_OURS = "x-proxy-"
_GATEWAYS = frozenset({"x-claude-code", "x-claude-session-id"})
"""Asked of whoever stands before a CLI, and no CLI's own."""


def is_genuine(provider: Provider, headers: Mapping[str, str], envelope: bytes = b"") -> bool:
    """Whether the request bears every mark of the CLI of the provider's own vendor. Taken out of its `envelope` it is
    its own no more.
    """
    return (
        bool(provider.official)
        and provider.is_enveloped == bool(envelope)
        and all(
            headers.get(name, "").lower().startswith(beginning) and name in headers
            for name, beginning in provider.official
        )
    )


def own_headers(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """In their order and case."""
    named = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if _goes_on(name.lower(), named))


def _goes_on(name: str, named: set[str]) -> bool:
    return (
        name not in _CONNECTION
        and name not in _ACCOUNT
        and name not in named
        and not name.startswith(_OURS)
        and name not in _GATEWAYS
        and _FORWARDING.fullmatch(name) is None
    )


def with_query(url: str, query: Mapping[str, str]) -> str:
    """The client's own parameters, behind those that the address has already."""
    known = dict(parse_qsl(urlsplit(url).query))
    added = urlencode({name: value for name, value in query.items() if name not in known})
    if not added:
        return url
    return f"{url}{'&' if known else '?'}{added}"
