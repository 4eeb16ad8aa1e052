"""Tools and the choice among them, both ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from proxy.errors import Malformed, Untranslatable
from proxy.hub.custom import SCHEMA
from proxy.hub.hosted import intent_of
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.parts import Opaque, ToolCall
from proxy.hub.profile import Profile
from proxy.hub.request import Mode, Request, Tool, ToolChoice
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import expect_object
from proxy.wire.fields import Fields, residue_losses
from proxy.wire.openai_chat.parts import keep_inner, take_mark
from proxy.wire.openai_chat.words import NAME, TOOL_NAME_CHARS_MAX, own_fields, own_shape, shape_of

WEB_SEARCH = "web_search_options"
"""OpenAI's hosted search stands beside `tools`."""
_LEGAL = re.compile(r"[A-Za-z0-9_-]+")
_MODES: Mapping[str, Mode] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}
"""``any``: Mistral's word for required."""


def parse_tools(fields: Fields) -> tuple[Tool | Opaque, ...]:
    """`tools`, or the legacy `functions`, and the hosted search."""
    tools: list[Tool | Opaque] = []
    if fields.peek("tools"):
        tools += [_parse_tool(item, f"tools[{index}]") for index, item in enumerate(fields.need_list("tools"))]
    if fields.peek("functions"):
        for index, item in enumerate(fields.need_list("functions")):
            function = Fields(item, wire=NAME, path=f"functions[{index}]")
            tools.append(_parse_function(function, {"in": "functions"}, None))
    search = fields.take(WEB_SEARCH)
    if search is not None:
        tools.append(Opaque(wire=NAME, kind=WEB_SEARCH, value=search))
    return tuple(tools)


def _parse_tool(value: JsonValue, path: str) -> Tool | Opaque:
    fields = Fields(value, wire=NAME, path=path)
    kind = fields.take_str("type")
    if kind not in {"function", "custom", None} or (kind == "custom" and not isinstance(fields.peek("custom"), dict)):
        return Opaque(wire=NAME, kind=kind or "", value=value)
    key = kind or "function"
    inner = fields.take_fields(key)
    if inner is None:  # some clients write it flat, as Responses has it
        return _parse_function(fields, {}, None)
    return _parse_function(inner, {"type": kind} if kind is None else {}, fields, is_custom=key == "custom")


def _parse_function(inner: Fields, shape: JsonObject, outer: Fields | None, *, is_custom: bool = False) -> Tool:
    name = inner.need_str("name")
    description, is_strict = inner.take_str("description"), inner.take_bool("strict")
    schema = None if is_custom else inner.take_object("parameters")
    fields = outer or inner
    mark, written = take_mark(fields)
    if written:
        shape["mark"] = written
    if outer is not None:
        keep_inner(outer, "custom" if is_custom else "function", inner)
    return Tool(
        name=name,
        description=description,
        schema=schema,
        is_strict=is_strict,
        is_custom=is_custom,
        cache=mark,
        residue=fields.residue(**shape),
    )


def parse_choice(fields: Fields, *, is_legacy: bool) -> ToolChoice | None:
    """The legacy functions are called one at a time: their choice is not parallel."""
    is_parallel = fields.take_bool("parallel_tool_calls")
    key = "function_call" if is_legacy and "tool_choice" not in fields else "tool_choice"
    value = fields.take(key)
    shape: JsonObject = {"in": key} if is_legacy else {}
    if is_legacy and is_parallel is None:
        is_parallel = False
        shape["is_implied"] = True
    if value is None:
        residue = Residue(wire=NAME, shape=shape) if shape else None
        return None if is_parallel is None else ToolChoice(is_parallel=is_parallel, residue=residue)
    mode, names, more = _parse_mode(value, fields.at(key), shape)
    residue = Residue(wire=NAME, fields=more, shape=shape) if shape or more else None
    return ToolChoice(mode=mode, names=names, is_parallel=is_parallel, residue=residue)


