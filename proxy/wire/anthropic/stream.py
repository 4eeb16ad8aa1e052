"""Streamed answers, as an upstream sends them: bytes → events. The way out is `frames`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from proxy.errors import Malformed
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
from proxy.hub.fold import opened
from proxy.hub.parts import Part, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Usage
from proxy.wire.anthropic.blocks import NAME, BlockReader
from proxy.wire.anthropic.response import frame_residue, identified, parse_finish, parse_head
from proxy.wire.base import loads, loads_upstream
from proxy.wire.fault import STATUS, fault_of
from proxy.wire.fields import Fields
from proxy.wire.sse import SseEvent, SseSplitter, SseTooLong
from proxy.wire.unicode import SurrogateJoiner

_STOPS = ("stop_reason", "stop_sequence")
_TEXT_OF: Mapping[str, tuple[str, str]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
}
"""Where a delta has its text, and which field of the block it continues."""
_GROWS: Mapping[str, str] = {"text": "text", "thinking": "thinking", "tool_use": "input"}


@dataclass(slots=True)
class _Block:
    """An open block. `index` is the hub's: an upstream may use its own twice. `grows`: the field that deltas continue;
    of a block that the hub has no word for, the first delta says which.
    """

    index: int
    value: JsonObject
    grows: str | None
    is_known: bool
    pieces: list[str] = field(default_factory=list)
    joiner: SurrogateJoiner = field(default_factory=SurrogateJoiner)


class AnthropicStreamParser:
    """One event of the wire is one small method. Blocks are kept by the upstream's index while they are open."""

    usage: Usage | None = None

    def __init__(self, *, maker: str) -> None:
        self._splitter = SseSplitter()
        self._reader = BlockReader(maker)
        self._open: dict[int, _Block] = {}
        self._parts: list[Part] = []
        self._message: JsonObject = {}
        self._usage: JsonObject = {}
        self._is_started = False
        self._is_over = False
        self._out: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        if self._is_over:
            return []
        try:
            for event in self._splitter.feed(data):
                self._event(event)
        except SseTooLong as error:
            self._fail(str(error))
        return self._taken()

    def finish(self) -> list[Event]:
        if self._is_over:
            return []
        for event in self._splitter.finish():
            self._event(event)
        if not self._is_over:
            self._at_end_of_bytes()
        return self._taken()

    def _taken(self) -> list[Event]:
        out, self._out = self._out, []
        return out

    def _event(self, event: SseEvent) -> None:
        if self._is_over or not event.data.strip():
            return
        try:
            value = loads_upstream(event.data)
        except (ValueError, RecursionError):
            self._not_json(event)
            return
        if not isinstance(value, dict):
            self._fail("an event is no JSON object")
            return
        kind = value.get("type")
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        try:
            if handler is not None:
                handler(self, value)
            elif "error" in value:
                self._error(value)
            else:
                self._out.append(OpaqueEvent(NAME, str(kind or event.event.decode("utf-8", "replace")), value))
        except Malformed as error:
            self._fail(error.message)

    def _not_json(self, event: SseEvent) -> None:
        """Some compatible upstreams close with OpenAI's marker."""
        if event.data.strip() == b"[DONE]":
            self._at_end_of_bytes()
        else:
            self._fail("an event is no JSON")

    def _fail(self, why: str) -> None:
        self._is_over = True
        message = f"the upstream's stream is corrupt: {why}"
        self._out.append(Failure(kind="stream_corrupt", message=message, status=STATUS["stream_corrupt"]))

    # One method an event

    def _message_start(self, value: JsonObject) -> None:
        """A second one in one stream says nothing new (several gateways send it)."""
        message = value.get("message")
        if self._is_started:
            return
        if not isinstance(message, dict):
            self._fail("message_start has no message")
            return
        self._is_started = True
        usage = message.get("usage")
        self._usage = dict(usage) if isinstance(usage, dict) else {}
        self._message = {key: each for key, each in message.items() if key not in {"usage", "content", *_STOPS}}
        fields = Fields({**self._message, "usage": self._usage or None}, wire=NAME)
        head = parse_head(fields)
        residue = _without_usage(frame_residue(fields))
        usage_now = head.usage if head.usage and (head.usage.input_total or head.usage.output_total) else None
        self._out.append(ResponseStart(id=head.id, model=head.model, usage=usage_now, residue=residue))

    def _block_start(self, value: JsonObject) -> None:
        block, number = value.get("content_block"), _number(value)
        if not self._is_started or not isinstance(block, dict):
            self._fail("a block before the message" if not self._is_started else "content_block_start has no block")
            return
        if number in self._open:
            self._fail(f"block {number} was opened twice")
            return
        self._begin(number, dict(block))

    def _begin(self, number: int, block: JsonObject) -> None:
        part = identified(self._reader.read(block, f"content[{number}]"), len(self._parts))
        index = len(self._parts)
        self._parts.append(part)
        if isinstance(part, ToolCall):
            block["id"] = part.id
        grows = _GROWS.get(str(block["type"]))
        self._open[number] = _Block(index, block, grows, is_known=grows is not None)
        self._out.append(PartStart(index, opened(part)))
        first = block.get(grows) if grows in {"text", "thinking"} else None
        if isinstance(first, str) and first:
            self._grow(self._open[number], first)

    def _grow(self, block: _Block, text: str) -> None:
        text = block.joiner.feed(text)
        if text:
            block.pieces.append(text)
            self._out.append(PartDelta(block.index, text))

    def _block_delta(self, value: JsonObject) -> None:
        delta, number = value.get("delta"), _number(value)
        block = self._open.get(number)
        if block is None or not isinstance(delta, dict):
            self._fail(f"a delta for block {number}, which is not open" if block is None else "a delta holds nothing")
            return
        kind = delta.get("type")
        told = _TEXT_OF.get(kind) if isinstance(kind, str) else None
        text = delta.get(told[0]) if told else None
        if told is not None and isinstance(text, str):
            self._text_delta(number, block, told[1], text)
        elif kind == "citations_delta":
            citations = block.value.get("citations")
            if not isinstance(citations, list):
                block.value["citations"] = citations = []
            citations.append(delta.get("citation"))
        elif kind == "signature_delta":
            block.value["signature"] = delta.get("signature")
        elif kind == "compaction_delta":
            block.value.update({key: each for key, each in delta.items() if key != "type"})
        else:
            self._out.append(OpaqueEvent(NAME, "content_block_delta", value))

    def _text_delta(self, number: int, block: _Block, grows: str, text: str) -> None:
        """A delta that does not fit its block begins another (a gateway put thinking into a text block)."""
        if not block.is_known:
            block.grows = grows
            block.pieces.append(text)
        elif grows == block.grows:
            self._grow(block, text)
        elif grows != "input" and text:
            self._end(number)
            self._begin(number, {"type": grows, grows: text})
        elif text:
            self._fail(f"arguments for block {number}, which is no call")

    def _block_stop(self, value: JsonObject) -> None:
        """The end of what never began, or was ended by a misplaced delta, is nothing."""
        number = _number(value)
        if number in self._open:
            self._end(number)

    def _end(self, number: int) -> None:
        block = self._open.pop(number)
        if rest := block.joiner.finish():
            block.pieces.append(rest)
            self._out.append(PartDelta(block.index, rest))
        part = self._finished(block)
        self._parts[block.index] = part
        self._out.append(PartEnd(block.index, part))

    def _finished(self, block: _Block) -> Part:
        value, text = block.value, "".join(block.pieces)
        path = f"content[{block.index}]"
        if block.is_known and block.grows == "input":
            part = self._reader.read(value, path)
            assert isinstance(part, ToolCall)
            if text:
                return replace(part, arguments=text)
            self._out.append(PartDelta(block.index, part.arguments))  # told at the start, or {} for no arguments
            return part
        if text and block.grows == "input":
            value["input"] = _parsed(text)
        elif text and block.grows is not None:
            value[block.grows] = text
        return self._reader.read(value, path)

    def _message_delta(self, value: JsonObject) -> None:
        delta, usage = value.get("delta"), value.get("usage")
        told = {key: each for key, each in value.items() if key not in {"type", "delta", "usage"}}
        for key, each in {**told, **(delta if isinstance(delta, dict) else {})}.items():
            if each is not None or key not in self._message:
                self._message[key] = each
        if isinstance(usage, dict):  # cumulative: the last word counts, null is none
            self._usage.update({key: each for key, each in usage.items() if each is not None})

    def _message_stop(self, _value: JsonObject) -> None:
        if self._is_started:
            self._close()
        else:
            self._fail("the end came before the start")

    def _close(self) -> None:
        for number in list(self._open):
            self._end(number)
        self._is_over = True
        parts = tuple(self._parts)
        fields = Fields({**self._message, "usage": self._usage or None}, wire=NAME)
        head = parse_head(fields)
        finish = parse_finish(fields, parts)
        residue = _without_usage(frame_residue(fields))
        self._out.append(ResponseEnd(finish=finish, usage=head.usage, residue=residue))

    def _at_end_of_bytes(self) -> None:
        """The last frame may be missing, but not what it would confirm."""
        if self._is_started and not self._open and self._message.get("stop_reason") is not None:
            self._close()
        else:
            self._fail("it ended early" if self._is_started else "it ended before it began")

    def _ping(self, _value: JsonObject) -> None:
        self._out.append(Heartbeat())

    def _error(self, value: JsonObject) -> None:
        self._is_over = True
        self._out.append(fault_of(value))

    _handlers: ClassVar[Mapping[str, Callable[[AnthropicStreamParser, JsonObject], None]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
        "ping": _ping,
        "error": _error,
    }


def _number(value: JsonObject) -> int:
    """The upstream's index; -1 where it has none."""
    number = value.get("index")
    return number if isinstance(number, int) else -1


def _without_usage(residue: Residue) -> Residue:
    """A usage that was never told is no residue."""
    return replace(residue, fields={key: value for key, value in residue.fields.items() if key != "usage"})


def _parsed(text: str) -> JsonValue:
    """A hosted tool's input; as text where it is no JSON."""
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return text
