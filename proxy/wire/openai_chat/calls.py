"""Tool calls that come in pieces, in the vendors' ways: without an index, without an id, with the id on each piece,
with the name late, all under index 0, whole at once, or with all arguments in the last piece.
"""

from __future__ import annotations

from proxy.hub.events import Event, OpaqueEvent, PartDelta, PartEnd, PartStart
from proxy.hub.names import synthetic_call_id
from proxy.hub.parts import Opaque, Part, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import dumps, loads
from proxy.wire.openai_chat.assistant import PARALLEL, Speaker, expanded
from proxy.wire.openai_chat.words import NAME
from proxy.wire.unicode import SurrogateJoiner

_CHECKS_MAX = 32
"""How often one call's arguments are tried for being complete: a stream costs what its length costs, no more."""


class Emitter:
    """Numbers the parts and collects their events. `events` is whoever feeds' list of the moment."""

    __slots__ = ("_next", "events", "has")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.has: dict[type[Part], Part] = {}  # one of each kind that ended
        self._next = 0

    def start(self, part: Part) -> int:
        index = self._next
        self._next += 1
        self.events.append(PartStart(index, part))
        return index

    def delta(self, index: int, text: str) -> None:
        self.events.append(PartDelta(index, text))

    def end(self, index: int, part: Part) -> None:
        self.has.setdefault(type(part), part)
        self.events.append(PartEnd(index, part))


class _Call:
    """`index`: the part's, once it is open. `told_id`: what the upstream called it."""

    __slots__ = (
        *("checks", "extra", "index", "is_custom", "is_done", "is_legacy"),
        *("joiner", "name", "pieces", "position", "told_id"),
    )

    def __init__(self, position: int, *, is_custom: bool, is_legacy: bool) -> None:
        self.position = position
        self.is_custom = is_custom
        self.is_legacy = is_legacy
        self.index: int | None = None
        self.told_id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.joiner = SurrogateJoiner()
        self.extra: JsonValue = None
        self.is_done = False
        self.checks = 0

    def text(self) -> str:
        text = "".join(self.pieces)
        self.pieces = [text]
        return text

    def is_complete(self) -> bool:
        """Whether the arguments are a whole JSON object: what follows is another call."""
        if self.is_done:
            return True
        if self.is_custom or not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        self.checks += 1
        return self.checks <= _CHECKS_MAX and is_json(self.text())


