"""Tools: functions, custom tools and namespaces of them are the hub's; hosted ones are Opaque.

A client's `tool_search` (it looks for tools itself) is a tool like any other. The tools of a namespace stand in the
hub's list one by one; `Residue.shape` remembers the namespace, and the item that brought them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from proxy.errors import Untranslatable
from proxy.hub.custom import SCHEMA
from proxy.hub.hosted import intent_of
from proxy.hub.names import NameMap
from proxy.hub.parts import Opaque
from proxy.hub.profile import Profile
from proxy.hub.request import Tool
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.fields import Fields, residue_fields, residue_shape
from proxy.wire.openai_responses.losses import NAME, Losses
from proxy.wire.openai_responses.spelling import hub_name

T = TypeVar("T", bound=Tool | Opaque)

HOSTED: Mapping[str, JsonObject] = {
    "web_search": {"type": "web_search"},
    "code_execution": {"type": "code_interpreter", "container": {"type": "auto"}},
}
"""Intent → the tool that serves it here."""
_SEARCH_SETTINGS = ("allowed_domains", "user_location")
"""Of other wires' web search, what this one has, too."""


def parse_tools(values: list[JsonValue], path: str) -> Iterator[Tool | Opaque]:
    for at, value in enumerate(values):
        yield from _parse_tool(value, f"{path}[{at}]", at)


def _parse_tool(value: JsonValue, path: str, at: int) -> Iterator[Tool | Opaque]:
    fields = Fields(value, wire=NAME, path=path)
    kind = fields.need_str("type")
    if kind in {"function", "custom"}:
        yield _tool(fields, is_custom=kind == "custom")
    elif kind == "tool_search" and fields.peek("execution") == "client":
        execution = fields.take("execution")
        yield Tool(
            name="tool_search",
            description=fields.take_str("description"),
            schema=fields.take_object("parameters"),
            residue=fields.residue(type=kind, execution=execution),
        )
    elif kind == "namespace" and _is_flat(fields.peek("tools")):
        yield from _namespace(fields, at)
    else:
        yield Opaque(wire=NAME, kind=kind, value=value)


def _tool(fields: Fields, *, is_custom: bool) -> Tool:
    return Tool(
        name=fields.need_str("name"),
        description=fields.take_str("description"),
        schema=None if is_custom else fields.take_object("parameters"),
        is_strict=None if is_custom else fields.take_bool("strict"),
        is_custom=is_custom,
        residue=fields.residue(own=True),
    )


def _is_flat(tools: JsonValue) -> bool:
    """Not empty, and functions and custom tools only: the rest cannot stand alone."""
    return (
        isinstance(tools, list)
        and bool(tools)
        and all(isinstance(tool, dict) and tool.get("type") in ("function", "custom") for tool in tools)
    )


def _namespace(fields: Fields, at: int) -> Iterator[Tool]:
    """What the namespace says of itself stays with its first tool."""
    name = fields.need_str("name")
    path = fields.at("tools")
    tools = fields.need_list("tools")
    residue = fields.residue()
    about: JsonObject = {key: value for key, value in residue.fields.items() if value} if residue is not None else {}
    plain: JsonObject = (
        {key: value for key, value in residue.fields.items() if not value} if residue is not None else {}
    )
    for position, value in enumerate(tools):
        inner = Fields(value, wire=NAME, path=f"{path}[{position}]")
        is_custom = inner.take_str("type") == "custom"
        tool = _tool(inner, is_custom=is_custom)
        tool = marked_tool(tool, "namespace", name)
        tool = marked_tool(tool, "name", tool.name)
        tool = marked_tool(tool, "group", {"at": at, "plain": plain})
        if position == 0 and about and tool.residue is not None:
            fields_with = {**tool.residue.fields, "namespace": about}
            tool = replace(tool, residue=replace(tool.residue, fields=fields_with))
        yield replace(tool, name=hub_name(name, tool.name))


def marked_tool(tool: T, key: str, value: JsonValue) -> T:
    residue = tool.residue or Residue(wire=NAME)
    return replace(tool, residue=replace(residue, shape={**residue.shape, key: value}))


