"""`tools` and `toolConfig` ↔ the hub's tools and tool choice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from proxy.errors import Untranslatable
from proxy.hub import custom
from proxy.hub.hosted import intent_of
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.parts import Opaque, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Request, Tool, ToolChoice
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape
from proxy.wire.gemini.dialect import as_written, keep_known, take_schema
from proxy.wire.gemini.schema import clean_parameters
from proxy.wire.gemini.words import NAME

_LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
NAME_CHARS_MAX = 128

_HOSTED: Mapping[str, str] = {
    "web_search": "googleSearch",
    "code_execution": "codeExecution",
    "url_fetch": "urlContext",
}
"""Intent → the tool that serves it here."""

_MODES: Mapping[str, str] = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}


def legal_names(request: Request) -> NameMap:
    """For every name of a function in the request, also in its history."""
    return NameMap.within(_names(request), legal=_LEGAL, length_max=NAME_CHARS_MAX)


def _names(request: Request) -> Iterator[str]:
    yield from (tool.name for tool in request.tools if isinstance(tool, Tool))
    for part in (part for message in request.messages for part in message.parts):
        if isinstance(part, ToolCall | ToolResult) and part.name:
            yield part.name
    yield from request.tool_choice.names if request.tool_choice is not None else ()


def parse_tools(values: Sequence[JsonValue]) -> tuple[list[Tool | Opaque], JsonValue]:
    """Functions and hosted tools one by one; and how they were grouped."""
    tools: list[Tool | Opaque] = []
    groups: list[JsonValue] = []
    for index, value in enumerate(values):
        fields = Fields(value, wire=NAME, path=f"tools[{index}]")
        group: list[JsonValue] = []
        for key, item in value.items() if isinstance(value, dict) else ():
            if key == "functionDeclarations":
                path = fields.at(key)
                declared = fields.take_list(key) or []
                group.append(len(declared) if item is not None else None)
                tools.extend(_declared(each, f"{path}[{at}]") for at, each in enumerate(declared))
            else:
                group.append(key)
                tools.append(Opaque(wire=NAME, kind=key, value={key: item}, origin=NAME))
        groups.append(group)
    return tools, groups


def _declared(value: JsonValue, path: str) -> Tool:
    fields = Fields(value, wire=NAME, path=path)
    name, description = fields.need_str("name"), fields.take_str("description")
    schema, shape = take_schema(fields, "parametersJsonSchema", "parameters")
    return Tool(name=name, description=description, schema=schema, residue=fields.residue(**shape))


def parse_tool_config(fields: Fields | None) -> tuple[ToolChoice | None, JsonObject]:
    """The choice, and what is left for the request's residue, by dotted name."""
    if fields is None:
        return None, {}
    calling = fields.take_fields("functionCallingConfig")
    left = fields.residue()
    rest: JsonObject = {f"toolConfig.{key}": value for key, value in (left.fields if left is not None else {}).items()}
    if calling is None:
        return None, rest
    listed = calling.take_list("allowedFunctionNames")
    names = tuple(name for name in listed or () if isinstance(name, str))
    word = calling.take_str("mode")
    mode = _MODES.get(word.upper()) if word is not None else None
    shape: JsonObject = {"mode": word, "names": None if listed is None else len(names)}
    if word is not None and (mode is None or word.upper() == "VALIDATED"):
        calling.give_back("mode", word)
    residue = calling.residue(**shape)
    if mode == "required" and len(names) == 1:
        return ToolChoice(mode="named", names=names, residue=residue), rest
    match mode:
        case "auto" | "none" | "required":
            return ToolChoice(mode=mode, names=names, residue=residue), rest
        case _:
            return ToolChoice(names=names, residue=residue), rest


