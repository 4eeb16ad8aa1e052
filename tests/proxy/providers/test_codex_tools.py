from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.residue import JsonObject
from proxy.providers.codex_tools import cut_tools


def tool(name: str, **more: Any) -> JsonObject:
    return {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False, **more}


def cut(tools: list[JsonObject], **body: Any) -> tuple[list[str], list[tuple[str, str]], NameMap]:
    """The names of those that are offered, and the path and the thing of each loss."""
    told: JsonObject = {"tools": [*tools], **body}
    losses: list[Loss] = []
    names = cut_tools(told, losses)
    offered: Any = told.get("tools", [])
    return [each.get("name", each["type"]) for each in offered], [(loss.path, loss.what) for loss in losses], names


def test_the_caller_s_functions_are_offered_as_they_are() -> None:
    told: JsonObject = {"tools": [tool("weather", description="Tells it."), tool("tides")]}
    losses: list[Loss] = []
    assert cut_tools(told, losses) == NameMap()
    assert told["tools"] == [tool("weather", description="Tells it."), tool("tides")]
    assert losses == []


def test_names_that_it_keeps_for_itself() -> None:
    history = [{"type": "function_call", "name": "mcp__sea__depth", "call_id": "c", "arguments": "{}"}]
    names = ["mcp__harbour__tides", "exec_command", "shell_command", "mcp", "mcp_harbour__tides", "mcp_free", "shell"]
    offered, losses, changed = cut([tool(name) for name in names], input=history)
    assert offered == [
        "mcp_harbour__tides_", "exec_command_", "shell_command_", "mcp_", "mcp_harbour__tides", "mcp_free", "shell",
    ]  # fmt: skip
    assert changed.to_upstream("mcp__sea__depth") == "mcp_sea__depth"
    assert changed.to_client("mcp_harbour__tides_") == "mcp__harbour__tides"
    assert losses == []


@pytest.mark.parametrize(
    ("choice", "offered", "losses"),
    [
        (None, ["a", "b"], []),
        ("auto", ["a", "b"], []),
        ("none", [], []),
        ("required", ["a", "b"], [("tool_choice", "required")]),
        ({"type": "function", "name": "b"}, ["b"], [("tool_choice", "b")]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a"}]}, ["a"], []),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}]},
            ["a"],
            [("tool_choice.mode", "required")],
        ),
    ],
)
def test_a_choice_decides_what_is_offered(choice: Any, offered: list[str], losses: list[tuple[str, str]]) -> None:
    told = cut([tool("a"), tool("b")], tool_choice=choice)
    assert told[:2] == (offered, losses)


def test_strictness_and_keywords_that_do_not_arrive_are_named() -> None:
    schema = {
        "$schema": "x",
        "title": "Place",
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "pattern": "^a", "title": "t"},
            "many": {"type": "array", "items": {"type": "string", "format": "date"}, "minItems": 1},
            "one": {"anyOf": [{"type": "integer", "maximum": 3}, {"$ref": "#/$defs/x"}]},
        },
        "$defs": {"x": {"type": "string", "enum": ["pattern"], "default": "y"}},
    }
    _, losses, _ = cut([tool("weather", parameters=schema, strict=True)])
    assert losses == [
        ("tools[0].strict", "strict"),
        ("tools[0].parameters", "default, format, maximum, pattern"),
    ]


def test_a_search_of_the_web() -> None:
    search: JsonObject = {"type": "web_search_preview", "search_context_size": "high", "user_location": None}
    offered, losses, _ = cut([search])
    assert (offered, losses) == (["web_search"], [("tools[0].search_context_size", "search_context_size")])


@pytest.mark.parametrize("kind", ["custom", "code_interpreter", "mcp", "file_search", "namespace"])
def test_what_it_cannot_offer_is_refused(kind: str) -> None:
    with pytest.raises(Untranslatable, match=kind) as refused:
        cut([tool("a"), {"type": kind, "name": "x"}])
    assert refused.value.path == "tools[1].type"
