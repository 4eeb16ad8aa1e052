"""Streamed answers, read: server-sent events or WebSocket frames → hub events.

Everything is found by ``output_index``: item ids rotate from event to event at some vendors. A part's index is its
item's times `STRIDE`, plus its ``content_index``, so that the order of the parts is the order of the output, however
items overlap. A part ends with its item: only there stand the signature and the marks. What came in no delta is told
in one before the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

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
from proxy.hub.parts import Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Finish, Usage
from proxy.wire.base import loads_upstream
from proxy.wire.fault import fault_of, read_fault
from proxy.wire.openai_responses.echo import finish_of
from proxy.wire.openai_responses.items import PARALLEL, parse_item
from proxy.wire.openai_responses.losses import NAME
from proxy.wire.openai_responses.open_part import OpenPart
from proxy.wire.openai_responses.parts import parse_content
from proxy.wire.openai_responses.response import place, residue_of
from proxy.wire.openai_responses.spelling import hub_name
from proxy.wire.openai_responses.usage import parse_usage
from proxy.wire.sse import SseEvent, SseSplitter, SseTooLong

STRIDE: Final = 1024
"""More content parts than any message has."""
HEAD_BYTES_MAX: Final = 64 * 1024
"""How much is kept of what is no stream, to tell what it says."""

_DeltaKind: TypeAlias = Literal["text", "refusal", "arguments", "summary", "content"]


class _Delta(msgspec.Struct):
    """The fields of all delta events that matter. `output_index` -1: the vendor left it out."""

    delta: str
    output_index: int = -1
    content_index: int = 0
    summary_index: int = 0


_decode_delta = msgspec.json.Decoder(_Delta).decode
_DELTAS: Mapping[str, _DeltaKind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_text.delta": "content",
}
_NAMED_DELTAS: Mapping[bytes, _DeltaKind] = {name.encode(): kind for name, kind in _DELTAS.items()}


class StreamParser:
    """See `proxy.wire.base.StreamParser`."""

    usage: Usage | None = None

    def __init__(self, *, maker: str) -> None:
        self._maker = maker
        self._splitter = SseSplitter()
        self._head = b""
        self._is_started = False
        self._is_over = False
        self._last = 0
        self._items: dict[int, JsonObject] = {}
        self._open: dict[int, OpenPart] = {}
        self._held: dict[int, list[str]] = {}
        self._done: set[int] = set()
        self._kinds: set[type[Part]] = set()

    def feed(self, data: bytes) -> list[Event]:
        if self._is_over:
            return []
        if not self._is_started and len(self._head) < HEAD_BYTES_MAX:
            self._head += data[:HEAD_BYTES_MAX]
        try:
            found = self._splitter.feed(data)
        except SseTooLong as fault:
            return self._fail(str(fault))
        return [event for sse in found for event in self._sse(sse)]

    def _sse(self, sse: SseEvent) -> list[Event]:
        kind = _NAMED_DELTAS.get(sse.event)
        if kind is not None and self._is_started and not self._is_over:
            try:
                return self._delta(kind, _decode_delta(sse.data))
            except Malformed as fault:
                return self._fail(str(fault))
            except ValueError:  # half of a surrogate pair, or broken: the slow way knows
                pass
        return self.feed_frame(sse.data, sse.event.decode("utf-8", "replace"))

    def feed_frame(self, data: bytes, name: str = "") -> list[Event]:
        """One event's JSON, as a WebSocket brings it. `name`: its type, should the JSON not tell."""
        if self._is_over or data.strip() in {b"", b"[DONE]"}:
            return []
        try:
            value = loads_upstream(data)
        except (ValueError, RecursionError):
            return self._fail("an event is no JSON")
        if not isinstance(value, dict):
            return self._fail("an event is no object")
        kind = value.get("type")
        kind = kind if isinstance(kind, str) else name
        if not kind and value.get("error"):
            kind = "error"
        handle = self.handlers.get(kind)
        try:
            if handle is not None:
                return list(handle(self, value))
            if kind in _DELTAS:
                return [*self._begin(), *self._delta(_DELTAS[kind], msgspec.convert(value, _Delta))]
        except (Malformed, msgspec.ValidationError) as fault:
            return self._fail(str(fault))
        return [] if kind in _SAID_AGAIN else [OpaqueEvent(NAME, kind, value)]

    def finish(self) -> list[Event]:
        events = [event for found in self._splitter.finish() for event in self._sse(found)]
        if self._is_over:
            return events
        if not self._is_started and self._head.lstrip()[:1] in {b"{", b"[", b"<"}:
            self._is_over = True
            return [*events, read_fault(200, {}, self._head)]
        return [*events, *self._fail("it ended before response.completed" if self._is_started else "it is empty")]

    def _fail(self, what: str) -> list[Event]:
        self._is_over = True
        return [Failure(kind="stream_corrupt", message=f"the upstream's stream is corrupt: {what}", status=502)]

    # How it begins

    def _created(self, event: JsonObject) -> Iterator[Event]:
        yield from self._begin(event.get("response"))

    def _progress(self, event: JsonObject) -> Iterator[Event]:
        yield from self._begin(event.get("response"))
        yield Heartbeat()

    def _begin(self, response: JsonValue = None) -> Iterator[Event]:
        if self._is_started:
            return
        self._is_started, self._head = True, b""
        about = response if isinstance(response, dict) else {}
        created = about.get("created_at")
        yield ResponseStart(
            id=str(about.get("id") or ""),
            model=str(about.get("model") or ""),
            created=int(created) if isinstance(created, int | float) else None,
            residue=Residue(wire=NAME),
        )

    def _heartbeat(self, event: JsonObject) -> Iterator[Event]:
        del event
        yield Heartbeat()

    # Items and their parts

    def _item_added(self, event: JsonObject) -> Iterator[Event]:
        yield from self._begin()
        at, item = self._at(event), event.get("item")
        if not isinstance(item, dict) or at in self._items or at in self._done:
            return
        self._last, self._items[at] = at, item
        part = self._first(item)
        if part is not None and at * STRIDE not in self._open:  # else a delta came before its item
            yield from self._start(at * STRIDE, part)

    def _first(self, item: JsonObject) -> Part | None:
        """The part as its item announces it; None where it cannot be named yet, or comes with its contents."""
        kind, name, call_id = str(item.get("type")), item.get("name"), item.get("call_id")
        if kind == "reasoning":
            return Thinking(origin=self._maker)
        if kind in {"function_call", "custom_tool_call"}:
            if not (isinstance(name, str) and name and isinstance(call_id, str) and call_id) or name == PARALLEL:
                return None
            namespace = item.get("namespace")
            full_name = hub_name(namespace if isinstance(namespace, str) else None, name)
            return ToolCall(id=call_id, name=full_name, arguments="", is_custom=kind == "custom_tool_call")
        if kind in {"message", "tool_search_call"}:
            return None
        return Opaque(wire=NAME, kind=kind, value=item, origin=self._maker)

    def _content_added(self, event: JsonObject) -> Iterator[Event]:
        yield from self._begin()
        part, at, content = event.get("part"), self._at(event), event.get("content_index")
        if not isinstance(part, dict) or part.get("type") == "reasoning_text" or at in self._done:
            return
        index = self._index(at, content if isinstance(content, int) else 0)
        if index not in self._open:
            yield from self._start(index, opened(parse_content(part, "part", "output_text")))

    def _item_done(self, event: JsonObject) -> Iterator[Event]:
        yield from self._begin()
        item = event.get("item")
        yield from self._finish_item(self._at(event), item if isinstance(item, dict) else {})

    def _finish_item(self, at: int, item: JsonObject) -> Iterator[Event]:
        if at in self._done:
            return
        self._done.add(at)
        self._items.pop(at, None)
        self._held.pop(at, None)
        for number, part in enumerate(parse_item(item, place(at, self._maker))):
            yield from self._end(self._index(at, number), part)
        yield from self._abandon(at)

    def _abandon(self, at: int) -> Iterator[Event]:
        """Ends what an item leaves open, as far as it came."""
        for index in [index for index in self._open if index // STRIDE == at]:
            yield from self._end(index, self._open[index].so_far())

    def _start(self, index: int, part: Part) -> Iterator[Event]:
        self._open[index] = OpenPart(part)
        yield PartStart(index, part)

    def _end(self, index: int, part: Part) -> Iterator[Event]:
        if index not in self._open:
            yield from self._start(index, opened(part))
        self._kinds.add(type(part))
        for section, text in self._open.pop(index).missing(part):
            yield PartDelta(index, text, section)
        yield PartEnd(index, part)

    def _delta(self, kind: _DeltaKind, delta: _Delta) -> list[Event]:
        at = delta.output_index if delta.output_index >= 0 else self._last
        if at in self._done:
            return []
        is_content = kind in {"text", "refusal"}
        index = self._index(at, delta.content_index if is_content else 0)
        open_part = self._open.get(index)
        events: list[Event] = []
        if open_part is None:
            if kind == "arguments":
                self._held.setdefault(at, []).append(delta.delta)
                return []
            events.extend(self._start(index, _implied(kind, self._maker)))
            open_part = self._open[index]
        section = 0 if is_content or kind == "arguments" else max(delta.summary_index, delta.content_index)
        text = open_part.feed(delta.delta, section, kind)
        if text:
            events.append(PartDelta(index, text, section))
        return events

    def _at(self, event: JsonObject) -> int:
        at = event.get("output_index")
        return at if isinstance(at, int) and at >= 0 else self._last

    def _index(self, at: int, number: int) -> int:
        if not 0 <= number < STRIDE:
            raise Malformed(f"content_index {number} is out of range")
        return at * STRIDE + number

    # How it ends

    def _completed(self, event: JsonObject) -> Iterator[Event]:
        response = event.get("response")
        body = response if isinstance(response, dict) else {}
        yield from self._begin(body)
        yield from self._backfill(body.get("output"))
        for at in sorted({*self._items, *(index // STRIDE for index in self._open)}):
            yield from self._abandon(at)
        self._is_over = True
        yield ResponseEnd(
            finish=finish_of(body, self._kinds) or Finish("stop"),
            usage=parse_usage(body.get("usage")),
            residue=residue_of(body),
        )

    def _backfill(self, output: JsonValue) -> Iterator[Event]:
        """Items that were never finished, or never told of. What was told of counts more: some vendors leave the
        final output empty.
        """
        if not isinstance(output, list) or len(self._done) >= len(output):
            return
        for at, item in enumerate(output):
            if isinstance(item, dict):
                yield from self._finish_item(at, item)

    def _failed(self, event: JsonObject) -> Iterator[Event]:
        self._is_over = True
        yield fault_of(event)

    handlers: ClassVar[Mapping[str, Callable[[StreamParser, JsonObject], Iterator[Event]]]] = {
        "response.created": _created,
        "response.queued": _progress,
        "response.in_progress": _progress,
        "keepalive": _heartbeat,
        "response.output_item.added": _item_added,
        "response.output_item.done": _item_done,
        "response.content_part.added": _content_added,
        "response.completed": _completed,
        "response.incomplete": _completed,
        "response.cancelled": _completed,
        "response.failed": _failed,
        "error": _failed,
    }
    """By event type. The others are in `_DELTAS`, in `_SAID_AGAIN`, or unknown."""


def _implied(kind: _DeltaKind, maker: str) -> Part:
    """What a delta belongs to that was not announced."""
    if kind == "text":
        return Text(text="")
    return Refusal(text="") if kind == "refusal" else Thinking(origin=maker)


_SAID_AGAIN = frozenset(
    {
        "response.content_part.done",
        "response.output_text.done",
        "response.refusal.done",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.done",
        "response.reasoning_text.done",
    }
)
"""Events that bring nothing that their item does not bring when it is done."""