def _parse_mode(value: JsonValue, path: str, shape: JsonObject) -> tuple[Mode | None, tuple[str, ...], JsonObject]:
    if isinstance(value, str):
        if value not in _MODES:
            raise Malformed(f"{path} must be one of {', '.join(_MODES)}, or an object", path=path)
        if value == "any":
            shape["word"] = value
        return _MODES[value], (), {}
    choice = Fields(expect_object(value, path), wire=NAME, path=path)
    kind = choice.peek("type")
    if kind == "allowed_tools" and isinstance(choice.peek("allowed_tools"), dict):
        allowed = Fields(choice.peek("allowed_tools"), wire=NAME, path=choice.at("allowed_tools"))
        tools = allowed.need_list("tools")
        shape["written"] = value
        mode = allowed.take_str("mode") or "auto"
        return _MODES.get(mode, "auto"), tuple(name for tool in tools if (name := _named(tool))), {}
    name = _named(value)
    if name is not None:
        shape["written"] = value
        return "named", (name,), {}
    if isinstance(kind, str) and kind in _MODES:
        shape["written"] = value
        return _MODES[kind], (), {}
    return None, (), {"tool_choice": value}


def _named(value: JsonValue) -> str | None:
    """``{type: function, function: {name}}``, the same for custom, or ``{name}`` alone."""
    if not isinstance(value, dict):
        return None
    for holder in (value.get("function"), value.get("custom"), value):
        name = holder.get("name") if isinstance(holder, dict) else None
        if isinstance(name, str):
            return name
    return None


