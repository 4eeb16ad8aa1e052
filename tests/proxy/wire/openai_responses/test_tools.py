from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import Untranslatable
from proxy.hub.custom import SCHEMA
from proxy.hub.parts import CacheMark, Opaque
from proxy.hub.profile import Profile
from proxy.hub.request import Request, Tool
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import RenderedRequest
from proxy.wire.openai_responses import WIRE
from tests.proxy.wire.openai_responses.told import ABLE, inner


def parsed(*tools: JsonValue) -> list[Tool | Opaque]:
    """The tools of a request, after a look that they also come back."""
    body: JsonObject = {"model": "m", "input": "x", "tools": list(tools)}
    request = WIRE.parse_request(body)
    assert WIRE.render_request(request, ABLE).body == body
    return list(request.tools)


def rendered(*tools: Tool | Opaque, profile: Profile = ABLE) -> RenderedRequest:
    return WIRE.render_request(Request(model="m", tools=tools), profile)


def test_functions() -> None:
    schema: JsonObject = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    tools = parsed(
        {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": True},
        {"type": "function", "name": "g", "parameters": None, "strict": None, "defer_loading": True},
        {"type": "function", "name": "h"},
    )
    assert all(isinstance(tool, Tool) for tool in tools)
    first = tools[0]
    assert isinstance(first, Tool)
    assert (first.name, first.description, first.schema, first.is_strict) == ("f", "d", schema, True)


def test_hosted_tools_are_kept_whole() -> None:
    tools = parsed({"type": "web_search", "filters": {}}, {"type": "mcp", "server_label": "s"}, {"type": "tool_search"})
    assert [tool.kind for tool in tools if isinstance(tool, Opaque)] == ["web_search", "mcp", "tool_search"]


def test_bug_43_custom_tools_and_namespaces() -> None:
    grammar: JsonObject = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    plain: JsonObject = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    tools = parsed(
        {"type": "custom", "name": "patch", "description": "d", "format": grammar},
        {"type": "namespace", "name": "n", "description": "N.", "tools": [plain, {"type": "custom", "name": "c"}]},
        {"type": "namespace", "name": "n", "description": "", "tools": [plain]},
        {"type": "namespace", "name": "functions", "tools": [{**plain, "name": "bare"}], "new": 1},
        {"type": "namespace", "name": "odd", "tools": [{"type": "web_search"}]},
        {"type": "namespace", "name": "empty", "tools": []},
        plain,
    )
    names = [(tool.name, tool.is_custom) for tool in tools if isinstance(tool, Tool)]
    assert names == [("patch", True), ("n__f", False), ("n__c", True), ("n__f", False), ("bare", False), ("f", False)]
    assert [tool.kind for tool in tools if isinstance(tool, Opaque)] == ["namespace", "namespace"]


def test_what_a_namespace_says_of_itself_is_told_once() -> None:
    plain: JsonObject = {"type": "function", "name": "f"}
    tools = parsed({"type": "namespace", "name": "n", "description": "N.", "tools": [plain, {**plain, "name": "g"}]})
    told = [tool.residue.fields for tool in tools if tool.residue is not None]
    assert told == [{"namespace": {"description": "N."}}, {}]


def test_bug_44_a_tool_of_another_wire_is_flat() -> None:
    """`strict` left out would mean true here."""
    body = rendered(Tool(name="f", description="d", schema={"type": "object"})).body
    assert body["tools"] == [
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}
    ]
    assert inner(rendered(Tool(name="f", is_strict=True)).body, "tools", 0, "strict") is True


def test_strict_where_the_model_has_it_not() -> None:
    told = rendered(Tool(name="f", is_strict=True), profile=replace(ABLE, has_strict_schema=False))
    assert inner(told.body, "tools", 0, "strict") is False
    assert [loss.path for loss in told.losses] == ["tools[0].strict"]


def test_a_custom_tool_where_the_model_has_none() -> None:
    told = rendered(Tool(name="patch", is_custom=True), profile=replace(ABLE, has_custom_tools=False))
    assert inner(told.body, "tools", 0, "parameters") == SCHEMA
    assert [loss.path for loss in told.losses] == ["tools[0]"]


def test_a_cache_mark_on_a_tool_is_told() -> None:
    assert [loss.what for loss in rendered(Tool(name="f", cache=CacheMark())).losses] == ["cache mark"]


@pytest.mark.parametrize(
    ("kind", "wire", "expected"),
    [
        ("web_search_20250305", "anthropic", {"type": "web_search"}),
        ("googleSearch", "gemini", {"type": "web_search"}),
        ("code_execution_20250825", "anthropic", {"type": "code_interpreter", "container": {"type": "auto"}}),
    ],
)
def test_hosted_tools_with_an_equal_here(kind: str, wire: str, expected: JsonObject) -> None:
    told = rendered(Opaque(wire=wire, kind=kind, value={"type": kind, "name": "x"}))
    assert told.body["tools"] == [expected]
    assert told.losses == ()


def test_settings_of_a_search_that_both_have() -> None:
    value: JsonObject = {
        "type": "web_search_20250305",
        "allowed_domains": ["x.org"],
        "user_location": {"city": "B"},
        "max_uses": 3,
    }
    told = rendered(Opaque(wire="anthropic", kind="web_search_20250305", value=value))
    assert told.body["tools"] == [
        {"type": "web_search", "filters": {"allowed_domains": ["x.org"]}, "user_location": {"city": "B"}}
    ]
    assert [loss.path for loss in told.losses] == ["tools[0].max_uses"]


@pytest.mark.parametrize("kind", ["web_fetch_20250910", "memory_20250818", "web_search_20250305"])
def test_a_hosted_tool_without_an_equal_is_refused_by_name(kind: str) -> None:
    profile = replace(ABLE, hosted_tools=frozenset({"url_fetch"}))
    with pytest.raises(Untranslatable, match=kind) as refused:
        rendered(Opaque(wire="anthropic", kind=kind, value={}), profile=profile)
    assert refused.value.path == "tools[0]"
