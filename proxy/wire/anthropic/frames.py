"""Streamed answers for a client: events → frames. The way in is `stream`.

Blocks of this wire never overlap: while one is open, parts that began meanwhile wait. Only text may be interrupted,
and goes on in another block.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from proxy.hub import custom
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
from proxy.hub.names import synthetic_call_id
from proxy.hub.parts import Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.anthropic.blocks import NAME
from proxy.wire.anthropic.error import render_error
from proxy.wire.anthropic.response import (
    WORDS,
    call_signature,
    client_signature,
    is_home,
    render_finish,
    render_head,
    render_part,
    render_usage,
    shown,
    text_signature,
    why_not,
)
from proxy.wire.base import Reply, dumps
from proxy.wire.fields import residue_fields, residue_losses

_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_EVENT_NAME = re.compile(r"[a-z0-9_.]+")
_THOUGHT = Thinking(sections=("…",))
_OF_DELTA = frozenset({"container", "stop_details"})
_OF_MESSAGE_DELTA = frozenset({"context_management", "input_transformations"})
"""Where the end of a stream tells what a whole answer has at its top."""
_KINDS: Mapping[type[Part], tuple[str, str]] = {
    Text: ("text_delta", "text"),
    Refusal: ("text_delta", "text"),
    Thinking: ("thinking_delta", "thinking"),
    ToolCall: ("input_json_delta", "partial_json"),
}


def frame(name: str, value: JsonObject) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps(value))


@dataclass(slots=True)
class _Live:
    """The part whose block is being written. `head`: a delta's frame up to its text. Lazy until there is something."""

    part: Part
    hub_index: int
    index: int = -1
    head: bytes = b""
    section: int = 0
    is_fed: bool = False


@dataclass(slots=True)
class _Waiting:
    """A part that began while another's block was open. `is_fed`: some of it has been written."""

    part: Part
    is_fed: bool = False
    deltas: list[PartDelta] = field(default_factory=list)
    end: Part | None = None