def names_of(request: Request) -> NameMap:
    """Every tool name in it, within this wire's limits."""
    names = [tool.name for tool in request.tools if isinstance(tool, Tool)]
    names += [part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    names += request.tool_choice.names if request.tool_choice is not None else ()
    return NameMap.within(names, legal=_LEGAL, length_max=TOOL_NAME_CHARS_MAX)


class ToolWriter:
    """Writes tools and choice into `body`."""

    def __init__(self, profile: Profile, names: NameMap, losses: list[Loss]) -> None:
        self.profile = profile
        self.names = names
        self.losses = losses
        self.body: JsonObject = {}

    def write(self, tools: Iterable[Tool | Opaque], choice: ToolChoice | None) -> JsonObject:
        lists: dict[str, list[JsonValue]] = {"tools": [], "functions": []}
        custom: set[str] = set()
        for index, tool in enumerate(tools):
            path = f"tools[{index}]"
            if isinstance(tool, Opaque):
                self._hosted(tool, path, lists["tools"])
                continue
            if tool.is_custom and self.profile.has_custom_tools:
                custom.add(tool.name)
            is_legacy = shape_of(tool.residue, "in") == "functions"
            lists["functions" if is_legacy else "tools"].append(self._tool(tool, path, is_legacy=is_legacy))
        self.body.update({key: tools for key, tools in lists.items() if tools})
        if choice is not None:
            self._choice(choice, custom, has_tools=any(lists.values()))
        return self.body

    def _hosted(self, tool: Opaque, path: str, tools: list[JsonValue]) -> None:
        if tool.wire == NAME:
            if tool.kind == WEB_SEARCH:
                self.body[WEB_SEARCH] = tool.value
            else:
                tools.append(tool.value)
            return
        if intent_of(tool.kind) != "web_search" or "web_search" not in self.profile.hosted_tools:
            raise Untranslatable(f"{path}: the chosen model has no hosted tool like {tool.kind}", path=path)
        options: JsonObject = {}
        for key, value in (tool.value if isinstance(tool.value, dict) else {}).items():
            if key == "search_context_size":
                options[key] = value
            elif key == "user_location" and isinstance(value, dict):
                options[key] = {"type": "approximate", "approximate": {k: v for k, v in value.items() if k != "type"}}
            elif key not in {"type", "name"} and value not in (None, {}, []):
                self.losses.append(Loss(f"{path}.{key}", key, "this wire's search has no such option"))
        self.body[WEB_SEARCH] = options

    def _tool(self, tool: Tool, path: str, *, is_legacy: bool) -> JsonObject:
        self.losses.extend(residue_losses(tool.residue, NAME, path))
        is_custom = tool.is_custom and self.profile.has_custom_tools
        key = "custom" if is_custom else "function"
        left = own_fields(tool.residue)
        inner_left = left.pop("custom" if tool.is_custom else "function", None)
        inner: JsonObject = dict(inner_left) if isinstance(inner_left, dict) and is_custom == tool.is_custom else {}
        inner["name"] = self.names.to_upstream(tool.name)
        if tool.description is not None:
            inner["description"] = tool.description
        schema = SCHEMA if tool.is_custom and not is_custom else tool.schema
        if schema is not None:
            inner["parameters"] = schema
        if tool.is_strict is not None:
            self._strict(tool, path, inner)
        if is_legacy:
            return {**left, **inner}
        kind = own_shape(tool.residue).get("type", key)
        written: JsonObject = {**left, **({"type": kind} if kind is not None else {}), key: inner}
        self._mark(tool, path, written)
        return written

    def _strict(self, tool: Tool, path: str, inner: JsonObject) -> None:
        if self.profile.has_strict_schema:
            inner["strict"] = tool.is_strict
        elif tool.is_strict:
            self.losses.append(Loss(f"{path}.strict", "strict schema", "the upstream does not enforce schemas"))

    def _mark(self, tool: Tool, path: str, written: JsonObject) -> None:
        if tool.cache is None:
            return
        mark = shape_of(tool.residue, "mark")
        if isinstance(mark, dict) and self.profile.has_cache_marks:
            written.update(mark)
        else:
            self.losses.append(Loss(f"{path}.cache_control", "cache mark", "a tool has no place for one in this wire"))

    def _choice(self, choice: ToolChoice, custom: set[str], *, has_tools: bool) -> None:
        """Upstreams refuse a choice among no tools."""
        self.losses.extend(residue_losses(choice.residue, NAME, "tool_choice"))
        if not has_tools:
            if choice.mode in {"required", "named"}:
                self.losses.append(Loss("tool_choice", "tool choice", "there are no tools to choose from"))
            return
        shape = own_shape(choice.residue)
        if choice.mode is not None:
            key = str(shape.get("in", "tool_choice"))
            is_legacy = key == "function_call"
            write: Callable[[ToolChoice, set[str]], JsonValue] = self._legacy_mode if is_legacy else self._mode
            self.body[key] = write(choice, custom)
        self.body.update(own_fields(choice.residue))
        if choice.is_parallel is None or shape.get("is_implied"):
            return
        if "parallel_switch" in self.profile.extras:
            self.body["parallel_tool_calls"] = choice.is_parallel
        elif not choice.is_parallel:
            self.losses.append(Loss("parallel_tool_calls", "parallel switch", "the upstream has none"))

    def _mode(self, choice: ToolChoice, custom: set[str]) -> JsonValue:
        written = shape_of(choice.residue, "written")
        if written is not None and not any(name in self.names.sent for name in choice.names):
            return written
        chosen = [self._reference(name, custom) for name in choice.names]
        if choice.mode == "named":
            return chosen[0]
        if chosen and choice.mode != "none":
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": list(chosen)}}
        return shape_of(choice.residue, "word") or choice.mode

    def _legacy_mode(self, choice: ToolChoice, custom: set[str]) -> JsonValue:
        del custom
        return {"name": choice.names[0]} if choice.names else choice.mode

    def _reference(self, name: str, custom: set[str]) -> JsonObject:
        key = "custom" if name in custom else "function"
        return {"type": key, key: {"name": self.names.to_upstream(name)}}
