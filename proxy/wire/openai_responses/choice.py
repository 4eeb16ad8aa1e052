"""``tool_choice`` and ``parallel_tool_calls``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from proxy.hub.names import NameMap
from proxy.hub.profile import Profile
from proxy.hub.request import Request, Tool, ToolChoice
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.fields import Fields, residue_fields, residue_shape
from proxy.wire.openai_responses.losses import NAME, Losses

_Mode: TypeAlias = Literal["auto", "none", "required"]
_MODES: Mapping[str, _Mode] = {"auto": "auto", "none": "none", "required": "required"}
_CALLABLE = ("function", "custom")


def parse_choice(fields: Fields) -> ToolChoice | None:
    """A choice of a hosted tool has no word in the hub: it stays where it is."""
    is_parallel = fields.take_bool("parallel_tool_calls")
    raw = fields.peek("tool_choice")
    choice = _mode(raw) if isinstance(raw, str) else _named(raw) if isinstance(raw, dict) else None
    if choice is not None:
        fields.take("tool_choice")
    elif is_parallel is None:
        return None
    mode, names, residue = choice or (None, (), None)
    return ToolChoice(mode=mode, names=names, is_parallel=is_parallel, residue=residue)


_Choice: TypeAlias = tuple[Literal["auto", "none", "required", "named"], tuple[str, ...], Residue | None]


def _mode(word: str) -> _Choice | None:
    mode = _MODES.get(word)
    return (mode, (), None) if mode else None


def _named(raw: JsonObject) -> _Choice | None:
    kind, name, tools = raw.get("type"), raw.get("name"), raw.get("tools")
    if kind in _CALLABLE and isinstance(name, str):
        rest: JsonObject = {key: value for key, value in raw.items() if key not in {"type", "name"}}
        return "named", (name,), Residue(wire=NAME, fields=rest, shape={"type": kind})
    mode = _MODES.get(str(raw.get("mode")))
    if kind != "allowed_tools" or mode is None or not isinstance(tools, list):
        return None
    names = [tool.get("name") for tool in tools if isinstance(tool, dict) and tool.get("type") in _CALLABLE]
    known = tuple(name for name in names if isinstance(name, str))
    if not known or len(known) != len(tools) or raw.keys() != {"type", "mode", "tools"}:
        return None
    return mode, known, Residue(wire=NAME, shape={"tools": tools})


def render_choice(request: Request, names: NameMap, profile: Profile, losses: Losses) -> JsonObject:
    choice = request.tool_choice
    if choice is None:
        return {}
    is_own = request.residue is not None and request.residue.wire == NAME
    losses.note_residue(choice.residue, "tool_choice")
    if not request.tools and not is_own:
        if choice.mode in {"required", "named"}:
            losses.note("tool_choice", f"tool choice {choice.mode}", "there are no tools to choose from")
        return {}
    body: JsonObject = {}
    if choice.mode is not None:
        body["tool_choice"] = _render(choice, request, names)
    if choice.is_parallel is not None:
        if "parallel_switch" in profile.extras:
            body["parallel_tool_calls"] = choice.is_parallel
        else:
            losses.note("parallel_tool_calls", "parallel switch", "this model does not take it")
    return body


def _render(choice: ToolChoice, request: Request, names: NameMap) -> JsonValue:
    kinds = {tool.name: "custom" if tool.is_custom else "function" for tool in request.tools if isinstance(tool, Tool)}
    tools: list[JsonValue] = [
        {"type": kinds.get(name, "function"), "name": names.to_upstream(name)} for name in choice.names
    ]
    if choice.mode == "named":
        own = residue_shape(choice.residue, NAME, "type")
        named: JsonObject = {
            "type": own or kinds.get(choice.names[0], "function"),
            "name": names.to_upstream(choice.names[0]),
        }
        return {**named, **residue_fields(choice.residue, NAME)}
    if not choice.names:
        return choice.mode
    own = residue_shape(choice.residue, NAME, "tools")
    return {"type": "allowed_tools", "mode": choice.mode, "tools": own or tools}
