"""Streamed answers on their way to a client: the mirror of `stream`.

Chunks may interleave calls, so that none of them waits; texts of one kind follow each other. ``data: {… "delta": …}``
is written around the encoded text alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from proxy.hub.custom import Unwrapper, unwrapped
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
from proxy.hub.loss import Loss
from proxy.hub.parts import Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Finish
from proxy.wire.base import Reply, dumps
from proxy.wire.fields import residue_losses
from proxy.wire.openai_chat.answering import Answering, Listener
from proxy.wire.openai_chat.error import render_error
from proxy.wire.openai_chat.reasoning import DETAILS
from proxy.wire.openai_chat.response import Remains, answer_id
from proxy.wire.openai_chat.saying import GAP
from proxy.wire.openai_chat.usage import render_usage
from proxy.wire.openai_chat.words import NAME, finish_word

_KEYS: Mapping[type[Part], str] = {Text: "content", Refusal: "refusal", Thinking: "reasoning_content"}
_DONE = b"data: [DONE]\n\n"
_PING = b": ping\n\n"


class _Open:
    """An open part. `head` and `tail` stand around an encoded piece of its text; empty head: it is not told."""

    __slots__ = ("has_text", "head", "section", "tail", "unwrapper")

    def __init__(self, head: bytes = b"", tail: bytes = b"") -> None:
        self.head = head
        self.tail = tail
        self.section = 0
        self.has_text = False
        self.unwrapper: Unwrapper | None = None


class ChatStreamRenderer:
    """Events → bytes. See `proxy.wire.base.StreamRenderer`."""

    def __init__(self, reply: Reply) -> None:
        self.losses: list[Loss] = []
        self._reply = reply
        self._listener = Listener.of(reply)
        self._writer = Answering(self._listener, self.losses, is_home=False, reason=None)
        self._prefix = b""
        self._head = b""
        self._tail = b""
        self._open: dict[int, _Open] = {}
        self._told: dict[str, int] = {}  # the last part that wrote under a key
        self._speaking: dict[str, int] = {}  # the open part that writes under a key
        self._held: dict[int, list[PartStart | PartDelta | PartEnd]] = {}  # of parts that wait for it
        self._last: int | None = None  # the last part that began
        self._calls = 0
        self._has_refusal = False
        self._strange: set[str] = set()
        self._is_over = False

    def feed(self, event: Event) -> bytes:
        return b"" if self._is_over else self._writers[type(event)](self, event)

    def finish(self) -> bytes:
        return b""

    def _start(self, event: ResponseStart) -> bytes:
        is_own = event.residue is not None and event.residue.wire == NAME and event.id
        head: JsonObject = {
            "id": event.id if is_own else answer_id(self._reply),
            "object": "chat.completion.chunk",
            "created": self._reply.created if event.created is None else event.created,
            "model": self._reply.model,
        }
        self._prefix = b"data: " + dumps(head)[:-1] + b',"choices":['
        self._head = self._prefix + b'{"index":0,"delta":'
        self._tail = b',"finish_reason":null}]' + (b',"usage":null}\n\n' if self._reply.has_usage else b"}\n\n")
        return self._chunk({"role": "assistant", "content": ""})

    def _chunk(self, delta: JsonObject) -> bytes:
        return self._head + dumps(delta) + self._tail

    def _part_start(self, event: PartStart) -> bytes:
        part = event.part
        before, self._last = self._last, event.index
        if isinstance(part, ToolCall):
            return self._call_start(event.index, part)
        key = _KEYS.get(type(part))
        if key is None or (isinstance(part, Thinking) and self._listener.hides_thinking):
            self._open[event.index] = _Open()
            return b""
        if self._speaking.setdefault(key, event.index) != event.index:
            self._held[event.index] = [event]
            return b""
        opened = _Open(self._head + b'{"' + key.encode() + b'":', b"}" + self._tail)
        self._open[event.index] = opened
        is_apart = key in self._told and (isinstance(part, Thinking) or self._told[key] != before)
        opened.section = -1 if is_apart else 0
        self._has_refusal = self._has_refusal or isinstance(part, Refusal)
        return b""

    def _call_start(self, index: int, part: ToolCall) -> bytes:
        position, self._calls = self._calls, self._calls + 1
        opened = self._open[index] = _Open()
        if self._listener.is_legacy:
            if position:
                why = "the client calls one function at a time"
                self.losses.append(Loss(f"content[{index}]", f"call of {part.name}", why))
                return b""
            opened.head = self._head + b'{"function_call":{"arguments":'
            opened.tail = b"}}" + self._tail
            return self._chunk({"function_call": {"name": part.name, "arguments": ""}})
        is_custom = part.is_custom or part.name in self._listener.customs
        if is_custom and not part.is_custom:
            opened.unwrapper = Unwrapper()
        key, text = ("custom", "input") if is_custom else ("function", "arguments")
        entry = b'{"tool_calls":[{"index":' + str(position).encode() + b',"' + key.encode() + b'":{"'
        opened.head = self._head + entry + text.encode() + b'":'
        opened.tail = b"}}]}" + self._tail
        inner: JsonObject = {"name": part.name, text: ""}
        return self._chunk({"tool_calls": [{"index": position, "id": part.id, "type": key, key: inner}]})

    def _delta(self, event: PartDelta) -> bytes:
        if event.index in self._held:
            self._held[event.index].append(event)
            return b""
        opened = self._open[event.index]
        text = event.text
        if not opened.head or not text:
            return b""
        if opened.unwrapper is not None:
            text = opened.unwrapper.feed(text)
            if not text:
                return b""
        elif event.section != opened.section:
            text = self._spaced(opened, event.section, text)
        opened.has_text = True
        return opened.head + dumps(text) + opened.tail

    def _spaced(self, opened: _Open, section: int, text: str) -> str:
        is_first, opened.section = not opened.has_text and opened.section >= 0, section
        return text if is_first else GAP + text

    def _part_end(self, event: PartEnd) -> bytes:
        if event.index in self._held:
            self._held[event.index].append(event)
            return b""
        written = self._finished(event)
        key = _KEYS.get(type(event.part), "")
        if self._speaking.get(key) == event.index:
            del self._speaking[key]
            written += self._next(key)
        return written

    def _next(self, key: str) -> bytes:
        """Lets the part speak that has waited longest."""
        for index, (start, *_) in self._held.items():
            if isinstance(start, PartStart) and _KEYS.get(type(start.part)) == key:
                return b"".join(self._writers[type(event)](self, event) for event in self._held.pop(index))
        return b""

    def _finished(self, event: PartEnd) -> bytes:
        opened = self._open.pop(event.index)
        part, path = event.part, f"content[{event.index}]"
        if type(part) in _KEYS and opened.has_text:
            self._told[_KEYS[type(part)]] = event.index
        if isinstance(part, ToolCall):
            return self._call_end(event.index, opened, part)
        if isinstance(part, Text | Refusal):
            self.losses.extend(residue_losses(part.residue, NAME, path))
            return b""
        told = self._writer.message((part,), (path,), None)
        if isinstance(part, Thinking):  # its text has been told
            told = {key: told[key] for key in told.keys() & {DETAILS} if not self._listener.hides_thinking}
        return self._chunk(told) if told else b""

    def _call_end(self, index: int, opened: _Open, part: ToolCall) -> bytes:
        """What no delta brought: the arguments of a call that has none, or that came at once; its signature."""
        self.losses.extend(residue_losses(part.residue, NAME, f"content[{index}]"))
        written = b""
        if opened.head and not opened.has_text and part.arguments:
            text = part.arguments if opened.unwrapper is None else unwrapped(part.arguments)
            written = opened.head + dumps(text) + opened.tail
        self._writer.out = {}
        self._writer.add_details(part)
        return written + (self._chunk(self._writer.out) if self._writer.out else b"")

    def _end(self, event: ResponseEnd) -> bytes:
        self._is_over = True
        self.losses.extend(residue_losses(event.residue, NAME))
        remains = Remains(event.residue)
        is_own = event.residue is not None and event.residue.wire == NAME
        word = event.finish.raw if is_own and event.finish.raw is not None else self._finish_word(event.finish)
        choice: JsonObject = {**remains.choice, "index": 0, "delta": dict(remains.message), "finish_reason": word}
        last = self._prefix + dumps(choice) + b"]"
        if remains.body:
            last += b"," + dumps(remains.body)[1:-1]
        last += b',"usage":null}\n\n' if self._reply.has_usage else b"}\n\n"
        if self._reply.has_usage and event.usage is not None:
            last += self._prefix + b'],"usage":' + dumps(render_usage(event.usage)) + b"}\n\n"
        return last + _DONE

    def _finish_word(self, finish: Finish) -> str | None:
        is_legacy = self._listener.is_legacy and self._calls > 0
        return finish_word(finish, has_refusal=self._has_refusal, is_legacy=is_legacy)

    def _failure(self, event: Failure) -> bytes:
        self._is_over = True
        return b"data: " + dumps(render_error(event)) + b"\n\n"

    def _heartbeat(self, event: Heartbeat) -> bytes:
        del event
        return _PING

    def _opaque(self, event: OpaqueEvent) -> bytes:
        if event.wire != NAME:
            if event.name not in self._strange:  # there may be thousands of one name
                self._strange.add(event.name)
                self.losses.append(Loss(event.name, event.name, f"only {event.wire} knows it"))
        elif event.name == "choice":
            return self._raw_choice(event.value)
        return b""

    def _raw_choice(self, value: JsonValue) -> bytes:
        return self._prefix + dumps(value) + b"]" + (b',"usage":null}\n\n' if self._reply.has_usage else b"}\n\n")

    _writers: ClassVar[Mapping[type[Event], Callable[..., bytes]]] = {
        ResponseStart: _start,
        PartStart: _part_start,
        PartDelta: _delta,
        PartEnd: _part_end,
        ResponseEnd: _end,
        Failure: _failure,
        Heartbeat: _heartbeat,
        OpaqueEvent: _opaque,
    }
