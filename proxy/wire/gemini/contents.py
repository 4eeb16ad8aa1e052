"""`contents` ↔ messages.

A content with the role ``user`` may hold results and text side by side; the hub has a message of its own for results,
so such a content becomes several messages, and the shape remembers that they were one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from proxy.errors import Malformed
from proxy.hub.loss import Loss
from proxy.hub.names import synthetic_call_id
from proxy.hub.pairing import Placed, paired, with_unique_ids
from proxy.hub.parts import Part, Text, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Role
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape
from proxy.wire.gemini.part_reader import PartReader, joined_thoughts
from proxy.wire.gemini.part_writer import PartWriter
from proxy.wire.gemini.words import BYPASS, NAME, nested, overlaid

_ROLES = {"user": "user", "model": "assistant", "function": "user", "tool": "user"}
"""``function`` is the old role of results."""
_WORDS: dict[Role, str] = {"user": "user", "assistant": "model", "tool": "user", "system": "user"}

_OPENING: JsonObject = {"role": "user", "parts": [{"text": " "}]}
"""What stands before a model's turn that would be the first: Gemini wants a user there."""


class ContentsReader:
    """Gives ids to calls that have none, and their calls' ids and names to results that lack them."""

    def __init__(self) -> None:
        self._parts = PartReader(maker=None)
        self._count = 0
        self._unanswered: deque[ToolCall] = deque()

    def read(self, contents: Sequence[JsonValue]) -> Iterator[Message]:
        for index, content in enumerate(contents):
            yield from self._content(Fields(content, wire=NAME, path=f"contents[{index}]"))

    def parts(self, fields: Fields) -> list[Part]:
        path = fields.at("parts")
        return [self._parts.read(value, f"{path}[{at}]") for at, value in enumerate(fields.take_list("parts") or ())]

    def _content(self, fields: Fields) -> Iterator[Message]:
        shape: JsonObject = {}
        word = fields.take_str("role")
        if word not in _WORDS.values():
            shape["role"] = word
        role = _ROLES.get(word or "user")
        if role is None:
            at = fields.at("role")
            raise Malformed(f"{at} must be 'user' or 'model', not {word!r}", path=at)
        if fields.peek("parts") is None:
            shape["parts"] = "absent"
        parts = [self._known(part) for part in joined_thoughts(self.parts(fields))]
        if role == "assistant":
            yield Message(role="assistant", parts=tuple(parts), residue=fields.residue(**shape))
            return
        runs = [(is_result, tuple(run)) for is_result, run in groupby(parts, lambda part: isinstance(part, ToolResult))]
        for number, (is_result, run) in enumerate(runs or [(False, ())]):
            residue = fields.residue(**shape) if number == 0 else Residue(wire=NAME, shape={"joined": True})
            yield Message(role="tool" if is_result else "user", parts=run, residue=residue)

    def _known(self, part: Part) -> Part:
        if isinstance(part, ToolCall):
            self._count += 1
            if not part.id:
                part = replace(part, id=synthetic_call_id(self._count, part.name, part.arguments))
            self._unanswered.append(part)
        elif isinstance(part, ToolResult):
            return self._answering(part)
        return part

    def _answering(self, result: ToolResult) -> ToolResult:
        """By id, else by name and order."""
        waiting = self._unanswered
        call = next((call for call in waiting if result.call_id and call.id == result.call_id), None)
        if call is None:
            call = next((call for call in waiting if call.name == result.name and _may_answer(call, result)), None)
        if call is None and not result.call_id and result.name is None and waiting:
            call = waiting[0]
        if call is None:
            self._count += 1
            return replace(
                result, call_id=result.call_id or synthetic_call_id(self._count, result.name or "", "result")
            )
        waiting.remove(call)
        residue = result.residue
        if result.call_id and result.call_id != call.id:
            shape = {**(residue.shape if residue is not None else {}), "id": result.call_id}
            residue = Residue(wire=NAME, fields=residue.fields if residue is not None else {}, shape=shape)
        return replace(result, call_id=call.id, name=result.name or call.name, residue=residue)


