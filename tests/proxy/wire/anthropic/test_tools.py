from __future__ import annotations

import pytest

from proxy.errors import Untranslatable
from proxy.hub.custom import SCHEMA
from proxy.hub.parts import CacheMark, Opaque, Text, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Request, Tool, ToolChoice
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Response
from proxy.wire.anthropic import WIRE
from proxy.wire.base import RenderedRequest

PLAIN = Profile(maker="anthropic")
HOSTING = Profile(maker="anthropic", hosted_tools=frozenset({"web_search", "code_execution", "url_fetch"}))
USER = Message(role="user", parts=(Text(text="Hi"),))


def rendered(
    *tools: Tool | Opaque,
    choice: ToolChoice | None = None,
    profile: Profile = PLAIN,
    messages: tuple[Message, ...] = (),
) -> RenderedRequest:
    return WIRE.render_request(
        Request(model="m", messages=messages or (USER,), tools=tools, tool_choice=choice), profile
    )


def choice_of(choice: ToolChoice | None, *tools: Tool | Opaque) -> JsonValue:
    return rendered(*(tools or (Tool(name="f"),)), choice=choice).body.get("tool_choice")


def test_definitions_keep_their_order_and_shape() -> None:
    tools = tuple(Tool(name=name, description=name.upper()) for name in ("z", "a", "m"))
    schema: JsonObject = {"type": "object", "properties": {}}
    assert rendered(*tools).body["tools"] == [
        {"name": name, "description": name.upper(), "input_schema": schema} for name in ("z", "a", "m")
    ]


def test_strict_is_never_added() -> None:
    for is_strict in (True, False, None):
        (tool,) = tools_of(rendered(Tool(name="f", is_strict=is_strict)))
        assert tool.get("strict") is is_strict
    lax = Profile(maker="anthropic", has_strict_schema=False)
    out = rendered(Tool(name="f", is_strict=True), profile=lax)
    assert "strict" not in tools_of(out)[0]
    assert [loss.path for loss in out.losses] == ["tools[0].strict"]
    assert rendered(Tool(name="f", is_strict=False), profile=lax).losses == ()


def tools_of(out: RenderedRequest) -> list[JsonObject]:
    tools = out.body["tools"]
    assert isinstance(tools, list)
    return [tool for tool in tools if isinstance(tool, dict)]


def test_bug_42_other_wires_fields_are_stripped_and_told() -> None:
    out = rendered(Tool(name="f", residue=Residue(wire="openai_responses", fields={"defer_loading": True})))
    assert tools_of(out)[0].keys() == {"name", "input_schema"}
    assert [loss.path for loss in out.losses] == ["tools[0].defer_loading"]


def test_bug_43_a_custom_tool_takes_its_text_in_an_object() -> None:
    call = ToolCall(id="1", name="patch", arguments="*** Begin", is_custom=True)
    history = (
        USER,
        Message(role="assistant", parts=(call,)),
        Message(role="tool", parts=(ToolResult(call_id="1", parts=(Text(text="ok"),)),)),
    )
    out = rendered(Tool(name="patch", is_custom=True), messages=history)
    assert tools_of(out) == [{"name": "patch", "input_schema": SCHEMA}]
    messages = out.body["messages"]
    assert isinstance(messages, list)
    assert messages[1] == {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "1", "name": "patch", "input": {"input": "*** Begin"}}],
    }


def test_bug_41_illegal_names_are_mapped_everywhere_and_back() -> None:
    name = "mcp/server.get weather"
    history = (
        USER,
        Message(role="assistant", parts=(ToolCall(id="1", name=name), ToolCall(id="2", name="gone!"))),
    )
    out = rendered(Tool(name=name), choice=ToolChoice(mode="named", names=(name,)), messages=history)
    sent = str(tools_of(out)[0]["name"])
    assert sent != name
    assert out.body["tool_choice"] == {"type": "tool", "name": sent}
    messages = out.body["messages"]
    assert isinstance(messages, list)
    assert isinstance(messages[1], dict)
    content = messages[1]["content"]
    assert isinstance(content, list)
    assert [block["name"] for block in content if isinstance(block, dict)] == [sent, out.names.to_upstream("gone!")]
    answer = Response(id="1", model="m", parts=(ToolCall(id="3", name=sent),))
    assert out.names.restore_response(answer).parts == (ToolCall(id="3", name=name),)


