"""Streamed answers: each frame is a whole `GenerateContentResponse`.

With ``alt=sse`` the frames are server-sent events without names, closed by CRLF; without it they are the items of one
JSON array. Neither has an end mark: the last frame says `finishReason`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from proxy.hub.events import (
    Event,
    Failure,
    Heartbeat,
    OpaqueEvent,
    PartDelta,
    PartEnd,
    PartStart,
    ResponseEnd,
    ResponseStart,
)
from proxy.hub.fold import StreamCorrupt
from proxy.hub.loss import Loss
from proxy.hub.parts import Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Usage
from proxy.wire.arguments import may_be_cut
from proxy.wire.base import Reply, dumps, loads_upstream
from proxy.wire.fields import residue_losses
from proxy.wire.gemini.answer_reader import AnswerReader
from proxy.wire.gemini.error import render_error
from proxy.wire.gemini.part_writer import PartWriter
from proxy.wire.gemini.response import Closing, chunk, cut_call
from proxy.wire.gemini.words import NAME
from proxy.wire.sse import LINE_BYTES_MAX, SseSplitter, SseTooLong

Unwrap: TypeAlias = Callable[[JsonObject], JsonObject]
Wrap: TypeAlias = Callable[[bytes], bytes]

_BREAK = b"\r\n\r\n"
_SILENCE = dumps(chunk([{"text": ""}], {}, {}))
_DONE = b"[DONE]"
"""Not Gemini's, but gateways that speak OpenAI elsewhere send it."""


class GeminiParser:
    """`unwrap`: takes a frame out of its envelope. A body that is no event stream (an error, or a JSON array from an
    upstream that knows no ``alt=sse``) is read at its end.
    """

    def __init__(self, *, maker: str, unwrap: Unwrap | None = None) -> None:
        self._reader = AnswerReader(maker=maker)
        self._unwrap = unwrap
        self._splitter = SseSplitter()
        self._is_sse: bool | None = None
        self._body = bytearray()

    @property
    def usage(self) -> Usage | None:
        return self._reader.usage

    def feed(self, data: bytes) -> list[Event]:
        if self._reader.is_done:
            return []
        if not self._is_sse:
            if self._is_sse is None:
                start = (bytes(self._body) + data).lstrip()
                if not start:
                    return []
                self._is_sse = start[:1] not in b"[{<"
            if not self._is_sse:
                return self._collect(data)
        try:
            frames = self._splitter.feed(data)
        except SseTooLong as error:
            return self._fail(str(error))
        return self._frames([frame.data for frame in frames])

    def finish(self) -> list[Event]:
        if self._reader.is_done:
            return []
        rest = [frame.data for frame in self._splitter.finish()] if self._is_sse else [bytes(self._body)]
        events = self._frames([data for data in rest if data.strip()])
        return events + self._reader.end()

    def _collect(self, data: bytes) -> list[Event]:
        self._body += data
        return self._fail(f"a body of more than {LINE_BYTES_MAX} bytes") if len(self._body) > LINE_BYTES_MAX else []

    def _frames(self, frames: Sequence[bytes]) -> list[Event]:
        events: list[Event] = []
        for data in frames:
            if data.strip() == _DONE:
                continue
            try:
                value = loads_upstream(data)
            except (ValueError, RecursionError):
                return events + self._fail("a frame that is no JSON")
            for item in value if isinstance(value, list) else [value]:
                if not isinstance(item, dict):
                    return events + self._fail("a frame that is no object")
                events += self._reader.read(self._unwrap(item) if self._unwrap is not None else item)
        return events

    def _fail(self, what: str) -> list[Event]:
        if self._reader.is_done:
            return []
        self._reader.is_done = True
        return [StreamCorrupt(what).failure]


class _Open:
    """A part that has begun. `waiting`: deltas that came while an older part was still open."""

    __slots__ = ("end", "part", "waiting")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.waiting: list[str] = []
        self.end: Part | None = None


