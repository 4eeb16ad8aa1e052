"""`GenerateContentResponse` by `GenerateContentResponse` → events: a whole answer is a stream of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.errors import Malformed
from proxy.hub.events import Event, Failure, OpaqueEvent, PartDelta, PartEnd, PartStart, ResponseEnd, ResponseStart
from proxy.hub.fold import StreamCorrupt, opened
from proxy.hub.names import synthetic_call_id
from proxy.hub.parts import Opaque, Part, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue, list_in
from proxy.hub.response import Finish, Usage
from proxy.wire.base import dumps
from proxy.wire.fault import fault_of
from proxy.wire.gemini.part_reader import PartReader
from proxy.wire.gemini.partial import BrokenPath, PartialArguments
from proxy.wire.gemini.usage import parse_usage, prompt_usage
from proxy.wire.gemini.words import NAME, finish_of
from proxy.wire.unicode import SurrogateJoiner

_TEXT_KEYS = frozenset({"text", "thought", "thoughtSignature"})
_TOP = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})
_CANDIDATE = frozenset({"content", "finishReason", "index"})
_ASIDE = frozenset({"createTime", "modelStatus", "finishMessage", "avgLogprobs", "tokenCount"})
"""Book-keeping: kept for this wire's clients, and no loss elsewhere."""
CANDIDATE = "candidates[0]"
"""Before the names of the candidate's own residue fields."""


class _OpenText:
    """A text or a thought that goes on in the next chunk."""

    __slots__ = ("index", "is_thought", "joiner", "pieces", "signature")

    def __init__(self, index: int, *, is_thought: bool) -> None:
        self.index = index
        self.is_thought = is_thought
        self.pieces: list[str] = []
        self.joiner = SurrogateJoiner()
        self.signature: str | None = None

    def part(self, maker: str) -> Part:
        text = "".join(self.pieces)
        if not self.is_thought:
            return Text(text=text, signature=self.signature, origin=maker)
        residue = None if text else Residue(wire=NAME, shape={"text": "empty"})
        sections = (text,) if text else ()
        return Thinking(sections=sections, signature=self.signature, origin=maker, residue=residue)


class _OpenCall:
    __slots__ = ("arguments", "call_id", "name", "signature")

    def __init__(self, name: str, call_id: str) -> None:
        self.name = name
        self.call_id = call_id
        self.arguments = PartialArguments()
        self.signature: str | None = None


