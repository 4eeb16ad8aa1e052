from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import Untranslatable
from proxy.hub.custom import SCHEMA
from proxy.hub.parts import CacheMark, Opaque, Text
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Request, Tool, ToolChoice
from proxy.hub.residue import Residue
from proxy.wire.base import RenderedRequest
from proxy.wire.openai_chat import WIRE

PLAIN = Profile(maker="openai_chat", extras=frozenset({"parallel_switch"}))
LOOK = Tool(name="look", description="Looks.", schema={"type": "object"})


def rendered(*tools: Tool | Opaque, choice: ToolChoice | None = None, profile: Profile = PLAIN) -> RenderedRequest:
    messages = (Message(role="user", parts=(Text(text="go"),)),)
    return WIRE.render_request(Request(model="m", messages=messages, tools=tools, tool_choice=choice), profile)


def paths(answer: RenderedRequest) -> list[str]:
    return [loss.path for loss in answer.losses]


def parsed(**body: Any) -> Request:
    return WIRE.parse_request({"model": "m", "messages": [{"role": "user", "content": "x"}], **body})


def test_bug_44_a_tool_has_this_wires_shape() -> None:
    answer = rendered(LOOK, Tool(name="none"), Tool(name="shell", is_custom=True))
    assert answer.body["tools"] == [
        {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}},
        {"type": "function", "function": {"name": "none"}},
        {"type": "custom", "custom": {"name": "shell"}},
    ]


def test_tools_that_clients_write_flat_are_understood() -> None:
    """As Responses has them: several clients send them here, too."""
    tools = parsed(tools=[{"type": "function", "name": "look", "parameters": {"type": "object"}}]).tools
    assert isinstance(tools[0], Tool)
    assert (tools[0].name, tools[0].schema) == ("look", {"type": "object"})


def test_strict_is_not_added_and_lost_where_it_is_unknown() -> None:
    assert "strict" not in str(rendered(LOOK).body)
    strict = replace(LOOK, is_strict=True)
    assert "'strict': True" in str(rendered(strict).body)
    lost = rendered(strict, profile=replace(PLAIN, has_strict_schema=False))
    assert "strict" not in str(lost.body)
    assert paths(lost) == ["tools[0].strict"]


def test_a_custom_tool_is_wrapped_where_the_upstream_has_none() -> None:
    answer = rendered(Tool(name="shell", is_custom=True), profile=replace(PLAIN, has_custom_tools=False))
    assert answer.body["tools"] == [{"type": "function", "function": {"name": "shell", "parameters": SCHEMA}}]


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice(mode="auto"), "auto"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="named", names=("look",)), {"type": "function", "function": {"name": "look"}}),
        (ToolChoice(mode="named", names=("shell",)), {"type": "custom", "custom": {"name": "shell"}}),
        (
            ToolChoice(mode="required", names=("look",)),
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "look"}}]},
            },
        ),
        (ToolChoice(is_parallel=True), None),
    ],
)
def test_choices(choice: ToolChoice, written: object) -> None:
    answer = rendered(LOOK, Tool(name="shell", is_custom=True), choice=choice)
    assert answer.body.get("tool_choice") == written
    back = parsed(tools=answer.body["tools"], **({"tool_choice": written} if written else {}))
    assert back.tool_choice is None or (back.tool_choice.mode, back.tool_choice.names) == (choice.mode, choice.names)


def test_mistrals_any_is_required_and_comes_back_as_any(able: Profile) -> None:
    request = parsed(tools=[{"type": "function", "function": {"name": "look"}}], tool_choice="any")
    assert request.tool_choice is not None
    assert request.tool_choice.mode == "required"
    assert WIRE.render_request(request, able).body["tool_choice"] == "any"


def test_bug_38_the_parallel_switch_reaches_the_upstream() -> None:
    off = ToolChoice(is_parallel=False)
    assert rendered(LOOK, choice=off).body["parallel_tool_calls"] is False
    assert paths(rendered(LOOK, choice=off, profile=Profile(maker="m"))) == ["parallel_tool_calls"]


def test_bug_39_no_choice_among_no_tools() -> None:
    answer = rendered(choice=ToolChoice(mode="auto", is_parallel=False))
    assert answer.body.keys() == {"model", "messages"}
    assert paths(rendered(choice=ToolChoice(mode="required"))) == ["tool_choice"]


def test_a_hosted_search_is_mapped_by_intent() -> None:
    place = {"type": "approximate", "city": "Bern"}
    search = Opaque(
        wire="anthropic",
        kind="web_search_20250305",
        value={"type": "web_search_20250305", "name": "web_search", "user_location": place, "max_uses": 2},
    )
    answer = rendered(search, profile=replace(PLAIN, hosted_tools=frozenset({"web_search"})))
    assert answer.body["web_search_options"] == {
        "user_location": {"type": "approximate", "approximate": {"city": "Bern"}}
    }
    assert paths(answer) == ["tools[0].max_uses"]


@pytest.mark.parametrize("kind", ["web_search_20250305", "computer_20250124"])
def test_a_hosted_tool_without_an_equal_is_refused_by_name(kind: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        rendered(LOOK, Opaque(wire="anthropic", kind=kind, value={"type": kind}))
    assert caught.value.path == "tools[1]"
    assert kind in caught.value.message


def test_bug_42_what_only_another_wire_knows_of_a_tool_is_a_loss() -> None:
    deferred = replace(LOOK, residue=Residue(wire="anthropic", fields={"defer_loading": True}), cache=CacheMark())
    answer = rendered(deferred)
    assert "defer_loading" not in str(answer.body)
    assert paths(answer) == ["tools[0].defer_loading", "tools[0].cache_control"]


def test_a_choice_of_a_hosted_tool_comes_back_at_home(able: Profile) -> None:
    body = {"tools": [{"type": "openrouter:web_search"}], "tool_choice": {"type": "openrouter:web_search"}}
    assert WIRE.render_request(parsed(**body), able).body["tool_choice"] == body["tool_choice"]
