"""Flat items ↔ messages with parts, as the Codex CLI and others write them."""

from __future__ import annotations

import pytest

from proxy.errors import Malformed
from proxy.hub.parts import Opaque, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Request, Tool
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.openai_responses import WIRE
from tests.proxy.wire.openai_responses.told import ABLE


def asked(*items: JsonValue, **more: JsonValue) -> Request:
    """Parsed, after a look that it also comes back."""
    body: JsonObject = {"model": "m", "input": list(items), **more}
    request = WIRE.parse_request(body)
    assert WIRE.render_request(request, ABLE).body == body
    return request


def user(text: str) -> JsonObject:
    return {"role": "user", "content": text}


def shapes(request: Request) -> list[tuple[str, list[str]]]:
    return [(message.role, [type(part).__name__ for part in message.parts]) for message in request.messages]


def test_a_turn_of_the_model_is_one_message() -> None:
    request = asked(
        user("weather?"),
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "blob"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "phase": "commentary",
            "content": [
                {"type": "output_text", "text": "let me", "annotations": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
        {"role": "assistant", "content": "sunny"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "thanks"}]},
    )
    assert shapes(request) == [
        ("user", ["Text"]),
        ("assistant", ["Thinking", "Text", "Refusal", "ToolCall", "ToolCall"]),
        ("tool", ["ToolResult", "ToolResult"]),
        ("assistant", ["Text"]),
        ("user", ["Text"]),
    ]


def test_what_the_developer_says_first_are_instructions() -> None:
    request = asked(
        {"role": "developer", "content": "be short"},
        {"role": "system", "content": [{"type": "input_text", "text": "be"}, {"type": "input_text", "text": "kind"}]},
        user("hi"),
        {"role": "developer", "content": "now be long"},
        instructions="be there",
    )
    texts = [part.text for part in request.instructions if isinstance(part, Text)]
    assert texts == ["be there", "be short", "be", "kind"]
    assert shapes(request) == [("user", ["Text"]), ("system", ["Text"])]


def test_a_developer_with_an_image_speaks_in_mid_conversation() -> None:
    picture: JsonObject = {"type": "input_image", "image_url": "https://x/y.png"}
    request = asked({"role": "developer", "content": [picture]}, {"role": "developer", "content": "look"})
    assert request.instructions == ()
    assert shapes(request) == [("system", ["Media"]), ("system", ["Text"])]


def test_messages_without_content_are_kept() -> None:
    request = asked(
        {"role": "user", "content": []}, {"role": "assistant", "content": ""}, {"role": "user", "content": ""}
    )
    assert shapes(request) == [("user", ["Text"]), ("assistant", ["Text"]), ("user", ["Text"])]


def test_fields_of_items_and_of_parts_are_told_apart() -> None:
    request = asked(
        {
            "role": "user",
            "new": 1,
            "both": 2,
            "content": [{"type": "input_text", "text": "x", "both": 3, "own": 4}, {"type": "input_text", "text": "y"}],
        }
    )
    residue = request.messages[0].parts[0].residue
    assert residue is not None
    assert residue.fields == {"both": 3, "own": 4, "new": 1, "item.both": 2}


def test_hosted_tools_calls_are_kept_whole() -> None:
    search: JsonObject = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    output: JsonObject = {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}}
    request = asked(user("hi"), search, {"role": "assistant", "content": "found"}, output, {"type": "new_kind", "x": 1})
    assert shapes(request) == [
        ("user", ["Text"]),
        ("assistant", ["Opaque", "Text"]),
        ("user", ["Opaque"]),
        ("assistant", ["Opaque"]),
    ]
    part = request.messages[1].parts[0]
    assert isinstance(part, Opaque)
    assert (part.kind, part.value) == ("web_search_call", search)


FUNCTION: JsonObject = {"type": "function", "name": "spawn", "parameters": {"type": "object"}, "strict": False}
ADDITIONAL: JsonObject = {
    "type": "additional_tools",
    "id": "at_1",
    "role": "developer",
    "tools": [
        {"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec"}]},
        {
            "type": "namespace",
            "name": "agents",
            "description": "Helpers.",
            "tools": [FUNCTION, {**FUNCTION, "name": "stop"}],
        },
        {"type": "web_search"},
    ],
}


def test_tools_that_an_item_brings_are_the_requests() -> None:
    """The Codex CLI sends all its tools so."""
    request = asked(
        ADDITIONAL, {"role": "developer", "content": "x"}, user("hi"), {**ADDITIONAL, "id": "at_2"}, tools=[FUNCTION]
    )
    names = [tool.name if isinstance(tool, Tool) else tool.kind for tool in request.tools]
    again = ["exec", "agents__spawn", "agents__stop", "web_search"]
    assert names == ["spawn", *again, *again]
    assert len(request.instructions) == 1


