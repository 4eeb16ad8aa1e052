"""The stream in which Code Assist answers Gemini CLI: opened on its way to the caller, and made anew for the CLI where
the answer is known. Shape: ``data: {"response": {"candidates": […], "usageMetadata": {…}}, "traceId": "…"}``; an error
stands there without its envelope.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import msgspec

from proxy.hub.residue import JsonObject, JsonValue, objects_in
from proxy.upstream.acp_script import Called

CONTENT_TYPE = "text/event-stream"
WAIT = "wait_for_previous"
"""A parameter that Gemini CLI adds to each tool, for itself: no caller has asked for it."""
_END = re.compile(rb"\r?\n\r?\n")
_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)


class _Frame(msgspec.Struct):
    response: dict[str, object] | None = None
    error: object = None


_decode = msgspec.json.Decoder(_Frame).decode


class GeminiListener:
    """`parts`: what the model said, as it came. `finish`: why it stopped; empty: it has not. `has_failed`: the stream
    says so in its `error`, or a frame of it cannot be read.
    """

    def __init__(self, *, waits: bool = False) -> None:
        """`waits`: a tool of the caller's has a parameter of the CLI's name."""
        self.parts: list[JsonObject] = []
        self.finish = ""
        self.has_failed = False
        self.error: JsonValue = None
        self._waits = waits
        self._held: list[bytes] = []
        self._edge = b""
        self._last: JsonObject = {}

    @property
    def is_over(self) -> bool:
        return bool(self.finish) or self.has_failed

    @property
    def calls(self) -> tuple[Called, ...]:
        """Of each that the model asks for."""
        found = (part["functionCall"] for part in self.parts if "functionCall" in part)
        return tuple(
            Called(str(call.get("name")), str(call.get("id") or "")) for call in found if isinstance(call, dict)
        )

    @property
    def is_remembered(self) -> bool:
        """Whether the CLI takes it for an answer, and goes on from it."""
        text = "".join(str(part.get("text") or "") for part in self.parts if part.get("thought") is not True)
        return self.finish == "STOP" and not self.has_failed and bool(self.calls or text.strip())

    def feed(self, data: bytes) -> bytes:
        """Cuts may fall anywhere. What the caller gets: complete frames without their envelope."""
        self._held.append(data)
        edge = self._edge + data
        self._edge = edge[-3:]
        if _END.search(edge) is None:
            return b""
        *frames, rest = _END.split(b"".join(self._held))
        self._held = [rest]
        return b"".join(map(self._opened, frames))

    def rest(self) -> bytes:
        """At the end of the bytes."""
        held, self._held = b"".join(self._held), []
        return self._opened(held) if held.strip() else b""

    def _opened(self, frame: bytes) -> bytes:
        return b"".join(b"data: %b\r\n\r\n" % self._payload(each) for each in _DATA.findall(frame))

    def _payload(self, data: bytes) -> bytes:
        try:
            told = _decode(data)
        except (ValueError, RecursionError):
            self.has_failed = True
            return data
        if told.error is not None:
            self.has_failed = True
            self.error = cast("JsonValue", told.error)
            return data
        response = cast("JsonObject", told.response or {})
        self._note(response)
        return msgspec.json.encode(response)

    def _note(self, response: JsonObject) -> None:
        self._last.update(response)
        for candidate in objects_in(response.get("candidates"))[:1]:
            content = candidate.get("content")
            parts = objects_in(content.get("parts")) if isinstance(content, dict) else []
            for part in parts:
                call = part.get("functionCall")
                if isinstance(call, dict) and not self._waits:
                    part["functionCall"] = without_waits(call)
            self.parts += parts
            self.finish = str(candidate.get("finishReason") or self.finish)

    def whole(self) -> JsonObject | None:
        """The answer as one that was not streamed; None: its end is missing."""
        candidates = objects_in(self._last.get("candidates"))
        if self.has_failed or not (self.finish or "promptFeedback" in self._last):
            return None
        if not candidates:
            return self._last
        parts: list[JsonValue] = [*_joined(self.parts)]
        content: JsonObject = {"role": "model", "parts": parts}
        said: JsonObject = {**candidates[0], "content": content, "finishReason": self.finish}
        return {**self._last, "candidates": [said]}


def without_waits(call: JsonObject) -> JsonObject:
    arguments = call.get("args")
    if not isinstance(arguments, dict) or WAIT not in arguments:
        return call
    return {**call, "args": {key: value for key, value in arguments.items() if key != WAIT}}


def _joined(parts: Sequence[JsonObject]) -> list[JsonObject]:
    """Texts that were cut by the stream alone."""
    joined: list[JsonObject] = []
    for part in parts:
        last = joined[-1] if joined else {}
        if "text" in last and "text" in part and last.get("thought") == part.get("thought"):
            joined[-1] = {**last, **part, "text": f"{last['text']}{part['text']}"}
        else:
            joined.append(part)
    return joined


def canned(parts: Sequence[JsonObject]) -> bytes:
    """What the model once said, as the provider would send it again."""
    candidate = {"content": {"role": "model", "parts": [*parts]}, "finishReason": "STOP", "index": 0}
    return b"data: %b\r\n\r\n" % msgspec.json.encode({"response": {"candidates": [candidate]}})
