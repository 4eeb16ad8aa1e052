"""The call to a provider as it is said over a WebSocket: the client's own message, changed where the request was."""

from __future__ import annotations

from collections.abc import Mapping

from multidict import CIMultiDict

from proxy.dispatch.decision import Candidate
from proxy.dispatch.genuine import is_genuine, own_headers
from proxy.dispatch.inquiry import Inquiry, Said
from proxy.dispatch.splice import Members, joined, members
from proxy.providers.base import USER_AGENT, Provider
from proxy.upstream.base import Spoken

_ENVELOPE = frozenset({"type", "generate", "stream"})
"""Of a message, and of no request; ``stream`` means nothing there, but clients say it."""
_OURS = frozenset({"stream_id", "background"})
"""Between the client and us: each lane has a socket of its own."""


def spoken_for(inquiry: Inquiry, candidate: Candidate, body: bytes) -> Spoken | None:
    """`body`: the request as HTTP would have it. None: the client or the provider does not speak so."""
    said = inquiry.said
    if said is None or not takes_socket(inquiry, candidate):
        return None
    return Spoken(
        line=said.line,
        headers=handshake(candidate, said.headers),
        message=message(said, body),
        previous=inquiry.tie.previous if inquiry.tie is not None else "",
        is_prewarm=said.is_prewarm,
    )


def takes_socket(inquiry: Inquiry, candidate: Candidate) -> bool:
    """Not where the account's own CLI has to ask: it has its own ways."""
    provider = candidate.provider
    return (
        provider.has_socket
        and not candidate.credential.is_http_only
        and inquiry.operation == "generate"
        and (not provider.own_cli or is_genuine(provider, inquiry.headers))
    )


def handshake(candidate: Candidate, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """An official CLI's own headers, or ours, with the credential's."""
    provider, credential = candidate.provider, candidate.credential
    headers = own_headers(client) if is_genuine(provider, client) else _ours(provider, client)
    headers.update(provider.authorize(credential))
    headers.update({name.lower(): value for name, value in credential.headers.items()})
    return tuple(headers.items())


def _ours(provider: Provider, client: Mapping[str, str]) -> CIMultiDict[str]:
    headers = CIMultiDict({"user-agent": USER_AGENT})
    headers.update(provider.headers)
    headers.update({name: client[name] for name in sorted(provider.forwarded) if name in client})
    return headers


def message(said: Said, body: bytes) -> bytes:
    """In the order in which the client wrote it; what was added stands at the end."""
    fields = members(body)
    told: Members = {}
    for key, value in said.members.items():
        if key in _ENVELOPE:
            told[key] = value
            fields.pop(key, None)
        elif key in fields and key not in _OURS:
            told[key] = fields.pop(key)
    fields.pop("stream", None)
    return joined({**told, **fields})