@pytest.mark.parametrize(
    ("choice", "block"),
    [
        (None, None),
        (ToolChoice(mode="auto"), {"type": "auto"}),
        (ToolChoice(mode="none"), {"type": "none"}),
        (ToolChoice(mode="none", is_parallel=False), {"type": "none"}),
        (ToolChoice(mode="required"), {"type": "any"}),
        (ToolChoice(mode="named", names=("f",)), {"type": "tool", "name": "f"}),
        (ToolChoice(is_parallel=True), None),
    ],
)
def test_choices(choice: ToolChoice | None, block: JsonValue) -> None:
    assert choice_of(choice) == block


def test_bug_38_the_parallel_switch_has_a_choice_to_stand_in() -> None:
    assert choice_of(ToolChoice(is_parallel=False)) == {"type": "auto", "disable_parallel_tool_use": True}
    assert choice_of(ToolChoice(mode="required", is_parallel=False)) == {
        "type": "any",
        "disable_parallel_tool_use": True,
    }
    assert rendered(choice=ToolChoice(is_parallel=False)).body.keys() == {"model", "max_tokens", "messages"}


def test_bug_39_no_choice_without_tools() -> None:
    out = rendered(choice=ToolChoice(mode="required"))
    assert "tool_choice" not in out.body
    assert [loss.path for loss in out.losses] == ["tool_choice"]
    assert rendered(choice=ToolChoice(mode="auto")).losses == ()
    assert rendered(choice=ToolChoice(mode="none")).losses == ()


def test_allowed_tools_are_the_only_ones() -> None:
    tools = (Tool(name="a"), Tool(name="b"), Tool(name="c"))
    out = rendered(*tools, choice=ToolChoice(mode="required", names=("c", "a")))
    assert [tool["name"] for tool in tools_of(out)] == ["a", "c"]
    assert out.body["tool_choice"] == {"type": "any"}


def test_the_cache_mark_of_a_tool_that_is_not_allowed_is_a_loss() -> None:
    choice = ToolChoice(mode="auto", names=("a",))
    out = rendered(Tool(name="a"), Tool(name="b", cache=CacheMark()), choice=choice)
    assert [loss.path for loss in out.losses] == ["tools[1].cache_control"]


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        (
            Opaque(wire="openai_responses", kind="web_search_preview", value={"type": "web_search_preview"}),
            {"type": "web_search_20250305", "name": "web_search"},
        ),
        (
            Opaque(
                wire="openai_responses",
                kind="web_search",
                value={
                    "type": "web_search",
                    "filters": {"allowed_domains": ["example.com"]},
                    "user_location": {"type": "approximate", "city": "Oslo", "region": None},
                },
            ),
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "allowed_domains": ["example.com"],
                "user_location": {"type": "approximate", "city": "Oslo"},
            },
        ),
        (
            Opaque(
                wire="openai_chat",
                kind="web_search_options",
                value={"user_location": {"type": "approximate", "approximate": {"country": "NO"}}},
            ),
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "user_location": {"type": "approximate", "country": "NO"},
            },
        ),
        (
            Opaque(wire="gemini", kind="googleSearch", value={"googleSearch": {}}),
            {"type": "web_search_20250305", "name": "web_search"},
        ),
        (
            Opaque(wire="gemini", kind="codeExecution", value={"codeExecution": {}}),
            {"type": "code_execution_20250825", "name": "code_execution"},
        ),
        (
            Opaque(wire="gemini", kind="urlContext", value={"urlContext": {}}),
            {"type": "web_fetch_20250910", "name": "web_fetch"},
        ),
    ],
)
def test_hosted_tools_with_an_equal_here(tool: Opaque, sent: JsonObject) -> None:
    out = rendered(tool, profile=HOSTING)
    assert out.body["tools"] == [sent]
    assert out.losses == ()


def test_options_that_have_none_are_told() -> None:
    value: JsonObject = {"type": "web_search", "search_context_size": "high", "external_web_access": True}
    out = rendered(Opaque(wire="openai_responses", kind="web_search", value=value), profile=HOSTING)
    assert [loss.path for loss in out.losses] == ["tools[0].external_web_access", "tools[0].search_context_size"]


@pytest.mark.parametrize("kind", ["file_search", "mcp", "image_generation", "web_search"])
def test_hosted_tools_without_an_equal_are_refused_by_name(kind: str) -> None:
    with pytest.raises(Untranslatable, match=rf"tools\[1\]: .*'{kind}'") as caught:
        rendered(Tool(name="f"), Opaque(wire="openai_responses", kind=kind, value={"type": kind}))
    assert caught.value.path == "tools[1]"


def test_its_own_hosted_tools_need_no_profile() -> None:
    own: JsonObject = {"type": "bash_20250124", "name": "bash"}
    assert rendered(Opaque(wire="anthropic", kind="bash_20250124", value=own)).body["tools"] == [own]
