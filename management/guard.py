"""Who may use the management API. Every refusal is a JSON object with one sentence, and none tells what there is.

* from this machine only, unless ``allow-remote``: the peer's own address counts, no header
* not from a web page of another site, whatever it holds
* with the key, as ``Authorization: Bearer`` or ``X-Management-Key``; one that is missing is no guess
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from management.key_ring import KeyRing, Peer
from management.refusal import Refusal

KEY_HEADER = "x-management-key"
_UNSAFE_TYPES = ("text/plain", "application/x-www-form-urlencoded")
"""What a page's form can send unasked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """`site`: what its guesses are counted by. `is_local`: directly from this machine, as the connection says.
    `headers`: case-insensitive.
    """

    peer: Peer
    site: str
    is_local: bool
    method: str
    headers: Mapping[str, str]


async def admit(visitor: Visitor, ring: KeyRing, *, allows_remote: bool) -> None:
    """Raises `Refusal`."""
    _check_page(visitor)
    if not visitor.is_local and not allows_remote:
        raise Refusal(403, "remote management disabled")
    key = _offered(visitor.headers)
    if not key:
        raise Refusal(401, "missing management key", headers={"WWW-Authenticate": "Bearer"}, is_usual=True)
    judgement = await ring.judge(key, visitor.peer, visitor.site)
    if judgement == "busy":
        raise Refusal(429, "too many guesses at the management key wait already", headers={"Retry-After": "1"})
    if judgement == "wrong":
        raise Refusal(401, "invalid management key", headers={"WWW-Authenticate": "Bearer"})


def _offered(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return bearer or headers.get(KEY_HEADER, "").strip()


def _check_page(visitor: Visitor) -> None:
    """Our own panel has our own origin. Other programs say neither Origin nor Sec-Fetch-Site."""
    headers = visitor.headers
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    is_foreign = origin is not None and origin.partition("://")[2] != headers.get("host", "")
    if is_foreign or site in {"cross-site", "same-site"}:
        raise Refusal(403, "web pages of other sites may not use the management API")
    is_page = origin is not None or site is not None
    if is_page and visitor.method != "GET" and headers.get("content-type", "").lower().startswith(_UNSAFE_TYPES):
        raise Refusal(415, "send the body as application/json")
