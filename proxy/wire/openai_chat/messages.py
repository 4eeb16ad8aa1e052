"""The conversation: `messages` on their way in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import ClassVar

from proxy.errors import Malformed
from proxy.hub.names import synthetic_call_id
from proxy.hub.parts import Media, Opaque, Part, Text, ToolCall, ToolResult
from proxy.hub.request import Message
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.fields import Fields
from proxy.wire.openai_chat.assistant import Speaker, parse_said
from proxy.wire.openai_chat.parts import parse_content
from proxy.wire.openai_chat.words import NAME, own_shape

RESULT_KINDS = frozenset({"text", "image_url", "video_url", "file_url", "document_url", "input_audio", "file"})


class MessageReader:
    """One for each request. System messages before the first turn are the instructions."""

    def __init__(self) -> None:
        self.instructions: list[Part] = []
        self.messages: list[Message] = []
        self._results: list[ToolResult] = []
        self._unnamed: deque[str] = deque()  # made-up ids of calls that came without one, not answered yet
        self._legacy: dict[str, str] = {}  # the last id of each function called in the legacy form

    def read(self, items: list[JsonValue]) -> None:
        for position, item in enumerate(items):
            fields = Fields(item, wire=NAME, path=f"messages[{position}]")
            role = fields.peek("role")
            read = self._readers.get(role) if isinstance(role, str) else None
            if read is None:
                path = fields.at("role")
                raise Malformed(f"{path} must be one of {', '.join(self._readers)}", path=path)
            if role not in {"tool", "function"}:
                self._flush()
            read(self, fields, position)
        self._flush()

    def _flush(self) -> None:
        if self._results:
            self.messages.append(Message(role="tool", parts=tuple(self._results)))
            self._results = []

    def _content(self, fields: Fields, known: Container[str] | None = None) -> tuple[list[Part], str]:
        return parse_content(fields.take("content"), fields.at("content"), known)

    def _system(self, fields: Fields, position: int) -> None:
        role = fields.need_str("role")
        held, form = self._content(fields, {"text"})
        if self.messages:
            self.messages.append(
                Message(role="system", parts=tuple(held), residue=fields.residue(role=role, content=form))
            )
            return
        del position
        first = held[0] if held else Text(text="")
        left = fields.residue()
        shape: JsonObject = {**own_shape(first.residue), "role": role, "content": form, "is_empty": not held}
        told: dict[str, JsonValue] = {**(first.residue.fields if first.residue else {})}
        if left is not None:
            told["message"] = dict(left.fields)
        self.instructions += [replace(first, residue=Residue(wire=NAME, fields=told, shape=shape)), *held[1:]]

    def _user(self, fields: Fields, position: int) -> None:
        del position
        fields.take("role")
        parts, form = self._content(fields)
        self.messages.append(Message(role="user", parts=tuple(parts), residue=fields.residue(content=form)))

    def _assistant(self, fields: Fields, position: int) -> None:
        fields.take("role")
        parts, form = parse_said(fields, Speaker(NAME, str(position), is_client=True))
        for part in parts:
            if isinstance(part, ToolCall):
                shape = own_shape(part.residue)
                if "id" in shape:
                    self._unnamed.append(part.id)
                if shape.get("in") == "function_call":
                    self._legacy[part.name] = part.id
        self.messages.append(Message(role="assistant", parts=tuple(parts), residue=fields.residue(content=form)))

    def _tool(self, fields: Fields, position: int) -> None:
        del position
        fields.take("role")
        call_id, shape = fields.take_str("tool_call_id"), JsonObject()
        if not call_id:
            if not self._unnamed:
                path = fields.at("tool_call_id")
                raise Malformed(f"{path} is required: which call does this answer?", path=path)
            shape["id"] = call_id
            call_id = self._unnamed.popleft()
        self._result(fields, call_id, fields.take_str("name"), shape)

    def _function(self, fields: Fields, position: int) -> None:
        fields.take("role")
        name = fields.need_str("name")
        call_id = self._legacy.get(name) or synthetic_call_id(position, name, "")
        self._result(fields, call_id, name, {"role": "function"})

    def _result(self, fields: Fields, call_id: str, name: str | None, shape: JsonObject) -> None:
        parts, form = self._content(fields, RESULT_KINDS)
        held = tuple(part for part in parts if isinstance(part, Text | Media | Opaque))
        if name is not None:
            shape["is_named"] = True
        self._results.append(
            ToolResult(call_id=call_id, name=name, parts=held, residue=fields.residue(content=form, **shape))
        )

    _readers: ClassVar[Mapping[str, Callable[[MessageReader, Fields, int], None]]] = {
        "system": _system,
        "developer": _system,
        "user": _user,
        "assistant": _assistant,
        "tool": _tool,
        "function": _function,
    }
