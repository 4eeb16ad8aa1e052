"""What the tests of this wire say and hear."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.hub.events import Event
from proxy.hub.fold import Fold
from proxy.hub.parts import Text
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Request
from proxy.hub.response import Response
from proxy.wire.base import Reply
from proxy.wire.gemini import WIRE

REPLY = Reply(model="client-model", request_id="req_1")


def fold(events: Iterable[Event]) -> Response:
    folded = Fold()
    for event in events:
        folded.feed(event)
    return folded.finish()


def parsed(data: bytes) -> list[Event]:
    parser = WIRE.stream_parser(maker="gemini")
    return parser.feed(data) + parser.finish()


def frames(data: bytes) -> list[Any]:
    """What a client reads of a rendered stream."""
    return [msgspec.json.decode(part[6:]) for part in data.split(b"\r\n\r\n") if part]


def asked(*messages: Message, **fields: Any) -> Request:
    """A request that came from no wire in particular."""
    return Request(model="m", messages=messages or (user("hi"),), **fields)


def user(text: str) -> Message:
    return Message(role="user", parts=(Text(text=text),))


def upstream(**fields: Any) -> Profile:
    return Profile(maker="gemini", **{"thinking": "level", **fields})


def answer(*parts: Any, **candidate: Any) -> dict[str, Any]:
    """An upstream's, of one candidate."""
    return {
        "candidates": [
            {"content": {"parts": list(parts), "role": "model"}, "finishReason": "STOP", "index": 0} | candidate
        ],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
        "modelVersion": "gemini-x",
        "responseId": "r1",
    }


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(each) + b"\r\n\r\n" for each in chunks)
