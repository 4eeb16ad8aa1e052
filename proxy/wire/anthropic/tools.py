"""Tools and the choice among them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from proxy.errors import Malformed, Untranslatable
from proxy.hub import custom
from proxy.hub.hosted import intent_of
from proxy.hub.names import NameMap
from proxy.hub.parts import Opaque, ToolCall
from proxy.hub.profile import Profile
from proxy.hub.request import Mode, Request, Tool, ToolChoice
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.anthropic.blocks import NAME, opaque, take_cache
from proxy.wire.anthropic.parts import PartWriter
from proxy.wire.anthropic.schema import tool_schema
from proxy.wire.base import json_type
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape

LEGAL_NAME = re.compile(r"[A-Za-z0-9_-]+")
NAME_CHARS_MAX = 128

_MODES: Mapping[str, Mode] = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}
_KINDS: Mapping[Mode, str] = {mode: kind for kind, mode in _MODES.items()}

_HOSTED: Mapping[str, tuple[str, str]] = {
    "web_search": ("web_search_20250305", "web_search"),
    "code_execution": ("code_execution_20250825", "code_execution"),
    "url_fetch": ("web_fetch_20250910", "web_fetch"),
}
"""By intent: type and name. The oldest version that every model takes."""


def parse_tool(value: JsonValue, path: str) -> Tool | Opaque:
    if not isinstance(value, dict):
        raise Malformed(f"{path} must be an object, not {json_type(value)}", path=path)
    kind = value.get("type")
    if kind is not None and kind != "custom":
        return opaque(value, path, NAME)
    fields = Fields(value, wire=NAME, path=path)
    shape: JsonObject = {} if fields.take_str("type") is None else {"type": "custom"}
    return Tool(
        name=fields.need_str("name"),
        description=fields.take_str("description"),
        schema=fields.take_object("input_schema"),
        is_strict=fields.take_bool("strict"),
        cache=take_cache(fields),
        residue=fields.residue(**shape),
    )


def parse_tool_choice(fields: Fields | None) -> ToolChoice | None:
    if fields is None:
        return None
    kind = fields.need_str("type")
    mode = _MODES.get(kind)
    if mode is None:
        path = fields.at("type")
        raise Malformed(f"{path} must be auto, any, tool or none, not {kind!r}", path=path)
    names = (fields.need_str("name"),) if mode == "named" else ()
    is_serial = fields.take_bool("disable_parallel_tool_use")
    is_parallel = None if is_serial is None else not is_serial
    return ToolChoice(mode=mode, names=names, is_parallel=is_parallel, residue=fields.residue())


def names_within(request: Request) -> NameMap:
    """Of tools, and of calls in the history: a tool may be gone by now."""
    names = [tool.name for tool in request.tools if isinstance(tool, Tool)]
    names += [part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    return NameMap.within(names, legal=LEGAL_NAME, length_max=NAME_CHARS_MAX)


class ToolWriter:
    """Definitions and choice for an upstream. Losses and cache marks go to `writer`."""

    def __init__(self, profile: Profile, names: NameMap, writer: PartWriter, *, is_home: bool) -> None:
        self._profile = profile
        self._names = names
        self._writer = writer
        self._is_home = is_home

    def write_all(self, request: Request) -> list[JsonValue]:
        """In the client's order: it is part of the cached prefix. Of allowed tools only those: it comes to the same."""
        choice = request.tool_choice
        allowed = set(choice.names) if choice and choice.mode in {"auto", "required"} and choice.names else None
        tools: list[JsonValue] = []
        for index, tool in enumerate(request.tools):
            path = f"tools[{index}]"
            if isinstance(tool, Tool) and allowed is not None and tool.name not in allowed:
                if tool.cache is not None:
                    self._writer.lose(f"{path}.cache_control", "cache mark", "its tool is not among the allowed ones")
                continue
            block = self._function(tool, path) if isinstance(tool, Tool) else self._hosted(tool, path)
            self._writer.mark(block, tool.cache, path)
            tools.append(block)
        return tools

    def _function(self, tool: Tool, path: str) -> JsonObject:
        self._writer.losses.extend(residue_losses(tool.residue, NAME, path))
        is_typed = residue_shape(tool.residue, NAME, "type") is not None
        block: JsonObject = {"type": "custom"} if is_typed else {}
        block["name"] = self._names.to_upstream(tool.name)
        if tool.description is not None:
            block["description"] = tool.description
        schema = self._schema(tool, path)
        if schema is not None:
            block["input_schema"] = schema
        if tool.is_strict is not None and self._profile.has_strict_schema:
            block["strict"] = tool.is_strict
        elif tool.is_strict:
            self._writer.lose(f"{path}.strict", "strict", "this model does not enforce schemas")
        block.update(residue_fields(tool.residue, NAME))
        return block

    def _schema(self, tool: Tool, path: str) -> JsonObject | None:
        if tool.is_custom:
            return custom.SCHEMA
        return tool.schema if self._is_home else tool_schema(tool.schema, f"{path}.parameters", self._writer.losses)

    def _hosted(self, tool: Opaque, path: str) -> JsonObject:
        if tool.wire == NAME and isinstance(tool.value, dict):
            return dict(tool.value)
        intent = intent_of(tool.kind)
        if intent is None or intent not in self._profile.hosted_tools:
            what = (
                f"{path}: this model does not offer the hosted tool {tool.kind!r}; leave it out, or ask another model"
            )
            raise Untranslatable(what, path=path)
        kind, name = _HOSTED[intent]
        value = tool.value if isinstance(tool.value, dict) else {}
        inner = value.get(tool.kind)  # Gemini has no type, but a key
        value = inner if isinstance(inner, dict) else value
        options = _search_options(value) if intent == "web_search" else {}
        for key in sorted(value.keys() - _EXPECTED):
            self._writer.lose(f"{path}.{key}", key, f"{name} has no such option here")
        return {"type": kind, "name": name, **options}

    def write_choice(self, choice: ToolChoice | None, tools: list[JsonValue]) -> JsonObject | None:
        """The parallel switch needs a choice to stand in, and a choice needs tools."""
        if choice is None:
            return None
        self._writer.losses.extend(residue_losses(choice.residue, NAME, "tool_choice"))
        mode: Mode | None = choice.mode or ("auto" if choice.is_parallel is False else None)
        if mode is None or not tools:
            if mode in {"required", "named"}:
                self._writer.lose("tool_choice", f"tool choice {mode}", "there are no tools to choose from")
            return None
        block: JsonObject = {"type": _KINDS[mode]}
        if mode == "named":
            block["name"] = self._names.to_upstream(choice.names[0])
        if choice.is_parallel is not None and mode != "none":
            block["disable_parallel_tool_use"] = not choice.is_parallel
        return {**block, **residue_fields(choice.residue, NAME)}


_EXPECTED = frozenset({"type", "name", "filters", "user_location"})
"""Of another wire's hosted tool, what `_search_options` reads or nobody needs."""


def _search_options(value: JsonObject) -> JsonObject:
    """OpenAI's web search says nearly the same in other places."""
    options: JsonObject = {}
    filters = value.get("filters")
    if isinstance(filters, dict):
        options = {key: filters[key] for key in ("allowed_domains", "blocked_domains") if filters.get(key)}
    location = value.get("user_location")
    if isinstance(location, dict):
        inner = location.get("approximate")
        place = inner if isinstance(inner, dict) else location
        known = {key: place[key] for key in ("city", "region", "country", "timezone") if place.get(key)}
        options["user_location"] = {"type": "approximate", **known}
    return options
