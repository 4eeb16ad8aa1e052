"""Code Assist, which Gemini CLI speaks when it is logged in with Google: an envelope around Gemini's JSON, and calls
about the account, which we answer: whoever asks has no Google account here, but the pool.

On its way in the envelope is opened before anything else looks at the request; on its way out each answer gets one.
What the client believes to be its project is the word that `loadCodeAssist` gave it, and ends here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from proxy.dispatch.frames import payloads
from proxy.dispatch.splice import joined, members
from proxy.errors import Malformed
from proxy.hub.residue import JsonObject, JsonValue
from proxy.server.models import Listing
from proxy.server.stream import close
from proxy.upstream.base import Flowing
from proxy.wire.base import dumps, loads

PROJECT = "proxy"
TIER: JsonObject = {"id": "standard-tier", "name": "proxy", "description": "A pool of accounts", "isDefault": True}
_ERROR = re.compile(rb'\s*\{\s*"error"\s*:')
"""Told without an envelope, by Google, too."""
_WRAPPED = re.compile(rb'\s*\{\s*"(?:response|traceId)"\s*:')
"""How Google begins it."""


class Contents(NamedTuple):
    """What stood in the envelope. `session`: the client's name for its conversation."""

    body: bytes
    model: str
    session: str = ""


def unwrap(content: bytes) -> Contents:
    """`countTokens` names the model inside. Members keep their bytes. Raises `Malformed`."""
    envelope = members(content)
    inner = envelope.get("request")
    if inner is None:
        raise Malformed("request is required: Code Assist puts Gemini's own request there", path="request")
    fields = members(bytes(inner))
    own = {key: fields.pop(key) for key in ("model", "session_id") if key in fields}
    named = envelope.get("model") or own.get("model")
    model = _value(named)
    if not isinstance(model, str) or not model:
        raise Malformed("model is required and must name one", path="model", code="invalid_model")
    session = _value(own.get("session_id"))
    return Contents(joined(fields), model.removeprefix("models/"), session if isinstance(session, str) else "")


def _value(raw: msgspec.Raw | None) -> JsonValue:
    """Raises `Malformed`: what was passed over so far may be no text."""
    try:
        return None if raw is None else loads(bytes(raw))
    except (ValueError, RecursionError):
        raise Malformed("the body is no JSON in UTF-8", code="invalid_json") from None


def wrap(body: bytes, trace_id: str) -> bytes:
    """One answer, in its envelope: the upstream's own, untouched, if it comes in one."""
    if _ERROR.match(body) or _WRAPPED.match(body) or (b'"response"' in body and "response" in members(body)):
        return body
    return b'{"response":%b,"traceId":%b}' % (body, dumps(trace_id))


def wrap_frames(block: bytes, trace_id: str) -> bytes:
    """Complete frames, each in its envelope; anything else as it is."""
    told = [b"data: %b\r\n\r\n" % wrap(payload, trace_id) for payload in payloads(block)]
    return b"".join(told) or block


class Wrapped(Flowing):
    """A stream, each frame in its envelope. `body` gives complete frames."""

    def __init__(self, body: AsyncIterator[bytes], trace_id: str) -> None:
        self._body = body
        self._trace_id = trace_id

    def __aiter__(self) -> Wrapped:
        return self

    async def __anext__(self) -> bytes:
        return wrap_frames(await anext(self._body), self._trace_id)

    async def flow(self, take: Callable[[bytes], bool]) -> None:
        """`proxy.upstream.base.Flowing`."""
        body: object = self._body
        if isinstance(body, Flowing):
            await body.flow(lambda chunk: take(wrap_frames(chunk, self._trace_id)))

    async def aclose(self) -> None:
        await close(self._body)


def _load(_listing: Listing) -> JsonObject:
    return {"currentTier": TIER, "allowedTiers": [TIER], "cloudaicompanionProject": PROJECT, "gcpManaged": False}


def _onboard(_listing: Listing) -> JsonObject:
    project: JsonObject = {"id": PROJECT, "name": PROJECT}
    return {"name": "operations/onboarded", "done": True, "response": {"cloudaicompanionProject": project}}


def _quota(listing: Listing) -> JsonObject:
    """Which models there are. How much is left of a pool is no fraction, so none is told."""
    talking = (model for model in listing.models() if "generate" in model.operations)
    buckets: list[JsonValue] = [{"modelId": model.id, "tokenType": "REQUESTS"} for model in talking]
    return {"buckets": buckets}


def _experiments(_listing: Listing) -> JsonObject:
    return {"experimentIds": [], "flags": []}


def _nothing(_listing: Listing) -> JsonObject:
    return {}


ANSWERS: Mapping[str, Callable[[Listing], JsonObject]] = MappingProxyType(
    {
        "loadCodeAssist": _load,
        "onboardUser": _onboard,
        "retrieveUserQuota": _quota,
        "listExperiments": _experiments,
        "fetchAdminControls": _nothing,
        "recordCodeAssistMetrics": _nothing,
    }
)
"""By the name after ``/v1internal:``."""


def answer(name: str, listing: Listing) -> JsonObject:
    return ANSWERS[name](listing)
