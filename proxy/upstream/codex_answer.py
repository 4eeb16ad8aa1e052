"""The stream in which the model answers Codex, looked into on its way to the caller: what was said, and how it ended.

It is passed on as it comes; only whole items and the end are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from proxy.hub.residue import JsonObject, JsonValue

_END = re.compile(rb"\r?\n\r?\n")
_OF_NOTE = re.compile(rb'"type"\s*:\s*"(?:response\.(?:output_item\.done|completed|incomplete|failed)|error)"')
_DATA = re.compile(rb"^data: ?(.*)$", re.MULTILINE)
_decode = cast("Callable[[bytes], JsonObject]", msgspec.json.Decoder(dict[str, object]).decode)


class Listener:
    """`items`: the answer's, as they are complete. `last`: the response as its last event tells it; `is_completed`:
    that event says that nothing is missing. `error`: what went wrong, where the stream says so.
    """

    def __init__(self) -> None:
        self.items: list[JsonObject] = []
        self.last: JsonObject | None = None
        self.is_completed = False
        self.error: JsonValue = None
        self._held: list[bytes] = []
        self._edge = b""

    @property
    def is_over(self) -> bool:
        return self.last is not None or self.error is not None

    def feed(self, data: bytes) -> None:
        """Cuts may fall anywhere. What cannot be read is the caller's to judge."""
        self._held.append(data)
        edge = self._edge + data
        self._edge = edge[-3:]
        if _END.search(edge):
            *frames, rest = _END.split(b"".join(self._held))
            self._held = [rest]
            for frame in frames:
                if _OF_NOTE.search(frame):
                    self._note(frame)

    def _note(self, frame: bytes) -> None:
        for event in _events(frame):
            match event.get("type"):
                case "response.output_item.done":
                    item = event.get("item")
                    if isinstance(item, dict):
                        self.items.append(item)
                case "response.completed" | "response.incomplete" | "response.failed":
                    self._end(event)
                case "error":
                    self.error = event.get("error") or {key: event[key] for key in event if key != "type"}

    def _end(self, event: JsonObject) -> None:
        response = event.get("response")
        self.last = response if isinstance(response, dict) else {}
        self.is_completed = event["type"] == "response.completed"
        if event["type"] == "response.failed":
            self.error = self.last.get("error") or {"message": "the answer failed"}

    def whole(self) -> JsonObject | None:
        """The answer as one that was not streamed; an error as the body of one; None: its end is missing."""
        if self.error is not None:
            return {"error": self.error}
        if self.last is None:
            return None
        items: list[JsonValue] = [*self.items]
        return {**self.last, "output": self.last.get("output") or items}


def _events(frame: bytes) -> Iterator[JsonObject]:
    for data in _DATA.findall(frame):
        try:
            yield _decode(data)
        except (ValueError, RecursionError):
            continue