class AnthropicStreamRenderer:
    """`losses` grows while it works."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.losses: list[Loss] = []
        self._out: list[bytes] = []
        self._is_home = False
        self._is_over = False
        self._has_refusal = False
        self._hides_thinking = False
        self._blocks = 0
        self._live: _Live | None = None
        self._interrupted: dict[int, _Live] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._told: frozenset[str] = frozenset()

    def feed(self, event: Event) -> bytes:
        if self._is_over:
            return b""
        self._handlers[type(event)](self, event)
        if len(self._out) == 1:
            return self._out.pop()
        out = b"".join(self._out)
        self._out.clear()
        return out

    def finish(self) -> bytes:
        return b""

    # Frames of the message

    def _start(self, event: ResponseStart) -> None:
        self._is_home = is_home(event.residue)
        self._hides_thinking = not self._is_home and shown(_THOUGHT, self._reply) != _THOUGHT
        message = render_head(event.id, event.residue, self._reply)
        usage = render_usage(event.usage, is_home=self._is_home)
        message.update(content=[], stop_reason=None, stop_sequence=None)
        message["usage"] = {"input_tokens": 0, "output_tokens": 0, **usage}
        fields = residue_fields(event.residue, NAME)
        self._told = frozenset(fields)
        message.update(fields)
        self._out.append(frame("message_start", {"type": "message_start", "message": message}))

    def _end(self, event: ResponseEnd) -> None:
        self._close_all()
        self._is_over = True
        residue = event.residue
        self.losses.extend(residue_losses(residue, NAME))
        delta: JsonObject = {"stop_reason": WORDS[event.finish.reason], "stop_sequence": None}
        delta.update(render_finish(event.finish, residue, has_refusal=self._has_refusal))
        usage = render_usage(event.usage, is_home=is_home(residue))
        value: JsonObject = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 0, **usage}}
        for key, told in residue_fields(residue, NAME).items():
            if key in _OF_MESSAGE_DELTA:
                value[key] = told
            elif key in _OF_DELTA or key not in {*self._told, *delta}:
                delta[key] = told
        self._out += [frame("message_delta", value), frame("message_stop", {"type": "message_stop"})]

    def _failure(self, event: Failure) -> None:
        self._is_over = True
        self._out.append(frame("error", render_error(event)))

    def _heartbeat(self, _event: Heartbeat) -> None:
        self._out.append(_PING)

    def _opaque_event(self, event: OpaqueEvent) -> None:
        """At home as it came; what other wires tell of their progress has no frame here."""
        if event.wire == NAME and isinstance(event.value, dict) and _EVENT_NAME.fullmatch(event.name):
            self._out.append(frame(event.name, event.value))

    # Parts

    def _part_start(self, event: PartStart) -> None:
        if isinstance(event.part, Refusal):
            self._has_refusal = True
        live = self._live
        if live is not None and isinstance(live.part, Text | Refusal):
            self._interrupted[live.hub_index] = live
            self._stop(live)
        self._waiting[event.index] = _Waiting(event.part)
        self._go_on()

    def _part_delta(self, event: PartDelta) -> None:
        live = self._live
        if live is not None and live.hub_index == event.index:
            self._write(live, event)
        elif event.index in self._waiting:
            self._waiting[event.index].deltas.append(event)
        elif event.index in self._interrupted:
            was = self._interrupted.pop(event.index)
            self._waiting[event.index] = _Waiting(was.part, was.is_fed, [event])
            self._go_on()

    def _part_end(self, event: PartEnd) -> None:
        live = self._live
        if live is not None and live.hub_index == event.index:
            self._finish(live, event.part)
            self._go_on()
        elif event.index in self._waiting:
            self._waiting[event.index].end = event.part
        elif (was := self._interrupted.pop(event.index, None)) is not None:
            self._waiting[event.index] = _Waiting(was.part, was.is_fed, end=event.part)
            self._go_on()

    def _go_on(self) -> None:
        """What waited is written now, until a part that is not over yet."""
        while self._live is None and self._waiting:
            index = next(iter(self._waiting))
            held = self._waiting.pop(index)
            live = self._open(index, held.part)
            live.is_fed = held.is_fed
            for delta in held.deltas:
                self._write(live, delta)
            if held.end is not None:
                self._finish(live, held.end)

    def _close_all(self) -> None:
        """Nothing is open any more when the events keep their grammar."""
        while self._live is not None:
            self._stop(self._live)
            self._go_on()

    def _open(self, hub_index: int, part: Part) -> _Live:
        self._live = live = _Live(part, hub_index)
        if isinstance(part, ToolCall):
            mark = call_signature(part)
            if mark is not None:
                self._whole(mark)
            call_id = part.id or synthetic_call_id(hub_index, part.name, "")
            fields = residue_fields(part.residue, NAME)
            self._begin(live, {"type": "tool_use", "id": call_id, "name": part.name, "input": {}, **fields})
        elif self._is_home:
            self._begin_lazily(live)
        return live

    def _begin_lazily(self, live: _Live) -> None:
        """Empty text and empty thinking are no blocks, unless the upstream's own stream had them."""
        if live.index >= 0:
            return
        if isinstance(live.part, Text | Refusal):
            self._begin(live, {"type": "text", "text": ""})
        elif isinstance(live.part, Thinking) and not live.part.is_redacted:
            self._begin(live, {"type": "thinking", "thinking": "", "signature": ""})

    def _begin(self, live: _Live, block: JsonObject) -> None:
        live.index = self._blocks
        self._blocks += 1
        kind, key = _KINDS[type(live.part)]
        head = f'{{"type":"content_block_delta","index":{live.index},"delta":{{"type":"{kind}","{key}":'
        live.head = b"event: content_block_delta\ndata: " + head.encode()
        value: JsonObject = {"type": "content_block_start", "index": live.index, "content_block": block}
        self._out.append(frame("content_block_start", value))

    def _write(self, live: _Live, event: PartDelta) -> None:
        text = event.text
        part = live.part
        if isinstance(part, ToolCall) and part.is_custom:
            return  # wrapped as a whole at its end
        if isinstance(part, Thinking) and self._hides_thinking:
            return
        if isinstance(part, Thinking) and event.section != live.section:
            text = f"\n\n{text}" if live.is_fed else text
            live.section = event.section
        if text and type(part) in _KINDS:
            if live.index < 0:
                self._begin_lazily(live)
            live.is_fed = True
            self._out.append(live.head + dumps(text) + b"}}\n\n")

    def _finish(self, live: _Live, part: Part) -> None:
        """`part` has the last word: of text that came without deltas, of the signature, of citations."""
        part = part if self._is_home else shown(part, self._reply)
        self.losses.extend(residue_losses(part.residue, NAME, f"content[{live.hub_index}]"))
        match part:
            case Text() | Refusal():
                self._rest(live, part.text)
                self._citations(live, part)
            case Thinking(is_redacted=False):
                self._rest(live, part.text)
                self._signature(live, part)
            case ToolCall():
                self._rest(live, dumps(custom.wrapped(part.arguments)).decode() if part.is_custom else part.arguments)
            case _:
                self._without_deltas(live, part)
        self._stop(live)
        if isinstance(part, Text) and (mark := text_signature(part)) is not None:
            self._whole(mark)

    def _rest(self, live: _Live, text: str) -> None:
        if text and not live.is_fed:
            if live.index < 0:
                self._begin_lazily(live)
            self._out.append(live.head + dumps(text) + b"}}\n\n")

    def _signature(self, live: _Live, part: Thinking) -> None:
        signature = client_signature(part) if part.signature or part.text else None
        if signature:
            self._begin_lazily(live)
            self._delta(live, {"type": "signature_delta", "signature": signature})

    def _citations(self, live: _Live, part: Text | Refusal) -> None:
        citations = residue_fields(part.residue, NAME).get("citations")
        if live.index >= 0 and isinstance(citations, list):
            for citation in citations:
                self._delta(live, {"type": "citations_delta", "citation": citation})

    def _delta(self, live: _Live, delta: JsonObject) -> None:
        value: JsonObject = {"type": "content_block_delta", "index": live.index, "delta": delta}
        self._out.append(frame("content_block_delta", value))

    def _without_deltas(self, live: _Live, part: Part) -> None:
        block = render_part(part, live.hub_index, is_home=self._is_home)
        if block is not None:
            self._whole(block)
        elif reason := why_not(part):
            self.losses.append(Loss(f"content[{live.hub_index}]", reason, "an answer of this wire has no room for it"))

    def _whole(self, block: JsonObject) -> None:
        """A block that comes at once; a hosted tool's input by delta, as the wire has it."""
        index = self._blocks
        self._blocks += 1
        given: JsonValue = block.get("input")
        start = {**block, "input": {}} if given else block
        value: JsonObject = {"type": "content_block_start", "index": index, "content_block": start}
        self._out.append(frame("content_block_start", value))
        if given:
            delta: JsonObject = {"type": "input_json_delta", "partial_json": dumps(given).decode()}
            self._out.append(
                frame("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})
            )
        self._out.append(frame("content_block_stop", {"type": "content_block_stop", "index": index}))

    def _stop(self, live: _Live) -> None:
        self._live = None
        if live.index >= 0:
            self._out.append(frame("content_block_stop", {"type": "content_block_stop", "index": live.index}))

    _handlers: ClassVar[Mapping[type[Event], Callable[..., None]]] = {
        ResponseStart: _start,
        PartStart: _part_start,
        PartDelta: _part_delta,
        PartEnd: _part_end,
        ResponseEnd: _end,
        Failure: _failure,
        Heartbeat: _heartbeat,
        OpaqueEvent: _opaque_event,
    }
