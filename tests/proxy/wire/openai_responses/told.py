"""Short ways to say what a test says."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from proxy.hub.events import Event, PartDelta, PartEnd, PartStart, ResponseEnd, ResponseStart
from proxy.hub.fold import Fold, opened
from proxy.hub.parts import Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.profile import ALL_EFFORTS, Profile
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.wire.base import Reply
from proxy.wire.openai_responses import WIRE

MAKER = WIRE.name
REPLY = Reply(model="a-model", request_id="request-1", created=1_700_000_000)
ABLE = Profile(
    maker=MAKER,
    efforts=ALL_EFFORTS,
    has_cache_marks=True,
    hosted_tools=frozenset({"web_search", "code_execution"}),
    extras=frozenset({"verbosity", "service_tier", "cache_key", "metadata", "user", "parallel_switch", "store"}),
)
"""Takes whatever the wire can say."""


def sse(*events: JsonObject) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(event.get("type", "")).encode(), msgspec.json.encode(event))
        for event in events
    )


def heard(data: bytes) -> list[Event]:
    parser = WIRE.stream_parser(maker=MAKER)
    return [*parser.feed(data), *parser.finish()]


def folded(events: Iterable[Event]) -> Response:
    fold = Fold()
    for event in events:
        fold.feed(event)
    return fold.finish()


def frames(data: bytes) -> list[JsonObject]:
    """The events of a stream that was rendered, from SSE or from WebSocket lines."""
    lines = [line.removeprefix(b"data: ") for line in data.split(b"\n")]
    return [msgspec.json.decode(line) for line in lines if line.startswith(b"{")]


def said(part: Part, index: int, *fragments: str) -> list[Event]:
    """A part's events; its text in `fragments`, or in one."""
    match part:
        case Text(text=text) | Refusal(text=text) | ToolCall(arguments=text):
            deltas = [PartDelta(index, fragment) for fragment in fragments or ([text] if text else [])]
        case Thinking(sections=sections):
            deltas = [PartDelta(index, section, number) for number, section in enumerate(sections)]
        case _:
            deltas = []
    return [PartStart(index, opened(part)), *deltas, PartEnd(index, part)]


def streamed(*events: Event, reason: FinishReason = "stop", usage: Usage | None = None, reply: Reply = REPLY) -> bytes:
    """What a client gets for these parts."""
    renderer = WIRE.stream_renderer(reply)
    whole = [ResponseStart(id="theirs", model="theirs"), *events, ResponseEnd(finish=Finish(reason), usage=usage)]
    return b"".join(renderer.feed(event) for event in whole) + renderer.finish()


def kinds(data: bytes) -> list[JsonValue]:
    return [frame["type"] for frame in frames(data)]


def only(values: JsonValue) -> JsonObject:
    """The one object of a list."""
    assert isinstance(values, list)
    (value,) = values
    assert isinstance(value, dict)
    return value


def inner(value: JsonValue, *keys: str | int) -> JsonValue:
    for key in keys:
        if isinstance(key, int):
            assert isinstance(value, list)
            value = value[key]
        else:
            assert isinstance(value, dict)
            value = value[key]
    return value


def without(value: JsonValue, *keys: str) -> JsonValue:
    assert isinstance(value, dict)
    return {key: item for key, item in value.items() if key not in keys}