class GeminiRenderer:
    """Parts go out one after the other, in the order in which they began; the oldest open one streams, younger ones
    wait. A call goes out whole, when it is finished: `args` is an object here, and arguments that are none travel
    inside one. One that may be cut waits for what comes next. `wrap`: puts a frame into its envelope.
    """

    def __init__(self, reply: Reply, *, wrap: Wrap | None = None) -> None:
        self.losses: list[Loss] = []
        self._writer = PartWriter(profile=None, losses=self.losses, is_home=False)
        self._wrap = wrap
        self._is_array = reply.framing == "json-array"
        self._has_begun = False
        self._is_known = False
        self._is_done = False
        self._model = reply.model
        self._id = reply.request_id
        self._open: dict[int, _Open] = {}
        self._doubtful: tuple[ToolCall, str] | None = None
        self._thought = self._plain = (b"", b"")
        self._template()

    def feed(self, event: Event) -> bytes:
        if self._is_done:
            return b""
        match event:
            case PartDelta():
                return self._part_delta(event)
            case PartStart(index=index, part=part):
                self._open[index] = _Open(part)
                return self._trusted()
            case PartEnd(index=index, part=part):
                self._open[index].end = part
                return self._ended()
            case ResponseStart():
                return self._start(event)
            case ResponseEnd():
                return self._end(event)
            case Failure():
                self._is_done = True
                return self._framed(dumps(render_error(event)))  # errors stand in no envelope
            case Heartbeat():
                return self._heartbeat()
            case OpaqueEvent():
                return self._opaque(event)

    def finish(self) -> bytes:
        if not self._is_array:
            return b""
        return b"\n]\n" if self._has_begun else b"[]\n"

    def _template(self) -> None:
        """Everything of a text's frame but the text."""
        head = b'{"candidates":[{"content":{"parts":[{"text":'
        tail = b'}],"role":"model"},"index":0}],"modelVersion":%b,"responseId":%b}'
        tail %= (dumps(self._model), dumps(self._id))
        self._plain = (head, tail)
        self._thought = (head, b',"thought":true' + tail)

    def _frame(self, body: bytes) -> bytes:
        return self._framed(body if self._wrap is None else self._wrap(body))

    def _framed(self, body: bytes) -> bytes:
        if not self._is_array:
            return b"data: " + body + _BREAK
        start = b",\r\n" if self._has_begun else b"["
        self._has_begun = True
        return start + body

    def _parts(self, *parts: JsonValue) -> bytes:
        return self._frame(dumps(chunk(parts, {}, {"modelVersion": self._model, "responseId": self._id})))

    def _start(self, event: ResponseStart) -> bytes:
        self._is_known = True
        if event.id:
            self._id = event.id
            self._template()
        return b""

    def _part_delta(self, event: PartDelta) -> bytes:
        held = self._open[event.index]
        if isinstance(held.part, ToolCall):
            return b""  # its end brings them all
        text = "\n\n" + event.text if self._opens_section(held, event) else event.text
        if next(iter(self._open)) == event.index:
            return self._delta(held.part, text)
        held.waiting.append(text)
        return b""

    def _opens_section(self, held: _Open, event: PartDelta) -> bool:
        """Gemini has one text a thought: sections are set apart by a blank line."""
        if not isinstance(held.part, Thinking) or event.section < len(held.part.sections):
            return False
        held.part = Thinking(sections=(*held.part.sections, ""), origin=held.part.origin)
        return event.section > 0

    def _delta(self, part: Part, text: str) -> bytes:
        head, tail = self._thought if isinstance(part, Thinking) else self._plain
        return self._frame(head + dumps(text) + tail)

    def _ended(self) -> bytes:
        """What the oldest open part held back, and what that lets go."""
        frames = b""
        while self._open:
            index, held = next(iter(self._open.items()))
            if held.waiting:
                frames += self._delta(held.part, "".join(held.waiting))
                held.waiting.clear()
            if held.end is None:
                break
            frames += self._closing(held.end, f"content[{index}]")
            del self._open[index]
        return frames

    def _closing(self, part: Part, path: str) -> bytes:
        """The whole part, or of a text what its deltas did not say: the signature, on an empty text."""
        match part:
            case Text() | Thinking() | Refusal():
                written = self._writer.written(part, path)
                extra = {key: item for key, item in (written or {}).items() if key not in {"text", "thought"}}
                if not extra:
                    return b""
                mark: JsonObject = {"thought": True} if isinstance(part, Thinking) else {}
                return self._parts({"text": "", **mark, **extra})
            case ToolCall() if len(self._open) == 1 and may_be_cut(part, is_last=True):
                self._doubtful = (part, path)
                return b""
            case _:
                return self._whole(part, path)

    def _trusted(self) -> bytes:
        """The call that was not cut, since the answer went on after it."""
        told, self._doubtful = self._doubtful, None
        return b"" if told is None else self._whole(*told)

    def _whole(self, part: Part, path: str) -> bytes:
        written = self._writer.written(part, path)
        return b"" if written is None else self._parts(written)

    def _end(self, event: ResponseEnd) -> bytes:
        self._is_done = True
        if event.finish.reason == "length" and self._doubtful is not None:
            self.losses.append(cut_call(*self._doubtful))
            self._doubtful = None
        frames = self._trusted()
        self.losses.extend(residue_losses(event.residue, NAME))
        closing = Closing(event.finish, event.usage, event.residue)
        top = {**closing.top(), "modelVersion": self._model, "responseId": self._id}
        return frames + self._frame(dumps(chunk([{"text": ""}], closing.candidate(), top)))

    def _heartbeat(self) -> bytes:
        """An empty text, as Gemini itself sends one: Google's SDKs for Python and Go take a comment for a broken frame,
        and its older one for JavaScript (LangChain's) reads nothing more after a blank line. White space is legal
        between the items of an array, and before it.
        """
        if self._is_array:
            return b"\n"
        return self._parts({"text": ""}) if self._is_known else self._frame(_SILENCE)

    def _opaque(self, event: OpaqueEvent) -> bytes:
        if event.wire != NAME or event.name != "candidate":
            return b""
        body = {"candidates": [event.value], "modelVersion": self._model, "responseId": self._id}
        return self._frame(dumps(body))
