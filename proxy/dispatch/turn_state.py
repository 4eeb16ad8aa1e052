"""The state of a turn, by which ChatGPT's backend keeps the requests of one turn together: it is one account's.

Codex (0.169) takes the first that it is told in a turn, from the header of an answer or a handshake, or on a WebSocket
from an event, and brings it back until the turn ends: over HTTP in the same header, on a WebSocket in
``client_metadata``. Another account knows nothing of it, and may refuse it: when one goes on with the turn, it is left
out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import msgspec

from proxy.dispatch.affinity import Affinity
from proxy.dispatch.inquiry import Inquiry
from proxy.dispatch.splice import joined, members
from proxy.upstream.base import Call
from proxy.wire.base import dumps

HEADER = "x-codex-turn-state"
METADATA = "client_metadata"
Headers: TypeAlias = tuple[tuple[str, str], ...]

_NAME = HEADER.encode()
_TOLD = re.compile(rb'"type"\s*:\s*"response\.metadata".*?"x-codex-turn-state"\s*:\s*("(?:[^"\\]|\\.)*")')


class _Metadata(msgspec.Struct):
    client_metadata: dict[str, object] | None = None


_metadata = msgspec.json.Decoder(_Metadata).decode
_text = msgspec.json.Decoder(str).decode


def event(value: str) -> bytes:
    """As a WebSocket tells it."""
    return dumps({"type": "response.metadata", "headers": {HEADER: value}})


def given_by(headers: Mapping[str, str], beginning: bytes, inquiry: Inquiry) -> str:
    """What an answer, which begins so, gives for the turn; empty: nothing."""
    return headers.get(HEADER, "") or ("" if inquiry.said is None else told_in(beginning))


def told_in(beginning: bytes) -> str:
    """In the events with which an answer begins; empty: in none."""
    found = _TOLD.search(beginning) if _NAME in beginning else None
    return "" if found is None else _text(found[1])


def brought_in(body: bytes) -> str:
    """In a request's ``client_metadata``; empty: it is not there."""
    if _NAME not in body:
        return ""
    try:
        value = (_metadata(body).client_metadata or {}).get(HEADER)
    except (ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def is_brought(inquiry: Inquiry) -> bool:
    said = inquiry.said
    return HEADER in inquiry.headers or (said is not None and (HEADER in said.headers or _NAME in inquiry.body))


def keep_apart(call: Call, states: Affinity, inquiry: Inquiry, credential: str, now: float) -> None:
    """Leaves out of the call what another account has given to this client."""

    def is_foreign(value: str) -> bool:
        tie = states.find_turn(inquiry.client, value, now) if value else None
        return tie is not None and tie.credential != credential

    call.headers = _without(call.headers, is_foreign)
    if is_foreign(brought_in(call.body)):
        call.body = _cut(call.body)
    if call.spoken is not None:
        message = call.spoken.message
        call.spoken = replace(
            call.spoken,
            headers=_without(call.spoken.headers, is_foreign),
            message=_cut(message) if is_foreign(brought_in(message)) else message,
        )


def _without(headers: Headers, is_foreign: Callable[[str], bool]) -> Headers:
    return tuple(each for each in headers if each[0].lower() != HEADER or not is_foreign(each[1]))


def _cut(body: bytes) -> bytes:
    fields = members(body)
    metadata = members(bytes(fields[METADATA]))
    del metadata[HEADER]
    return joined({**fields, METADATA: msgspec.Raw(joined(metadata))})
