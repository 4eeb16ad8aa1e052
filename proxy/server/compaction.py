"""A conversation made shorter by a model that has no operation for it: it is asked for a summary.

Codex (0.169) asks by an item ``compaction_trigger`` at the end of a request, and takes one item ``compaction`` for an
answer, which stands for all that was said. Only OpenAI's servers make and read such items; everybody else's model
writes a summary. Ours holds that as it is, for its client to bring back: then it is put into the request as a text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator

import msgspec

from proxy.dispatch.frames import payloads
from proxy.dispatch.splice import joined, members, raw
from proxy.server.stream import close
from proxy.wire.base import dumps

REFUSED = "unsupported_state"
"""The code by which the other wires refuse such an item."""
MARK = "proxy-summary."
"""Before what ours hold, where OpenAI's are encrypted."""
_TRIGGER = "compaction_trigger"
_MARK = MARK.encode()
ASK = (
    "The conversation has become too long and ends here. Another model will go on with the work and see nothing of it "
    "but what you write now. Write that down: what was asked for and what matters to the person who asked; what has "
    "been done, decided and found out, with the names, paths, commands and values that will be needed again; what is "
    "left to do, and what comes next. No tools, no greeting: the notes alone."
)
FOUND = "What was said before this was too long to keep. These are the notes of it:\n\n"


class _Item(msgspec.Struct):
    type: str = ""
    encrypted_content: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    delta: str = ""
    sequence_number: int = 0
    response: msgspec.Raw = msgspec.Raw(b"{}")


_item = msgspec.json.Decoder(_Item).decode
_event = msgspec.json.Decoder(_Event).decode


def is_asked(items: tuple[bytes, ...]) -> bool:
    return bool(items) and _read(items[-1]).type == _TRIGGER


def concerns(body: bytes) -> bool:
    """Whether it may ask for such an item, or bring one of ours."""
    return _TRIGGER.encode() in body or is_ours(body)


def is_ours(content: bytes) -> bool:
    """Whether something of ours may be in it."""
    return _MARK in content


def request(fields: dict[str, msgspec.Raw], items: list[bytes]) -> dict[str, msgspec.Raw]:
    """For a summary of all `items`, the last of which asks for it."""
    asked = dumps(_said(ASK))
    listed = msgspec.Raw(b"[" + b",".join([*items[:-1], asked]) + b"]")
    return {**fields, "input": listed, "tool_choice": raw("none")}


def expanded(items: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """What is ours as the text that it holds."""
    if not any(map(is_ours, items)):
        return items
    return tuple(each if (notes := _held(each)) is None else dumps(_said(FOUND + notes)) for each in items)


def _said(text: str) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def _held(item: bytes) -> str | None:
    told = _read(item)
    if told.type != "compaction" or not told.encrypted_content.startswith(MARK):
        return None
    try:
        return base64.b64decode(told.encrypted_content.removeprefix(MARK), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        return None


def _read(item: bytes) -> _Item:
    try:
        return _item(item)
    except (ValueError, RecursionError):
        return _Item()


class Summary:
    """A stream whose text has become one item. `body` gives complete frames: ``sse``, or ``frames``, one a line."""

    def __init__(self, body: AsyncIterator[bytes], framing: str) -> None:
        self._body = body
        self._is_sse = framing == "sse"
        self._texts: list[str] = []
        self._number = -1

    def __aiter__(self) -> Summary:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._body)
        frames = payloads(chunk) if self._is_sse else filter(None, chunk.splitlines())
        return b"".join(self._framed(told) for frame in frames for told in self._told(frame))

    def _framed(self, told: bytes) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (_event(told).type.encode(), told) if self._is_sse else told + b"\n"

    async def aclose(self) -> None:
        await close(self._body)

    def _told(self, frame: bytes) -> list[bytes]:
        event = _event(frame)
        match event.type:
            case "response.output_text.delta":
                self._texts.append(event.delta)
                return []
            case "response.completed" | "response.incomplete":
                return self._ending(members(bytes(event.response))) if self._texts else [frame]
            case "response.created" | "response.in_progress" | "response.failed" | "error":
                self._number = event.sequence_number
                return [frame]
            case _:
                return []

    def _ending(self, response: dict[str, msgspec.Raw]) -> list[bytes]:
        notes = base64.urlsafe_b64encode("".join(self._texts).encode()).decode()
        own_id = bytes(response.get("id", b'""')).strip(b'"').decode()
        item = {"id": f"cmp_{own_id}", "type": "compaction", "encrypted_content": MARK + notes}
        whole = joined({**response, "status": raw("completed"), "incomplete_details": raw(None), "output": raw([item])})
        told: list[dict[str, object]] = [
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": msgspec.Raw(whole)},
        ]
        numbered = ({**each, "sequence_number": self._number + at} for at, each in enumerate(told, 1))
        return [msgspec.json.encode(each) for each in numbered]
