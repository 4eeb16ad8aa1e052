"""Reads along while a Responses answer is told, and knows at its end what was said."""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec

from proxy.dispatch.frames import payloads
from proxy.dispatch.splice import joined, members
from proxy.errors import Malformed

_TELLING = re.compile(rb'"type"\s*:\s*"response\.(?:created|queued|output_item\.done|completed|incomplete)"')
"""What a model writes cannot look like it: its quotes are escaped."""
_SEQUENCE = re.compile(rb'"sequence_number"\s*:\s*(\d+)')
_BEGINNINGS = frozenset({"response.created", "response.queued"})
_ENDS = frozenset({"response.completed", "response.incomplete"})


class _Event(msgspec.Struct):
    type: str = ""
    output_index: int = -1
    item: msgspec.Raw = msgspec.Raw(b"")
    response: msgspec.Raw = msgspec.Raw(b"")


class _Response(msgspec.Struct):
    id: str = ""
    output: tuple[msgspec.Raw, ...] | None = None


class _Item(msgspec.Struct):
    id: str = ""
    type: str = ""
    encrypted_content: str | None = None
    content: msgspec.Raw = msgspec.Raw(b"null")


_event = msgspec.json.Decoder(_Event).decode
_response = msgspec.json.Decoder(_Response).decode
_item = msgspec.json.Decoder(_Item).decode


class Scribe:
    """`id` is known as soon as the answer has begun. `response`: the answer, JSON, when it has ended as it should."""

    def __init__(self) -> None:
        self.id = ""
        self.response = b""
        self._last = b""
        self._items: dict[int, bytes] = {}

    @property
    def sequence(self) -> int:
        """The number of the last frame; -1: none had one."""
        found = _SEQUENCE.search(self._last)
        return int(found[1]) if found else -1

    def read_frame(self, frame: bytes) -> bool:
        """Whether it ends the answer as it should. What cannot be read is the client's to judge."""
        self._last = frame
        if _TELLING.search(frame):
            with suppress(ValueError, Malformed):
                return self._note(_event(frame))
        return False

    def read_events(self, block: bytes) -> bool:
        """Complete server-sent events; whether one of them ends the answer as it should."""
        return bool(_TELLING.search(block)) and any(self.read_frame(frame) for frame in payloads(block))

    def read_whole(self, body: bytes) -> None:
        with suppress(ValueError, Malformed):
            self._end(body)

    def _note(self, event: _Event) -> bool:
        if event.type == "response.output_item.done" and event.output_index >= 0:
            self._items[event.output_index] = bytes(event.item)
        elif event.type in _ENDS:
            self._end(bytes(event.response))
            return True
        elif event.type in _BEGINNINGS:
            self.id = _response(event.response).id or self.id
        return False

    def _end(self, response: bytes) -> None:
        """Some vendors leave the output of the last event empty: then it is what was told item by item."""
        head = _response(response)
        self.id = head.id or self.id
        if head.output:
            self._items = {at: bytes(item) for at, item in enumerate(head.output)}
        elif self._items:
            fields = members(response)
            fields["output"] = msgspec.Raw(b"[" + b",".join(self._in_order()) + b"]")
            response = joined(fields)
        self.response = response

    def _in_order(self) -> list[bytes]:
        return [self._items[at] for at in sorted(self._items)]

    def items(self) -> tuple[bytes, ...]:
        """The output, as the input of a later request."""
        return tuple(item for item in replayable(self._in_order()) if item)

    def named(self) -> dict[str, bytes]:
        """The same by the ids of the items; nothing for those that are left out."""
        items = self._in_order()
        named = ((_item(item).id, again) for item, again in zip(items, replayable(items), strict=True))
        return {name: again for name, again in named if name}


def replayable(items: list[bytes]) -> list[bytes]:
    """Thoughts that hold neither text nor a blob are mere references to what a server keeps, and nobody does: they are
    left empty. Without them the items beside them lose their ids, or their maker would ask for the thoughts that belong
    to them.
    """
    kept = [b"" if _is_empty_thought(item) else item for item in items]
    return kept if all(kept) else [_without_id(item) if item else b"" for item in kept]


def _is_empty_thought(item: bytes) -> bool:
    if b'"reasoning"' not in item:
        return False
    about = _item(item)
    return about.type == "reasoning" and not about.encrypted_content and bytes(about.content) in {b"null", b"[]"}


def _without_id(item: bytes) -> bytes:
    fields = members(item)
    fields.pop("id", None)
    return joined(fields)
