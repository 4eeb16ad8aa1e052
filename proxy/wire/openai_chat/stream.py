"""Streamed answers: the upstream's chunks on their way in. `speech` is the mirror.

Chunks say neither where a part ends nor what kind it is: a part ends where another kind of text, or a call, begins.
The answer ends with ``[DONE]``, or with the bytes if a `finish_reason` came; late usage and citations still count.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Mapping
from dataclasses import replace

from proxy.errors import Malformed
from proxy.hub.events import Event, Failure, OpaqueEvent, ResponseEnd, ResponseStart
from proxy.hub.parts import Media, Part, Refusal, Text, Thinking
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Usage
from proxy.wire.base import loads_upstream
from proxy.wire.fault import fault_of
from proxy.wire.openai_chat.assistant import IMAGE_KINDS, Speaker, in_place
from proxy.wire.openai_chat.calls import Calls, Emitter
from proxy.wire.openai_chat.parts import parse_part
from proxy.wire.openai_chat.reasoning import DETAILS, TEXT_KEYS, DetailJoiner, detail_text, details_of, native, sealed
from proxy.wire.openai_chat.response import CHOICE, MESSAGE, residue_of
from proxy.wire.openai_chat.usage import parse_usage
from proxy.wire.openai_chat.words import NAME, finish_of
from proxy.wire.sse import SseEvent, SseSplitter, SseTooLong
from proxy.wire.unicode import SurrogateJoiner

_CHUNK_KEYS = frozenset({"id", "object", "created", "model", "choices", "usage", "error"})
_CHOICE_KEYS = frozenset({"index", "delta", "message", "text", "finish_reason", "logprobs"})
_DELTA_KEYS = frozenset(
    {"role", "content", "refusal", "tool_calls", "function_call", "audio", "images", DETAILS, *TEXT_KEYS}
)


class _Flow:
    """The open part of running text: ``text``, ``refusal``, or ``thinking`` with what vendors say along with it."""

    __slots__ = ("details", "index", "joiner", "keys", "kind", "pieces", "shape")

    def __init__(self, kind: str, index: int) -> None:
        self.kind = kind
        self.index = index
        self.pieces: list[str] = []
        self.joiner = SurrogateJoiner()
        self.keys: set[str] = set()
        self.details = DetailJoiner()
        self.shape: JsonObject | None = None
        """Of a thinking block in a content list."""

    def thought(self, text: str, maker: str) -> Thinking:
        """As `take_thinking` would have read it from the whole message."""
        details = self.details.finish()
        made = native(details, text, origin=maker)
        written: JsonObject = {key: text for key in TEXT_KEYS if key in self.keys}
        if details:
            written[DETAILS] = list(details)
        shape: JsonObject = {"written": written}
        if self.shape is not None:
            shape = {"block": [{"type": "text", "text": text}], **self.shape}
        return replace(made, residue=Residue(wire=NAME, shape=shape))


class _Sound:
    """`delta.audio`: data in pieces of base64, and a transcript in pieces."""

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._data: list[bytes] = []
        self._transcript: list[str] = []

    def feed(self, audio: JsonObject) -> None:
        for key, value in audio.items():
            if key == "data" and isinstance(value, str):
                with contextlib.suppress(binascii.Error, ValueError):
                    self._data.append(base64.b64decode(value))
            elif key == "transcript" and isinstance(value, str):
                self._transcript.append(value)
            else:
                self._fields[key] = value

    def part(self) -> Media | None:
        if not self._data:
            return None
        shape: JsonObject = {"in": "audio", "id": self._fields.pop("id", None)}
        fields: JsonObject = {**self._fields, "transcript": "".join(self._transcript)}
        data = base64.b64encode(b"".join(self._data)).decode()
        return Media(kind="audio", data=data, residue=Residue(wire=NAME, fields=fields, shape=shape))


class ChatStreamParser:
    """Bytes → events. See `proxy.wire.base.StreamParser`."""

    def __init__(self, *, maker: str) -> None:
        self._sse = SseSplitter()
        self._maker = maker
        self._emitter = Emitter()
        self._calls = Calls(self._emitter)
        self._flow: _Flow | None = None
        self._is_started = False
        self._is_over = False
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._left: dict[str, JsonObject] = {"": {}, CHOICE: {}, MESSAGE: {}}
        self._sound = _Sound()

    @property
    def usage(self) -> Usage | None:
        """Some tell it with every chunk."""
        return self._usage

    def feed(self, data: bytes) -> list[Event]:
        if self._is_over:
            return []
        events: list[Event] = []
        self._emitter.events = events
        try:
            frames = self._sse.feed(data)
        except SseTooLong as error:
            self._fail(str(error))
            return events
        self._frames(frames)
        return events

    def finish(self) -> list[Event]:
        if self._is_over:
            return []
        events: list[Event] = []
        self._emitter.events = events
        self._frames(self._sse.finish())
        if not self._is_over:
            if self._finish is None:
                self._fail("it ended early")
            else:
                self._end()
        return events

    def _frames(self, frames: list[SseEvent]) -> None:
        for frame in frames:
            if self._is_over:
                return
            self._frame(frame)

    def _frame(self, frame: SseEvent) -> None:
        data = frame.data.strip()
        if not data:
            return
        if data == b"[DONE]":
            self._done()
            return
        try:
            chunk = loads_upstream(data)
        except (ValueError, RecursionError):
            self._fail("a chunk is no JSON")
            return
        if not isinstance(chunk, dict):
            self._emitter.events.append(OpaqueEvent(NAME, "chunk", chunk))
        elif chunk.get("error") or frame.event == b"error":
            self._emitter.events.append(fault_of(chunk))
            self._is_over = True
        else:
            try:
                self._chunk(chunk)
            except Malformed as error:
                self._fail(error.message)

    def _fail(self, why: str) -> None:
        self._is_over = True
        message = f"the upstream's stream is corrupt: {why}"
        self._emitter.events.append(Failure(kind="stream_corrupt", message=message, status=502))

    def _chunk(self, chunk: JsonObject) -> None:
        for key, value in chunk.items():
            if key not in _CHUNK_KEYS:
                self._left[""][key] = value
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices:
            if not self._is_started:
                self._start(chunk)
            for choice in choices:
                if isinstance(choice, dict):
                    self._choice(choice)
        self._take_usage(chunk)

    def _take_usage(self, chunk: JsonObject) -> None:
        """The last that tells something; Groq's is in its own place."""
        value = chunk.get("usage")
        if value is None and "x_groq" in chunk:
            groq = chunk["x_groq"]
            value = groq.get("usage") if isinstance(groq, dict) else None
        if value is not None:
            told = parse_usage(value)
            if told is not None and (self._usage is None or told.input_total or told.output_total):
                self._usage = told

    def _start(self, chunk: JsonObject) -> None:
        self._is_started = True
        answer_id, model, created = chunk.get("id"), chunk.get("model"), chunk.get("created")
        told_id = answer_id if isinstance(answer_id, str) else None
        told_created = created if isinstance(created, int) else None
        self._calls.speaker = Speaker(self._maker, f"{told_id}:{told_created}")
        self._emitter.events.append(
            ResponseStart(
                id=told_id or "",
                model=model if isinstance(model, str) else "",
                created=told_created,
                residue=Residue(wire=NAME),
            )
        )

    def _choice(self, choice: JsonObject) -> None:
        if choice.get("index"):
            self._emitter.events.append(OpaqueEvent(NAME, "choice", choice))
            return
        for key, value in choice.items():
            if key not in _CHOICE_KEYS:
                self._left[CHOICE][key] = value
        logprobs = choice.get("logprobs")
        if logprobs:
            self._log(logprobs)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = choice.get("message")
        if isinstance(delta, dict):
            self._delta(delta)
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish:
            self._finish = finish
            if finish == "error":
                self._fail("it ended with the finish_reason error")

    def _log(self, logprobs: JsonValue) -> None:
        held = self._left[CHOICE].setdefault("logprobs", {})
        if isinstance(logprobs, dict) and isinstance(held, dict):
            for key, value in logprobs.items():
                gather(held, key, value)

    def _delta(self, delta: JsonObject) -> None:
        """What may stand beside each other in one delta is taken in our order of parts."""
        if delta.get("reasoning_content") or delta.get("reasoning") or delta.get(DETAILS):
            self._think(delta)
        content = delta.get("content")
        if content:
            if isinstance(content, str):
                self._say("text", content)
            elif isinstance(content, list):
                for block in content:
                    self._block(block)
        if len(delta) > 1 or not content:
            self._rare(delta)

    def _rare(self, delta: JsonObject) -> None:
        refusal, calls, legacy = delta.get("refusal"), delta.get("tool_calls"), delta.get("function_call")
        if isinstance(refusal, str) and refusal:
            self._say("refusal", refusal)
        if isinstance(calls, list) and calls:
            self._end_flow()
            self._calls.feed(calls)
        if isinstance(legacy, dict):
            self._end_flow()
            self._calls.feed_legacy(legacy)
        images, audio = delta.get("images"), delta.get("audio")
        for image in images if isinstance(images, list) else []:
            self._whole(in_place(parse_part(image, "images", IMAGE_KINDS), "images"))
        if isinstance(audio, dict):
            self._sound.feed(audio)
        for key, value in delta.items():
            if key not in _DELTA_KEYS:
                gather(self._left[MESSAGE], key, value)

    def _block(self, block: JsonValue) -> None:
        """Mistral's content lists."""
        kind = block.get("type") if isinstance(block, dict) else "text"
        part = parse_part(block, "content")
        if isinstance(part, Text):
            self._say("text", part.text)
        elif isinstance(part, Thinking) and isinstance(block, dict):
            flow = self._flowing("thinking")
            flow.shape = {"closed": block.get("closed")}
            self._say("thinking", part.text)
        elif kind is not None:
            self._whole(part)

    def _whole(self, part: Part) -> None:
        """A part that comes at once."""
        self._end_flow()
        self._emitter.end(self._emitter.start(part), part)

    def _think(self, delta: JsonObject) -> None:
        texts = {key: text for key in TEXT_KEYS if isinstance(text := delta.get(key), str) and text}
        details = details_of(delta.get(DETAILS))
        told = "".join(detail_text(detail) for detail in details)
        if not texts and not told and sealed(details) is None:
            return
        flow = self._flowing("thinking")
        for detail in details:
            flow.details.feed(detail)
        if texts:
            flow.keys.update(texts)
            self._say("thinking", next(iter(texts.values())))
        elif told and not flow.keys:  # else they repeat what was said
            self._say("thinking", told)

    def _say(self, kind: str, text: str) -> None:
        flow = self._flow
        if flow is None or flow.kind != kind:
            flow = self._flowing(kind)
        text = flow.joiner.feed(text)
        if text:
            flow.pieces.append(text)
            self._emitter.delta(flow.index, text)

    def _flowing(self, kind: str) -> _Flow:
        if self._flow is not None and self._flow.kind == kind:
            return self._flow
        self._end_flow()
        self._calls.settle()
        opened: Mapping[str, Part] = {"text": Text(text=""), "refusal": Refusal(text="")}
        part = opened.get(kind) or Thinking(origin=self._maker)
        self._flow = _Flow(kind, self._emitter.start(part))
        return self._flow

    def _end_flow(self) -> None:
        flow, self._flow = self._flow, None
        if flow is None:
            return
        tail = flow.joiner.finish()
        if tail:
            flow.pieces.append(tail)
            self._emitter.delta(flow.index, tail)
        text = "".join(flow.pieces)
        ended: Mapping[str, Part] = {"text": Text(text=text), "refusal": Refusal(text=text)}
        self._emitter.end(flow.index, ended.get(flow.kind) or flow.thought(text, self._maker))

    def _done(self) -> None:
        """At ``[DONE]``: a clean end, also without a finish_reason."""
        if not self._is_started:
            self._fail("it holds no answer")
        elif self._finish is None and self._calls.has_cut():
            self._fail("it ended inside a tool call")
        else:
            self._end()

    def _end(self) -> None:
        self._is_over = True
        self._end_flow()
        self._calls.finish()
        sound = self._sound.part()
        if sound is not None:
            self._whole(sound)
        finish = finish_of(self._finish, list(self._emitter.has.values()))
        residue = residue_of(self._left, others=[], shape={})
        self._emitter.events.append(ResponseEnd(finish=finish, usage=self._usage, residue=residue))


def gather(held: JsonObject, key: str, value: JsonValue) -> None:
    """Lists grow, other values replace; an empty one replaces nothing."""
    have = held.get(key)
    if isinstance(have, list) and isinstance(value, list):
        have.extend(value)
    elif value or key not in held:
        held[key] = list(value) if isinstance(value, list) else value
