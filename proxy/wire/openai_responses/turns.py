"""``input``: a flat list of items → instructions and messages with parts.

A run of what the model said (messages, reasoning, calls) is one assistant message, a run of results one tool message;
each of the user's and developer's items is a message of its own. What the developer says before anything else belongs
to the instructions. Tools that an item brings (`additional_tools`, a client's `tool_search_output`) join the request's
tools, marked with where they stood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from proxy.errors import Malformed
from proxy.hub.parts import Opaque, Part, Text, ToolResult
from proxy.hub.request import Message, Role, Tool
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import json_type
from proxy.wire.openai_responses.item_writing import item_marks
from proxy.wire.openai_responses.items import Place, parse_item
from proxy.wire.openai_responses.losses import NAME
from proxy.wire.openai_responses.tools import marked_tool, parse_tools

STATE_ITEMS = frozenset({"item_reference", "compaction", "compaction_trigger"})
"""Items that stand for what only OpenAI's servers know, or ask them to do."""
_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_CALLERS_ENDINGS = ("_output", "_response", "_trigger", "_update")
"""How the types of items end that come from the caller; the others are the model's."""


@dataclass(slots=True)
class Turns:
    """`state`: the items of `STATE_ITEMS`, with their paths."""

    instructions: list[Text] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    tools: list[Tool | Opaque] = field(default_factory=list)
    state: list[Opaque] = field(default_factory=list)
    is_leading: bool = True

    def take(self, value: JsonValue, position: int) -> None:
        path = f"input[{position}]"
        kind = str(value.get("type")) if isinstance(value, dict) else ""
        if kind == "additional_tools" and self._take_tools(value, position):
            return
        parts = parse_item(value, Place(path, position))
        role = _role(parts[0], value if isinstance(value, dict) else {})
        if kind in STATE_ITEMS:
            self.state.append(Opaque(wire=NAME, kind=kind, value=value, residue=_at(path)))
        if isinstance(parts[0], ToolResult):
            self._take_found(parts[0])
        texts = [part for part in parts if isinstance(part, Text)]
        if self.is_leading and role == "system" and len(texts) == len(parts):
            self.instructions.extend(texts)
            return
        self.is_leading = False
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == role and role in {"assistant", "tool"}:
            self.messages[-1] = replace(last, parts=(*last.parts, *parts))
        else:
            self.messages.append(Message(role=role, parts=parts))

    def _take_tools(self, item: JsonValue, position: int) -> bool:
        """False when the item holds no tools to which its place could be pinned."""
        if not isinstance(item, dict) or not isinstance(tools := item.get("tools"), list) or not tools:
            return False
        mark: JsonObject = {"at": position, "item": {key: item[key] for key in item if key != "tools"}}
        self.tools.extend(marked_tool(tool, "input", mark) for tool in parse_tools(tools, f"input[{position}].tools"))
        return True

    def _take_found(self, result: ToolResult) -> None:
        """At home the item itself brings its tools."""
        marks = item_marks(result)
        found = marks.get("tools") if isinstance(marks, dict) else None
        if isinstance(found, list):
            tools = parse_tools(found, "input.tools")
            self.tools.extend(marked_tool(tool, "input", "tool_search_output") for tool in tools)


def _at(path: str) -> Residue:
    return Residue(wire=NAME, shape={"at": path})


def _role(part: Part, item: JsonObject) -> Role:
    if isinstance(part, ToolResult):
        return "tool"
    named = item.get("role")
    if isinstance(named, str):
        return _ROLES.get(named, "user")
    is_callers = isinstance(part, Opaque) and part.kind.endswith(_CALLERS_ENDINGS)
    return "user" if is_callers else "assistant"


def parse_input(value: JsonValue) -> Turns:
    """`value` None: the request has none, because it goes on from a stored answer or prompt."""
    turns = Turns()
    if isinstance(value, str):
        text = Text(text=value, residue=Residue(wire=NAME, shape={"item": "input"}))
        turns.messages.append(Message(role="user", parts=(text,)))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            turns.take(item, position)
    elif value is not None:
        raise Malformed(f"input must be a string or an array, not {json_type(value)}", path="input")
    return turns
