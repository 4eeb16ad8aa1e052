"""What the head of a request alone decides: who asks, from where, for which operation. No I/O."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from multidict import CIMultiDict

from proxy.config.schema import Config
from proxy.dispatch.affinity import named_in
from proxy.dispatch.pursuit import EXPLAIN_HEADER
from proxy.dispatch.track import Leg, Track
from proxy.errors import Malformed, ProxyError
from proxy.server import body, cors, routes
from proxy.server.access import Visitor, admit, check_host
from proxy.server.addresses import address_of, networks
from proxy.server.app import Edition
from proxy.server.lane import Lane
from proxy.server.limits import Caller
from proxy.server.reading import Reader, framing_of
from proxy.server.visit import Visit
from proxy.server.wishes import STEERING

REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SPECIAL = (*STEERING, EXPLAIN_HEADER, "expect", "content-encoding", "transfer-encoding", "upgrade")
"""With one of these a request takes more than an answer."""
WHOLE = frozenset({"openai_chat", "anthropic", "gemini"})
"""Wires whose conversations nobody keeps here."""


class Way(NamedTuple):
    """Of the requests for one model. `lanes`: those that were taken, by leg."""

    track: Track
    lanes: dict[Leg, Lane]


@dataclass(slots=True, kw_only=True)
class Terms:
    """Of a plain request to a model, as of every other with the same head from the same peer, until the next reload.

    `request_id`: as the client gave it; empty: it gave none that can be used. `headers`, `query`: as they go on.
    `named`: the session, as they name it. `cors`: the headers that an answer has for a web page. `framing`: of a
    streamed one. `ways`: by model, and whether it is streamed.
    """

    edition: Edition
    route: routes.Route
    model: str | None
    caller: Caller
    headers: Mapping[str, str]
    query: Mapping[str, str]
    named: str
    is_strict: bool
    request_id: str
    cors: Mapping[str, str]
    framing: str
    bytes_max: int
    ways: dict[tuple[str, bool], Way] = field(default_factory=dict)


def visitor_of(visit: Visit, config: Config) -> Visitor:
    """Raises `Malformed`."""
    if not visit.target.startswith("/") and visit.target != "*":
        raise Malformed("the request's target must be a path")
    peer = visit.peer[0] if visit.peer else ""
    proxies = config.server.trusted_proxies
    return Visitor(
        peer=peer,
        local=visit.local or ("", 0),
        host=visit.headers.get("host", ""),
        headers=visit.headers,
        query=visit.query,
        address=address_of(peer, _forwarded_for(visit), networks(proxies)) if proxies else peer,
    )


def _forwarded_for(visit: Visit) -> list[str]:
    return [value for name, value in visit.fields if name.lower() == "x-forwarded-for"]


def given_id(headers: Mapping[str, str]) -> str:
    """Empty: none that can be used."""
    given = headers.get(REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else ""


def terms_of(visit: Visit, edition: Edition, now: float, wires: Container[str] = WHOLE) -> Terms | None:
    """None: this takes an exchange, were it only to be refused, or is not in one of these `wires`. `now`: Unix
    seconds.
    """
    headers, config = visit.headers, edition.config
    if visit.method != "POST" or any(name in headers for name in _SPECIAL):
        return None
    try:
        visitor = visitor_of(visit, config)
        check_host(visitor, (*config.server.allowed_hosts, config.host))
        match = routes.find(visit.path, "POST", headers, visitor.query)
        route = match.route
        if route.kind != "ask" or route.operation != "generate" or route.is_enveloped or route.wire not in wires:
            return None
        body.check_head(headers, body.Limits(bytes_max=config.server.body_bytes_max))
        client = admit(visitor, edition.keys, config.server.cors_origins, now)
    except ProxyError:
        return None
    request_id = given_id(headers)
    reader = Reader(visit=visit, config=config, client=client, request_id=request_id)
    onward = CIMultiDict(reader.headers)
    onward.popall("content-length", None)  # the next one's body may be longer
    return Terms(
        edition=edition,
        route=route,
        model=match.model,
        caller=edition.caller(client, visitor.address),
        headers=onward,
        query=reader.query,
        named=named_in(onward),
        is_strict=reader.is_strict,
        request_id=request_id,
        cors=cors.answer_headers(headers, config.server.cors_origins),
        framing=framing_of(route, reader.query),
        bytes_max=config.server.body_bytes_max,
    )