class AnswerReader:
    """`read` one JSON object after the other, then `end`. After a `Failure` there is nothing more.

    A text goes on from chunk to chunk until something else comes; texts side by side in one chunk are two parts. A
    signature belongs to the text that it comes with, and one text bears one.
    """

    def __init__(self, *, maker: str, is_whole: bool = False) -> None:
        self._maker = maker
        self._is_whole = is_whole
        self._parts = PartReader(maker=maker)
        self._response_id: str | None = None
        self._next = 0
        self._text: _OpenText | None = None
        self._call: _OpenCall | None = None
        self._has_call = False
        self._seen: set[str] = set()
        self._finish: JsonValue = None
        self._usage: JsonObject = {}
        self._left: JsonObject = {}
        self._aside: JsonObject = {}
        self._others: list[JsonValue] = []
        self.is_done = False

    @property
    def usage(self) -> Usage | None:
        """Of all that was read: each chunk tells how much it is by then."""
        return parse_usage(self._usage) if self._usage else None

    def read(self, chunk: JsonObject) -> list[Event]:
        if self.is_done:
            return []
        if chunk.get("error") is not None and not chunk.get("candidates"):
            return self._fail(fault_of(chunk))
        events: list[Event] = []
        if self._response_id is None:
            events.append(self._start(chunk))
        try:
            for candidate in list_in(chunk.get("candidates")):
                if isinstance(candidate, dict):
                    self._candidate(candidate, events)
        except (BrokenPath, StreamCorrupt) as error:
            return events + self._fail(StreamCorrupt(str(error)).failure)
        usage = chunk.get("usageMetadata")
        if isinstance(usage, dict):
            self._usage.update(usage)
        for key, value in chunk.items():
            if key not in _TOP:
                (self._aside if key in _ASIDE else self._left)[key] = value
        self._seen.update(chunk)
        return events

    def end(self) -> list[Event]:
        """After the last chunk: what is open is closed, and an end that is missing is a failure."""
        if self.is_done:
            return []
        events: list[Event] = []
        self._close_text(events)
        raw = self._finish
        feedback = self._left.get("promptFeedback")
        block = feedback.get("blockReason") if isinstance(feedback, dict) else None
        if raw is None and block is None and not (self._is_whole and "candidates[0]" in self._seen):
            what = "without a finishReason" if "candidates[0]" in self._seen else "without a candidate"
            return events + self._fail(StreamCorrupt(f"it ended {what}").failure)
        if self._call is not None and finish_of(raw, ()).reason != "length":
            self._close_call(events)
        blocked = Finish("refusal", block) if raw is None and isinstance(block, str) else None
        calls = [ToolCall(id="", name="")] if self._has_call else []
        self.is_done = True
        events.append(ResponseEnd(finish=blocked or finish_of(raw, calls), usage=self.usage, residue=self._residue()))
        return events

    def _start(self, chunk: JsonObject) -> ResponseStart:
        self._response_id = _text_of(chunk.get("responseId"))
        return ResponseStart(
            id=self._response_id,
            model=_text_of(chunk.get("modelVersion")),
            usage=prompt_usage(chunk.get("usageMetadata")),
        )

    def _fail(self, failure: Failure) -> list[Event]:
        self.is_done = True
        return [failure]

    def _residue(self) -> Residue:
        fields = {**self._left}
        if self._others:
            fields["candidates"] = self._others
        absent: list[JsonValue] = [key for key in _EXPECTED if key not in self._seen]
        shape: JsonObject = {"absent": absent, "aside": self._aside}
        if self._finish is not None and not (isinstance(self._finish, str) and self._finish.isupper()):
            shape["finishReason"] = self._finish
        return Residue(wire=NAME, fields=fields, shape=shape)

    def _candidate(self, candidate: JsonObject, events: list[Event]) -> None:
        if candidate.get("index") not in (None, 0):
            if self._is_whole:
                self._others.append(candidate)
            else:
                events.append(OpaqueEvent(NAME, "candidate", candidate))
            return
        self._seen.add("candidates[0]")
        self._seen.update(candidate)
        content = candidate.get("content")
        if isinstance(content, dict):
            self._seen.update(content)
            for at, value in enumerate(list_in(content.get("parts"))):
                self._part(value, events, is_first=at == 0)
        if candidate.get("finishReason") is not None:
            self._finish = candidate["finishReason"]
        for key, value in candidate.items():
            if key not in _CANDIDATE:
                self._keep(key, value)

    def _keep(self, key: str, value: JsonValue) -> None:
        """The last word stands; lists of log probabilities go on from chunk to chunk."""
        if key in _ASIDE:
            self._aside[f"{CANDIDATE}.{key}"] = value
            return
        name = f"{CANDIDATE}.{key}"
        held = self._left.get(name)
        if isinstance(held, dict) and isinstance(value, dict):
            joins = key == "logprobsResult"
            for inner, item in value.items():
                before = held.get(inner)
                if joins and isinstance(before, list) and isinstance(item, list):
                    before.extend(item)
                else:
                    held[inner] = item
        else:
            self._left[name] = {**value} if isinstance(value, dict) else value

    def _part(self, value: JsonValue, events: list[Event], *, is_first: bool) -> None:
        if not self._is_whole and isinstance(value, dict):
            text = value.get("text")
            if isinstance(text, str) and value.keys() <= _TEXT_KEYS:
                self._more_text(value, text, events, is_first=is_first)
                return
            call = value.get("functionCall")
            if isinstance(call, dict) and self._is_piece(call):
                self._more_call(value, call, events)
                return
        self._close_text(events)
        self._close_call(events)
        try:
            part = self._parts.read(value, "")
        except Malformed:
            kind = next(iter(value), "part") if isinstance(value, dict) else "part"
            part = Opaque(wire=NAME, kind=kind, value=value, origin=self._maker)
        self._emit(part, events)

    def _emit(self, part: Part, events: list[Event]) -> None:
        index, self._next = self._next, self._next + 1
        if isinstance(part, ToolCall):
            self._has_call = True
            if not part.id:
                part = replace(part, id=synthetic_call_id(index, part.name, self._response_id or part.arguments))
        events.append(PartStart(index, opened(part)))
        match part:
            case Text(text=text) if text:
                events.append(PartDelta(index, text))
            case Thinking(sections=(text,)):
                events.append(PartDelta(index, text))
            case ToolCall(arguments=arguments):
                events.append(PartDelta(index, arguments))
            case _:
                pass
        events.append(PartEnd(index, part))

    def _more_text(self, value: JsonObject, text: str, events: list[Event], *, is_first: bool) -> None:
        signature = value.get("thoughtSignature")
        is_thought = value.get("thought") is True
        held = self._text
        if held is None or not is_first or held.is_thought != is_thought or (signature and held.signature):
            if not text and not signature:
                return
            self._close_text(events)
            self._close_call(events)
            held = self._text = _OpenText(self._next, is_thought=is_thought)
            self._next += 1
            part: Part = Thinking(origin=self._maker) if is_thought else Text(text="", origin=self._maker)
            events.append(PartStart(held.index, part))
        if isinstance(signature, str):
            held.signature = signature
        text = held.joiner.feed(text)
        if text:
            held.pieces.append(text)
            events.append(PartDelta(held.index, text))

    def _close_text(self, events: list[Event]) -> None:
        held, self._text = self._text, None
        if held is None:
            return
        rest = held.joiner.finish()
        if rest:
            held.pieces.append(rest)
            events.append(PartDelta(held.index, rest))
        events.append(PartEnd(held.index, held.part(self._maker)))

    def _is_piece(self, call: Mapping[str, JsonValue]) -> bool:
        return (
            "partialArgs" in call or call.get("willContinue") is True or (self._call is not None and "name" not in call)
        )

    def _more_call(self, value: JsonObject, call: JsonObject, events: list[Event]) -> None:
        self._close_text(events)
        name = call.get("name")
        if isinstance(name, str) and name:
            self._close_call(events)
            self._call = _OpenCall(name, _text_of(call.get("id")))
        held = self._call
        if held is None:
            raise StreamCorrupt("a piece of a function call that never began")
        signature, args = value.get("thoughtSignature"), call.get("args")
        if isinstance(signature, str):
            held.signature = signature
        if isinstance(args, dict):
            held.arguments.merge(args)
        held.arguments.feed(call.get("partialArgs"))
        if call.get("willContinue") is not True:
            self._close_call(events)

    def _close_call(self, events: list[Event]) -> None:
        """Only now the call is told at all: one that is cut off is no call."""
        held, self._call = self._call, None
        if held is None:
            return
        arguments = str(dumps(held.arguments.finish()), "utf-8")
        call = ToolCall(
            id=held.call_id, name=held.name, arguments=arguments, signature=held.signature, origin=self._maker
        )  # fmt: skip
        self._emit(call, events)


_EXPECTED = (
    "candidates", "content", "parts", "role", "index", "finishReason", "usageMetadata", "modelVersion", "responseId",
)  # fmt: skip


def _text_of(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