def test_an_item_that_brings_no_tools_keeps_its_place() -> None:
    request = asked(user("hi"), {"type": "additional_tools", "role": "developer", "tools": []})
    assert shapes(request) == [("user", ["Text"]), ("system", ["Opaque"])]


def test_a_call_in_a_namespace_has_its_tools_name() -> None:
    call: JsonObject = {
        "type": "function_call",
        "call_id": "c",
        "name": "spawn",
        "namespace": "agents",
        "arguments": "{}",
    }
    request = asked(ADDITIONAL, user("hi"), call)
    part = request.messages[1].parts[0]
    assert isinstance(part, ToolCall)
    assert part.name == "agents__spawn"


def test_a_client_that_looks_for_tools_itself() -> None:
    """What it finds counts as the request's; the model reads the names."""
    found: JsonObject = {"type": "function", "name": "rate", "parameters": {"type": "object"}, "defer_loading": True}
    request = asked(
        user("USD?"),
        {
            "type": "tool_search_call",
            "call_id": "s",
            "execution": "client",
            "arguments": {"query": "money"},
            "id": "tsc_1",
        },
        {"type": "tool_search_output", "call_id": "s", "execution": "client", "status": "completed", "tools": [found]},
        {"type": "function_call", "call_id": "c", "name": "rate", "namespace": "rate", "arguments": "{}"},
        tools=[{"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}],
    )
    call, result = request.messages[1].parts[0], request.messages[2].parts[0]
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("tool_search", '{"query":"money"}')
    assert isinstance(result, ToolResult)
    assert [part.text for part in result.parts if isinstance(part, Text)] == ['{"tools":["rate"]}']
    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == ["tool_search", "rate"]


def test_the_codex_clis_requests_say_what_they_ask(captured: list[tuple[str, JsonObject]]) -> None:
    """None of its ways of writing ends up opaque, but those that speak to OpenAI's servers."""
    opaque: set[str] = set()
    tools: set[str] = set()
    for _, body in captured:
        request = WIRE.parse_request(body)
        parts = [part for message in request.messages for part in message.parts]
        opaque |= {part.kind for part in parts if isinstance(part, Opaque)}
        tools |= {tool.kind for tool in request.tools if isinstance(tool, Opaque)}
        assert any(isinstance(tool, Tool) for tool in request.tools) or request.state or "tools" not in body
    assert opaque <= {"compaction_trigger", "configuration_update"}
    assert tools == {"web_search"}


def test_bug_31_results_and_calls_are_runs() -> None:
    request = asked(
        user("go"),
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": ""},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "b", "output": ""},
    )
    assert [role for role, _ in shapes(request)] == ["user", "assistant", "tool", "assistant", "tool"]


def test_bug_45_a_call_without_an_id_gets_one() -> None:
    """A hosted search has none, and stays what it is."""
    request = asked(
        {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": {}, "status": "completed"},
        {"type": "function_call", "call_id": None, "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "", "name": "f", "arguments": "{}"},
        {"type": "function_call", "name": "f", "arguments": "{}"},
    )
    search, *calls = request.messages[0].parts
    assert isinstance(search, Opaque)
    ids = [part.id for part in calls if isinstance(part, ToolCall)]
    assert len(set(ids)) == 3
    assert all(ids)


def test_bug_49_a_result_without_output_is_empty() -> None:
    request = asked(
        {"type": "function_call_output", "call_id": "a"}, {"type": "function_call_output", "call_id": "b", "output": ""}
    )
    assert [part.parts for part in request.messages[0].parts if isinstance(part, ToolResult)] == [(), ()]


def test_a_result_that_is_no_text_is_refused() -> None:
    with pytest.raises(Malformed, match="output"):
        asked({"type": "function_call_output", "call_id": "a", "output": {"x": 1}})


def test_interleaved_thoughts_keep_their_order() -> None:
    """Bugs 5 and 19: one item is one part, and it stays where it is."""
    thought: JsonObject = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
    }
    call: JsonObject = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    request = asked(thought, call, {**thought, "encrypted_content": "e"}, {**call, "call_id": "d"})
    parts = request.messages[0].parts
    assert [type(part).__name__ for part in parts] == ["Thinking", "ToolCall", "Thinking", "ToolCall"]
    assert [part.sections for part in parts if isinstance(part, Thinking)] == [("a", "b"), ("a", "b")]
