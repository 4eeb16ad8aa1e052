"""What a client says on a Responses WebSocket: one JSON object a message, named by its ``type``."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from proxy.dispatch.splice import Members, members, raw
from proxy.errors import Malformed
from proxy.hub.residue import JsonValue
from proxy.server import body
from proxy.wire.base import dumps, json_type, loads

LANE_CHARACTERS_MAX = 256
CREATE, STEER = "response.create", "response.steer"
HEARD = "response.processed"
"""Newer versions of Codex say so of an answer, and expect no word."""
_ENVELOPE = ("type", "stream_id", "generate", "background")
"""Not of the request, but of its way here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """``response.create``. `fields`: the request as a POST would have it; `members`: as it was said. `lane`: requests
    of one are answered in their order. `is_prewarm`: the state is prepared and nothing generated.
    """

    fields: Members
    members: Members
    model: str
    lane: str | None
    is_prewarm: bool
    size: int

    @property
    def mark(self) -> bytes:
        return mark_of(self.lane)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """``response.steer``: input for an answer that is being made."""

    previous: str
    input: JsonValue


def mark_of(lane: str | None) -> bytes:
    """What each event of a lane ends with, instead of its brace."""
    return b"}" if lane is None else b',"stream_id":%b}' % dumps(lane)


async def read_message(data: bytes) -> Creation | Steering | None:
    """None: there is nothing to do. Raises `Malformed`."""
    await body.peek(data, model="any", is_stream=True)
    fields = members(data)
    kind = _value(fields, "type")
    if kind == STEER:
        previous = _value(fields, "previous_response_id")
        return Steering(previous=previous if isinstance(previous, str) else "", input=_value(fields, "input"))
    if kind == HEARD:
        return None
    if kind != CREATE:
        told = repr(kind[:100]) if isinstance(kind, str) else json_type(kind)
        raise Malformed(f"type must be {CREATE!r}, not {told}", path="type", code="unknown_event")
    return await _creation(fields, data)


async def _creation(fields: Members, data: bytes) -> Creation:
    lane = lane_of(fields)
    if _flag(fields, "background"):
        raise Malformed("background is not served over a WebSocket: send a POST", path="background", code="unsupported")
    is_prewarm = _flag(fields, "generate") is False or _is_cache_prewarm(fields)
    model = (await body.peek(data, is_stream=True)).model
    said = dict(fields)
    for key in _ENVELOPE:
        fields.pop(key, None)
    fields["stream"] = raw(value=True)
    return Creation(fields=fields, members=said, model=model, lane=lane, is_prewarm=is_prewarm, size=len(data))


def lane_of(fields: Members) -> str | None:
    """Raises `Malformed`."""
    lane = _value(fields, "stream_id")
    if lane is None or (isinstance(lane, str) and len(lane) <= LANE_CHARACTERS_MAX):
        return lane
    raise Malformed(f"stream_id must be a string of at most {LANE_CHARACTERS_MAX} characters", path="stream_id")


def said_lane(data: bytes) -> str | None:
    """The lane of a message that is refused, as far as it can be told."""
    try:
        return lane_of(members(data))
    except (Malformed, ValueError, RecursionError):
        return None


def _is_cache_prewarm(fields: Members) -> bool:
    options = _value(fields, "prompt_cache_options")
    return isinstance(options, dict) and options.get("prewarm") is True


def _flag(fields: Members, key: str) -> bool | None:
    value = _value(fields, key)
    if value is None or isinstance(value, bool):
        return value
    raise Malformed(f"{key} must be a boolean, not {json_type(value)}", path=key)


def _value(fields: Members, key: str) -> JsonValue:
    value = fields.get(key, msgspec.Raw(b"null"))
    return loads(bytes(value))
