from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.hub.request import Request, Tool, ToolChoice
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.openai_responses import WIRE
from tests.proxy.wire.openai_responses.told import ABLE

FUNCTION: JsonObject = {"type": "function", "name": "f"}


@pytest.mark.parametrize(
    ("raw", "mode", "names"),
    [
        ("auto", "auto", ()),
        ("none", "none", ()),
        ("required", "required", ()),
        (FUNCTION, "named", ("f",)),
        ({"type": "custom", "name": "p"}, "named", ("p",)),
        ({"type": "allowed_tools", "mode": "required", "tools": [FUNCTION]}, "required", ("f",)),
        ({"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION, {"type": "mcp"}]}, None, ()),
        ({"type": "web_search"}, None, ()),
        ("whatever", None, ()),
    ],
)
def test_choices(raw: JsonValue, mode: str | None, names: tuple[str, ...]) -> None:
    body: JsonObject = {"model": "m", "input": "x", "tools": [FUNCTION], "tool_choice": raw}
    request = WIRE.parse_request(body)
    assert WIRE.render_request(request, ABLE).body == body
    choice = request.tool_choice
    assert (choice.mode if choice else None, choice.names if choice else ()) == (mode, names)


TOOLS = (Tool(name="f"), Tool(name="p", is_custom=True))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(mode="none"), {"tool_choice": "none"}),
        (ToolChoice(mode="named", names=("p",)), {"tool_choice": {"type": "custom", "name": "p"}}),
        (
            ToolChoice(mode="auto", names=("f", "p")),
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "p"}],
                }
            },
        ),
        (ToolChoice(is_parallel=False), {"parallel_tool_calls": False}),
    ],
)
def test_choices_of_another_wire(choice: ToolChoice, expected: JsonObject) -> None:
    body = WIRE.render_request(Request(model="m", tools=TOOLS, tool_choice=choice), ABLE).body
    assert {key: body[key] for key in ("tool_choice", "parallel_tool_calls") if key in body} == expected


def test_bug_38_the_parallel_switch_is_told_where_it_is_lost() -> None:
    request = Request(model="m", tools=TOOLS, tool_choice=ToolChoice(is_parallel=False))
    rendered = WIRE.render_request(request, replace(ABLE, extras=frozenset()))
    assert "parallel_tool_calls" not in rendered.body
    assert [loss.path for loss in rendered.losses] == ["parallel_tool_calls"]


def test_bug_39_no_choice_without_tools() -> None:
    request = Request(model="m", tool_choice=ToolChoice(mode="required", is_parallel=False))
    assert WIRE.render_request(request, ABLE).body.keys() & {"tool_choice", "parallel_tool_calls"} == set()
