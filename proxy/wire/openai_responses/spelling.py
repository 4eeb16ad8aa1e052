"""How a tool's name is written here: by itself, or within a namespace.

The hub knows one flat list of tools. A tool within a namespace is called ``namespace__tool`` there; ``functions`` is
the namespace of tools that need none, and a tool that was loaded late stands in a namespace of its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from proxy.hub.request import Request, Tool
from proxy.hub.residue import JsonValue
from proxy.wire.fields import residue_shape
from proxy.wire.openai_responses.losses import NAME

DEFAULT_NAMESPACE = "functions"


def hub_name(namespace: str | None, name: str) -> str:
    if namespace is None or namespace in {DEFAULT_NAMESPACE, name}:
        return name
    return f"{namespace}__{name}"


class Spelling(NamedTuple):
    """`kind`: the type of item that calls the tool."""

    kind: str
    name: str
    namespace: str | None = None


def spellings(request: Request | None) -> Mapping[str, Spelling]:
    """By the hub's names. What is missing is a plain function."""
    tools = request.tools if request is not None else ()
    return {tool.name: _spelling(tool) for tool in tools if isinstance(tool, Tool)}


def _spelling(tool: Tool) -> Spelling:
    if residue_shape(tool.residue, NAME, "type") == "tool_search":
        return Spelling("tool_search_call", tool.name)
    kind = "custom_tool_call" if tool.is_custom else "function_call"
    name, namespace = _text(tool, "name"), _text(tool, "namespace")
    return Spelling(kind, name or tool.name, namespace if name else None)


def _text(tool: Tool, key: str) -> str | None:
    value: JsonValue = residue_shape(tool.residue, NAME, key)
    return value if isinstance(value, str) else None