def is_json(text: str) -> bool:
    try:
        loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class Calls:
    """All calls of one answer. `speaker` is known when the answer has begun."""

    def __init__(self, emitter: Emitter) -> None:
        self.speaker = Speaker("", "")
        self._emitter = emitter
        self._all: list[_Call] = []
        self._slots: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    def feed(self, entries: list[JsonValue]) -> None:
        """`delta.tool_calls`."""
        used: list[_Call] = []
        for entry in entries:
            if not isinstance(entry, dict):
                continue
            key = "custom" if isinstance(entry.get("custom"), dict) else "function"
            inner = entry.get(key)
            function = inner if isinstance(inner, dict) else {}
            call = self._find(entry, function, used) or self._new(entry, is_custom=key == "custom")
            used.append(call)
            self._take(call, entry, function)

    def feed_legacy(self, function: JsonObject) -> None:
        """`delta.function_call`: one call, in the old form."""
        call = self._slots.get(-1) or self._new({"index": -1}, is_custom=False, is_legacy=True)
        self._take(call, {}, function)

    def _find(self, entry: JsonObject, function: JsonObject, used: list[_Call]) -> _Call | None:
        index, told_id, name = entry.get("index"), entry.get("id"), function.get("name")
        if isinstance(index, int):
            call = self._slots.get(index)
            return None if call is not None and _is_another(call, told_id, function) else call
        if isinstance(told_id, str) and told_id:
            known = self._by_id.get(told_id)
            return known if known is not None or name or not self._all else self._all[-1]
        last = self._all[-1] if self._all else None
        if last is None or last in used or (name and last.name and last.is_complete()):
            return None
        return last

    def _new(self, entry: JsonObject, *, is_custom: bool, is_legacy: bool = False) -> _Call:
        self.settle()
        call = _Call(len(self._all), is_custom=is_custom, is_legacy=is_legacy)
        self._all.append(call)
        index, told_id = entry.get("index"), entry.get("id")
        if isinstance(index, int):
            self._slots[index] = call
        if isinstance(told_id, str) and told_id:
            self._by_id[told_id] = call
        return call

    def _take(self, call: _Call, entry: JsonObject, function: JsonObject) -> None:
        if call.is_done:
            return
        told_id, name = entry.get("id"), function.get("name")
        if isinstance(told_id, str) and not call.told_id:
            call.told_id = told_id
        call.extra = entry.get("extra_content") or call.extra
        if isinstance(name, str) and name and not call.name:
            call.name = name
            self._open(call)
        value = function.get("input" if call.is_custom else "arguments")
        if value is None or value == "":
            return
        piece = call.joiner.feed(value if isinstance(value, str) else dumps(value).decode())
        call.pieces.append(piece)
        if call.index is not None and piece:
            self._emitter.delta(call.index, piece)

    def _open(self, call: _Call) -> None:
        """Now that its name is known. Pieces that came before it follow at once."""
        if call.name == PARALLEL:  # its calls are known when it is whole
            return
        call.index = self._emitter.start(self._part(call, ""))
        if early := call.text():
            self._emitter.delta(call.index, early)

    def _part(self, call: _Call, arguments: str) -> ToolCall:
        shape: JsonObject = {"in": "function_call"} if call.is_legacy else {}
        google = call.extra.get("google") if isinstance(call.extra, dict) else None
        blob = google.get("thought_signature") if isinstance(google, dict) else None
        if call.extra is not None:
            shape["extra_content"] = call.extra
        return ToolCall(
            id=call.told_id or synthetic_call_id(call.position, f"{self.speaker.salt}:{call.name}", ""),
            name=call.name,
            arguments=arguments,
            is_custom=call.is_custom,
            signature=blob if isinstance(blob, str) else None,
            origin=self.speaker.origin if isinstance(blob, str) else None,
            residue=Residue(wire=NAME, shape=shape) if shape else None,
        )

    def settle(self) -> None:
        """Ends the last call if it is whole: something else begins. One that is not may yet go on."""
        if self._all and self._all[-1].is_complete():
            self._end(self._all[-1])

    def has_cut(self) -> bool:
        """Whether a call's arguments end in the middle."""
        return any(not (call.is_done or call.is_custom or is_json(call.text() or "{}")) for call in self._all)

    def finish(self) -> None:
        for call in self._all:
            self._end(call)

    def _end(self, call: _Call) -> None:
        if call.is_done:
            return
        call.is_done = True
        tail = call.joiner.finish()
        if tail:
            call.pieces.append(tail)
        text = call.text()
        call.pieces = []
        if call.name == PARALLEL:
            self._end_parallel(self._part(call, text or "{}"))
        elif call.index is None:
            value: JsonObject = {"id": call.told_id, "function": {"arguments": text}}
            self._emitter.has[Opaque] = Opaque(wire=NAME, kind="tool_call", value=value)
            self._emitter.events.append(OpaqueEvent(NAME, "tool_call", value))
        else:
            if not text and not call.is_custom:
                tail = text = "{}"
            if tail:
                self._emitter.delta(call.index, tail)
            self._emitter.end(call.index, self._part(call, text))

    def _end_parallel(self, whole: ToolCall) -> None:
        for part in expanded(whole):
            index = self._emitter.start(ToolCall(id=part.id, name=part.name, arguments=""))
            self._emitter.delta(index, part.arguments)
            self._emitter.end(index, part)


def _is_another(call: _Call, told_id: JsonValue, function: JsonObject) -> bool:
    """Whether a piece under the index of `call` begins another one: a new id with a name, or a name after the end."""
    if not function.get("name") or not call.name:
        return False
    if told_id and call.told_id:
        return told_id != call.told_id
    return bool(function.get("arguments")) and call.is_complete()
