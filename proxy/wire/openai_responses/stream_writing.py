"""Hub events → the client's stream, the mirror of `stream`.

Items never overlap: what the upstream tells of a second part while one is open waits for its turn. Texts that follow
each other are content parts of one message. The final event holds the whole output, so finished items are kept, as
bytes: the memory is that of the answer, once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import msgspec

from proxy.hub.events import Event, Failure, Heartbeat, PartDelta, PartEnd, PartStart, ResponseEnd, ResponseStart
from proxy.hub.loss import Loss
from proxy.hub.parts import Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.arguments import may_be_cut
from proxy.wire.base import Reply, dumps
from proxy.wire.fields import residue_losses
from proxy.wire.openai_responses.echo import Status, echo, made_id, status_of
from proxy.wire.openai_responses.error import render_error_frame, stream_error
from proxy.wire.openai_responses.losses import NAME, Losses
from proxy.wire.openai_responses.open_item import OpenCall, OpenItem, OpenMessage, OpenReasoning
from proxy.wire.openai_responses.outlet import Outlet
from proxy.wire.openai_responses.response import OutputWriter
from proxy.wire.openai_responses.usage import render_usage

_PartEvent: TypeAlias = PartStart | PartDelta | PartEnd


class StreamRenderer:
    """See `proxy.wire.base.StreamRenderer`."""

    def __init__(self, reply: Reply) -> None:
        losses = Losses()
        self.losses: list[Loss] = losses
        self._reply = reply
        self._outlet = Outlet(reply.framing)
        self._output = OutputWriter(reply, losses)
        self._head: JsonObject = {}
        self._echo = msgspec.Raw(b"")
        self._is_started = False
        self._is_over = False
        self._items: list[bytes] = []
        self._has_refusal = False
        self._item: OpenItem | None = None
        self._index: int | None = None
        self._waiting: dict[int, deque[_PartEvent]] = {}

    def feed(self, event: Event) -> bytes:
        if self._is_over:
            return b""
        match event:
            case PartDelta(index=index, text=text, section=section) if index == self._index and self._item is not None:
                self._item.say(text, section)
            case PartStart() | PartDelta() | PartEnd():
                self._part(event)
            case ResponseStart():
                self._start(event)
            case ResponseEnd():
                self._end(event)
            case Failure():
                self._fail(event)
            case Heartbeat():
                self._outlet.heartbeat()
            case _:
                pass
        return self._outlet.take()

    def finish(self) -> bytes:
        return b""

    # The answer

    def _start(self, event: ResponseStart | None = None) -> None:
        if self._is_started:
            return
        self._is_started = True
        created = event.created if event is not None else None
        self._head = {
            "id": made_id("resp", self._reply),
            "object": "response",
            "created_at": created if created is not None else self._reply.created,
            "model": self._reply.model,
        }
        # Written once, told three times.
        self._echo = msgspec.Raw(dumps(echo(self._reply)))
        for name in ("response.created", "response.in_progress"):
            self._outlet.send(name, response=self._response(Status("in_progress").fields))

    def _response(self, status: JsonObject, usage: JsonValue = None) -> msgspec.Raw:
        """The answer as it stands."""
        about = dumps({**self._head, **status, "usage": usage})[:-1]
        output, told = b",".join(self._items), bytes(self._echo)[1:]
        return msgspec.Raw(b'%b,"output":[%b],%b' % (about, output, told))

    def _end(self, event: ResponseEnd) -> None:
        self._start()
        status = status_of(event.finish, has_refusal=self._has_refusal)
        self._settle(is_cut=status.status == "incomplete")
        self._is_over = True
        self.losses.extend(residue_losses(event.residue, NAME))
        response = self._response(status.fields, render_usage(event.usage))
        self._outlet.send(f"response.{status.status}", response=response)

    def _fail(self, failure: Failure) -> None:
        """Before anything was told, a WebSocket gets the error as what would be the status line elsewhere."""
        self._is_over = True
        if not self._is_started and not self._outlet.is_sse:
            self._outlet.send_raw(render_error_frame(failure))
            return
        self._start()
        status: JsonObject = {"status": "failed", "error": stream_error(failure), "incomplete_details": None}
        self._outlet.send("response.failed", response=self._response(status))

    # Its parts, one after the other

    def _part(self, event: _PartEvent) -> None:
        self._start()
        index = event.index
        if index in self._waiting or (self._index is not None and index != self._index):
            self._waiting.setdefault(index, deque()).append(event)
            return
        self._now(event)
        while self._index is None and self._waiting:
            self._resume(next(iter(self._waiting)))

    def _resume(self, index: int) -> None:
        for event in self._waiting.pop(index):
            self._now(event)

    def _now(self, event: _PartEvent) -> None:
        match event:
            case PartStart(index=index, part=part):
                self._open(index, part)
            case PartDelta(text=text, section=section):
                if self._item is not None:
                    self._item.say(text, section)
            case PartEnd(index=index, part=part):
                self._finish(index, part)

    def _open(self, index: int, part: Part) -> None:
        """What is told whole (a hosted tool's call) or not at all holds nobody up."""
        if isinstance(part, Text | Refusal):
            if not isinstance(self._item, OpenMessage):
                self._settle()
                self._item = OpenMessage(self._outlet, self._made_id("msg"), len(self._items))
            self._item.begin(part)
        elif isinstance(part, Thinking):
            self._settle()
            self._item = OpenReasoning(self._outlet, self._made_id("rs"), len(self._items))
        elif isinstance(part, ToolCall):
            self._settle()
            self._item = self._open_call(part)
        else:
            return
        self._index = index

    def _made_id(self, prefix: str) -> str:
        return made_id(prefix, self._reply, str(len(self._items)))

    def _open_call(self, call: ToolCall) -> OpenCall:
        position, spelling = len(self._items), self._output.spelling(call)
        item = self._output.call(replace(call, arguments="", residue=None), position)
        item.update({"status": "in_progress", **_NOTHING_IN[spelling.kind]})
        return OpenCall(self._outlet, item, position, call=call, spelling=spelling)

    def _finish(self, index: int, part: Part) -> None:
        if self._item is None or index != self._index:
            self._settle()
            self._tell(part)
            return
        self._index = None
        self._has_refusal = self._has_refusal or isinstance(part, Refusal)
        self._item.end(part)
        is_held = isinstance(part, ToolCall) and may_be_cut(part, is_last=True)
        if not is_held and not isinstance(self._item, OpenMessage):
            self._settle()

    def _settle(self, *, is_cut: bool = False) -> None:
        """Tells that the item is done. A message may go on with another text, and a call may turn out to be cut:
        both wait for what comes next.
        """
        item, self._item = self._item, None
        if item is None or not item.parts:
            return
        position = len(self._items)
        body = self._output.item(item.parts, position, f"output[{position}]")
        if not isinstance(body, dict):
            return
        body["id"] = item.id
        if is_cut and "status" in body:
            body["status"] = "incomplete"
        if isinstance(item, OpenCall):
            item.tell(body)
        self._done(body)

    def _done(self, item: JsonValue) -> None:
        encoded = dumps(item)
        self._outlet.send("response.output_item.done", output_index=len(self._items), item=msgspec.Raw(encoded))
        self._items.append(encoded)

    def _tell(self, part: Part) -> None:
        """A whole item at once."""
        position = len(self._items)
        item = self._output.item([part], position, f"output[{position}]")
        if item is not None:
            self._outlet.send("response.output_item.added", output_index=position, item=item)
            self._done(item)


_NOTHING_IN: Mapping[str, JsonObject] = {
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    "tool_search_call": {"arguments": {}},
}