class ToolWriter:
    """Writes a request's tools, as a list for ``tools`` and as items that stand in ``input`` (`items`, by position)."""

    def __init__(self, profile: Profile, names: NameMap, losses: Losses) -> None:
        self._profile = profile
        self._names = names
        self._losses = losses
        self.tools: list[JsonValue] = []
        self.items: dict[int, JsonObject] = {}
        self._groups: dict[tuple[int | None, int], list[JsonValue]] = {}

    def write(self, tool: Tool | Opaque, path: str) -> None:
        place = residue_shape(tool.residue, NAME, "input")
        if place == "tool_search_output":
            return
        position = place.get("at") if isinstance(place, dict) else None
        target = self.tools
        if isinstance(place, dict) and isinstance(position, int):
            target = self._item_tools(position, place)
        if isinstance(tool, Opaque):
            target.append(self._hosted(tool, path))
            return
        group = residue_shape(tool.residue, NAME, "group")
        if isinstance(group, dict):
            target = self._group_tools(target, tool, position if isinstance(position, int) else None, group)
        target.append(self._tool(tool, path))

    def _item_tools(self, position: int, place: JsonObject) -> list[JsonValue]:
        item = self.items.get(position)
        if item is None:
            head = place.get("item")
            item = self.items[position] = {**(head if isinstance(head, dict) else {}), "tools": []}
        tools = item["tools"]
        return tools if isinstance(tools, list) else []

    def _group_tools(
        self, around: list[JsonValue], tool: Tool, position: int | None, group: JsonObject
    ) -> list[JsonValue]:
        at = group.get("at")
        key = (position, at if isinstance(at, int) else 0)
        if key not in self._groups:
            tools: list[JsonValue] = []
            about, plain = residue_fields(tool.residue, NAME).get("namespace"), group.get("plain")
            self._groups[key] = tools
            around.append(
                {
                    "type": "namespace",
                    "name": residue_shape(tool.residue, NAME, "namespace"),
                    **(about if isinstance(about, dict) else {}),
                    **(plain if isinstance(plain, dict) else {}),
                    "tools": tools,
                }
            )
        return self._groups[key]

    def _tool(self, tool: Tool, path: str) -> JsonObject:
        self._losses.note_residue(tool.residue, path)
        if tool.cache is not None:
            self._losses.note(f"{path}.cache_control", "cache mark", "this wire marks content parts only")
        own = residue_fields(tool.residue, NAME)
        is_own = tool.residue is not None and tool.residue.wire == NAME
        if residue_shape(tool.residue, NAME, "type") == "tool_search":
            body: JsonObject = {"type": "tool_search", "execution": "client", "description": tool.description}
            body["parameters"] = tool.schema
            return {**_present(body), **own}
        own.pop("namespace", None)
        name = residue_shape(tool.residue, NAME, "name")
        if name is None:
            name = self._names.to_upstream(tool.name)
        body = {"type": "function", "name": name, "description": tool.description}
        if tool.is_custom and not self._profile.has_custom_tools:
            self._losses.note(path, "custom tool", "the model takes JSON only; the text is wrapped in an object")
            return {**_present(body), "parameters": SCHEMA, "strict": False}
        if tool.is_custom:
            return {**_present(body), "type": "custom", **own}
        body.update({"parameters": tool.schema, "strict": self._strict(tool, path)})
        if is_own:
            return {**_present(body), **own}
        # Left out, `strict` means true here, and false everywhere else.
        return {**_present(body), "parameters": tool.schema, "strict": bool(body["strict"])}

    def _strict(self, tool: Tool, path: str) -> bool | None:
        if tool.is_strict and not self._profile.has_strict_schema:
            self._losses.note(f"{path}.strict", "strict", "this model does not take it")
            return None
        return tool.is_strict

    def _hosted(self, tool: Opaque, path: str) -> JsonValue:
        if tool.wire == NAME:
            return tool.value
        intent = intent_of(tool.kind)
        if intent not in HOSTED or intent not in self._profile.hosted_tools:
            raise Untranslatable(
                f"{path}: the hosted tool {tool.kind} of {tool.wire} has no equal at this model; leave it out, or "
                f"ask a model that has it",
                path=path,
            )
        return {**HOSTED[intent], **self._settings(tool, intent, path)}

    def _settings(self, tool: Opaque, intent: str, path: str) -> JsonObject:
        value = tool.value if isinstance(tool.value, dict) else {}
        settings: JsonObject = {}
        for key, setting in value.items():
            if key in {"type", "name", tool.kind} or setting in (None, {}):
                continue
            if intent == "web_search" and key in _SEARCH_SETTINGS:
                settings.update({"filters": {key: setting}} if key == "allowed_domains" else {key: setting})
            else:
                self._losses.note(f"{path}.{key}", key, f"the {intent} tool of this wire has no such setting")
        return settings


def _present(body: JsonObject) -> JsonObject:
    return {key: value for key, value in body.items() if value is not None}
