"""The headers that every answer has, whoever gives it."""

from __future__ import annotations

from collections.abc import Mapping

from multidict import CIMultiDict

from proxy.server.limits import Grant


def dress(
    headers: CIMultiDict[str], *, request_id: str, wire: str, cors: Mapping[str, str], grant: Grant | None
) -> None:
    """`wire`: the client's; empty: none is known. `cors`: for a web page. `grant`: what was counted of a client's."""
    headers["X-Request-ID"] = request_id
    headers["Server"] = "proxy"
    if wire == "anthropic":
        headers.setdefault("request-id", request_id)
    if cors:
        headers.update(cors)
    if grant is not None:
        headers.update(grant.headers(wire))