def _may_answer(call: ToolCall, result: ToolResult) -> bool:
    return not result.call_id or residue_shape(call.residue, NAME, "id") == "absent"


class ContentsWriter:
    def __init__(self, profile: Profile, parts: PartWriter, losses: list[Loss], *, is_home: bool) -> None:
        self._profile = profile
        self._parts = parts
        self._losses = losses
        self._is_home = is_home
        self._called: dict[str, str] = {}

    def written(self, messages: Sequence[Message]) -> list[JsonValue]:
        if self._is_home:
            self._called = _names_of(messages)
            contents = self._as_they_came(messages)
        else:
            found, losses = paired(messages)
            self._losses.extend(losses)
            placed = list(with_unique_ids(found))
            self._called = _names_of(turn.message for turn in placed)
            contents = [content for turn in placed if (content := self._turn(turn)) is not None]
            if not contents or contents[0]["role"] == "model":
                contents.insert(0, dict(_OPENING))
        if self._profile.needs_call_signature:
            for content in contents:
                _vouch(content)
        return [*contents]

    def _as_they_came(self, messages: Sequence[Message]) -> list[JsonObject]:
        contents: list[JsonObject] = []
        for position, message in enumerate(messages):
            paths = [f"messages[{position}].content[{at}]" for at in range(len(message.parts))]
            parts = self._written(message.parts, paths)
            before = contents[-1].get("parts") if contents else None
            if residue_shape(message.residue, NAME, "joined") is True and isinstance(before, list):
                before.extend(parts)
                continue
            body: JsonObject = {"parts": parts, "role": _WORDS[message.role]}
            if message.residue is not None and message.residue.wire == NAME and "role" in message.residue.shape:
                body["role"] = message.residue.shape["role"]
                if body["role"] is None:
                    del body["role"]
            if not parts and residue_shape(message.residue, NAME, "parts") == "absent":
                del body["parts"]
            contents.append(overlaid(body, nested(residue_fields(message.residue, NAME))))
        return contents

    def _turn(self, turn: Placed) -> JsonObject | None:
        message = turn.message
        self._losses.extend(residue_losses(message.residue, NAME, turn.path))
        if message.role == "system":
            self._losses.append(Loss(turn.path, "system role", "gemini has none in mid-conversation: a user says it"))
            text = "\n\n".join(part.text for part in message.parts if isinstance(part, Text) and part.text.strip())
            for part, path in zip(message.parts, turn.paths, strict=True):
                if not isinstance(part, Text):
                    self._losses.append(Loss(path, type(part).__name__, "gemini's system text is text only"))
            return {"role": "user", "parts": [{"text": f"<system>\n{text}\n</system>"}]} if text else None
        parts = self._written(message.parts, turn.paths)
        return {"role": _WORDS[message.role], "parts": parts} if parts else None

    def _written(self, parts: Sequence[Part], paths: Iterable[str]) -> list[JsonValue]:
        bodies = [self._parts.written(self._named(part), path) for part, path in zip(parts, paths, strict=True)]
        spilled, self._parts.spilled = self._parts.spilled, []
        return [body for body in [*bodies, *spilled] if body is not None]

    def _named(self, part: Part) -> Part:
        """Gemini wants the function's name with the result, too; the call knows it best."""
        if not isinstance(part, ToolResult) or (self._is_home and part.name):
            return part
        return replace(part, name=self._called.get(part.call_id, part.name))


def _names_of(messages: Iterable[Message]) -> dict[str, str]:
    """By call id."""
    return {part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolCall)}


def _vouch(content: JsonObject) -> None:
    """The first call of a model's turn must be signed. Not only in the current turn, where Gemini asks for it: a
    turn that changed when it grew old would change the prompt's prefix, and miss the cache.
    """
    parts = content.get("parts")
    if content.get("role") != "model" or not isinstance(parts, list):
        return
    first = next((part for part in parts if isinstance(part, dict) and "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", BYPASS)
