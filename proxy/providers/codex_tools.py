"""Tools as Codex passes them on: the caller's functions and a search of the web."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.residue import JsonObject, JsonValue, list_in

_RESERVED = re.compile(r"mcp|mcp__.*|exec_command|shell_command", re.DOTALL)
"""Names that it keeps for itself: refused, or left out without a word."""
_SEARCHES = ("web_search", "web_search_preview")
_KEPT = frozenset(
    {
        "$defs", "$ref", "additionalProperties", "allOf", "anyOf", "const", "definitions", "description", "enum",
        "items", "minItems", "oneOf", "properties", "required", "type",
    }
)  # fmt: skip
_SAYS_NOTHING = frozenset({"$comment", "$id", "$schema", "title"})
_MAPS = frozenset({"$defs", "definitions", "properties"})
"""Keywords under which names stand, not keywords."""


def cut_tools(body: JsonObject, losses: list[Loss]) -> NameMap:
    """In place; what the caller's choice allows is offered. The names that had to change. Raises `Untranslatable`."""
    tools = [tool for tool in list_in(body.pop("tools", None)) if isinstance(tool, dict)]
    names = _renamed(_names(body, tools))
    offered = _offered(body.get("tool_choice"), tools, losses)
    written: list[JsonValue] = [
        _written(tool, f"tools[{at}]", names, losses)
        for at, tool in enumerate(tools)
        if offered is None or _label(tool) in offered
    ]
    if written:
        body["tools"] = written
    return names


def _renamed(names: Iterable[str]) -> NameMap:
    taken = {*names}
    sent: dict[str, str] = {}
    for name in sorted(taken):
        if _RESERVED.fullmatch(name):
            other = name.replace("__", "_", 1) if "__" in name else f"{name}_"
            while other in taken:
                other += "_"
            taken.add(other)
            sent[name] = other
    return NameMap(sent, {theirs: ours for ours, theirs in sent.items()})


def _label(tool: JsonObject) -> str:
    return str(tool.get("name") or tool.get("type"))


def _names(body: JsonObject, tools: Collection[JsonObject]) -> Iterator[str]:
    yield from (str(tool["name"]) for tool in tools if isinstance(tool.get("name"), str))
    for item in list_in(body.get("input")):
        if isinstance(item, dict) and item.get("type") == "function_call" and isinstance(item.get("name"), str):
            yield str(item["name"])


def _offered(choice: JsonValue, tools: Collection[JsonObject], losses: list[Loss]) -> Collection[str] | None:
    """The names of those that may be called; None: all of them."""
    free = "Codex leaves it to the model whether it calls a tool"
    if choice == "none":
        return ()
    if choice == "required":
        losses.append(Loss("tool_choice", "required", free))
    if not isinstance(choice, dict):
        return None
    if choice.get("type") == "allowed_tools":
        if choice.get("mode") == "required":
            losses.append(Loss("tool_choice.mode", "required", free))
        return {_label(tool) for tool in list_in(choice.get("tools")) if isinstance(tool, dict)}
    losses.append(Loss("tool_choice", _label(choice), f"{free}; it is the only one that is offered"))
    return {_label(choice)} & {_label(tool) for tool in tools}


def _written(tool: JsonObject, path: str, names: NameMap, losses: list[Loss]) -> JsonObject:
    kind = str(tool.get("type"))
    if kind.startswith(_SEARCHES):
        losses.extend(
            Loss(f"{path}.{key}", key, "Codex searches the web in its own way")
            for key in tool
            if key != "type" and tool[key] not in (None, {}, [])
        )
        return {"type": "web_search"}
    if kind != "function":
        raise Untranslatable(
            f"{path}: Codex cannot offer a tool of the type {kind}; leave it out, or ask an API key",
            path=f"{path}.type",
        )
    if tool.get("strict"):
        losses.append(Loss(f"{path}.strict", "strict", "Codex offers no strict tools"))
    unsaid = sorted({*_unsaid(tool.get("parameters"))})
    if unsaid:
        losses.append(Loss(f"{path}.parameters", ", ".join(unsaid), "Codex leaves these keywords out"))
    return {**tool, "name": names.to_upstream(str(tool.get("name")))}


def _unsaid(schema: JsonValue) -> Iterator[str]:
    """The keywords that do not arrive."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            for inner in value.values():
                yield from _unsaid(inner)
        elif key not in _KEPT | _SAYS_NOTHING:
            yield key
        else:
            for inner in value if isinstance(value, list) else [value]:
                yield from _unsaid(inner)