class ToolsWriter:
    def __init__(self, profile: Profile, names: NameMap, losses: list[Loss], *, is_home: bool) -> None:
        self._profile = profile
        self._names = names
        self._losses = losses
        self._is_home = is_home

    def tools(self, tools: Sequence[Tool | Opaque], groups: JsonValue) -> list[JsonValue]:
        written = [self._tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
        if self._is_home and isinstance(groups, list):
            grouped = _regrouped(written, groups)
            if grouped is not None:
                return grouped
        functions = [body for tool, body in zip(tools, written, strict=True) if isinstance(tool, Tool)]
        hosted = [body for tool, body in zip(tools, written, strict=True) if isinstance(tool, Opaque)]
        if functions and hosted and not self._profile.mixes_tools:
            index = next(index for index, tool in enumerate(tools) if isinstance(tool, Opaque))
            path = f"tools[{index}]"
            raise Untranslatable(f"{path}: this model takes no hosted tool beside functions; leave one out", path=path)
        entries: list[JsonValue] = [*hosted]
        if functions:
            entries.append({"functionDeclarations": [*functions]})
        return entries

    def _tool(self, tool: Tool | Opaque, path: str) -> JsonObject:
        if isinstance(tool, Opaque):
            return self._hosted(tool, path)
        self._losses.extend(residue_losses(tool.residue, NAME, path))
        if tool.cache is not None:
            self._lose(f"{path}.cache_control", "cache mark", "gemini caches implicitly")
        if tool.is_strict and not self._profile.has_strict_schema:
            self._lose(f"{path}.strict", "strict", "this model does not promise to keep to a schema")
        body: JsonObject = {"name": self._names.to_upstream(tool.name)}
        if tool.description is not None:
            body["description"] = tool.description
        body.update(self._schema(tool, path))
        return {**body, **residue_fields(tool.residue, NAME)}

    def _schema(self, tool: Tool, path: str) -> JsonObject:
        schema = custom.SCHEMA if tool.is_custom else tool.schema
        if schema is None:
            return {}
        if written := as_written(tool.residue, has_full_schema=self._profile.has_full_schema):
            return written
        if not self._profile.has_full_schema:
            cleaned, losses = clean_parameters(schema, f"{path}.parameters")
            self._losses.extend(losses)
            return {"parameters": cleaned}
        kept, losses = keep_known(schema, f"{path}.parameters")
        self._losses.extend(losses)
        return {"parametersJsonSchema": kept or {"type": "object"}}

    def _hosted(self, tool: Opaque, path: str) -> JsonObject:
        if tool.wire == NAME and isinstance(tool.value, dict):
            return dict(tool.value)
        intent = intent_of(tool.kind)
        if intent is None or intent not in self._profile.hosted_tools:
            message = f"{path}: this model does not offer the hosted tool {tool.kind!r}; choose another model"
            raise Untranslatable(message, path=path)
        settings = tool.value if isinstance(tool.value, dict) else {}
        for key, value in settings.items():
            if key not in {"type", "name", "cache_control"} and value not in (None, {}, []):
                self._lose(f"{path}.{key}", key, f"gemini's {_HOSTED[intent]} has no such setting")
        return {_HOSTED[intent]: {}}

    def calling_config(self, choice: ToolChoice | None, tools: Sequence[Tool | Opaque]) -> JsonObject | None:
        """`functionCallingConfig`, or None where there is nothing to say. A strict tool makes AUTO to VALIDATED: both
        leave it to the model whether to call, and VALIDATED (like ANY) keeps calls to their schemas.
        """
        functions = [tool for tool in tools if isinstance(tool, Tool)]
        is_strict = self._profile.has_strict_schema and any(tool.is_strict for tool in functions)
        if is_strict and (choice is None or choice.mode is None):
            choice = replace(choice or ToolChoice(), mode="auto")
        if choice is None:
            return None
        if not functions and not self._is_home:
            if choice.mode in {"required", "named"}:
                self._lose("tool_choice", f"tool choice {choice.mode}", "there are no functions to choose from")
            return None
        self._losses.extend(residue_losses(choice.residue, NAME, "tool_choice"))
        if choice.is_parallel is False:
            self._lose("parallel_tool_calls", "one call at a time", "gemini has no switch for parallel calls")
        body: JsonObject = {}
        mode, names = choice.mode, [*map(self._names.to_upstream, choice.names)]
        match mode:
            case "required" | "named":
                body["mode"] = "ANY"
            case "none":
                body["mode"], names = "NONE", names if self._is_home else []
            case "auto":
                body["mode"] = "VALIDATED" if names or is_strict else "AUTO"  # AUTO takes no list of names
            case None:
                pass
        written = residue_shape(choice.residue, NAME, "mode")
        if isinstance(written, str):
            body["mode"] = written
        if names or residue_shape(choice.residue, NAME, "names") == 0:
            body["allowedFunctionNames"] = [*names]
        body.update(residue_fields(choice.residue, NAME))
        return body if body or self._is_home else None

    def _lose(self, path: str, what: str, why: str) -> None:
        self._losses.append(Loss(path, what, why))


def _regrouped(written: Iterable[JsonObject], groups: Sequence[JsonValue]) -> list[JsonValue] | None:
    """As the client had them; None when the tools are no more the client's."""
    rest = list(written)
    entries: list[JsonValue] = []
    for group in groups:
        entry: JsonObject = {}
        for member in group if isinstance(group, list) else ():
            if isinstance(member, str):
                if not rest or member not in rest[0]:
                    return None
                entry.update(rest.pop(0))
            elif isinstance(member, int):
                functions, rest = rest[:member], rest[member:]
                if len(functions) < member or any("name" not in function for function in functions):
                    return None
                entry["functionDeclarations"] = [*functions]
            else:
                entry["functionDeclarations"] = None
        entries.append(entry)
    return None if rest else entries
