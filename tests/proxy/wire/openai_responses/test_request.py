from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import TypeAdapter

from proxy.errors import Broken, Malformed, Untranslatable
from proxy.hub.parts import Opaque, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Hints, Message, OutputFormat, Reasoning, Request, Sampling, Tool, ToolChoice
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.openai_responses import WIRE
from tests.proxy.wire.openai_responses.damage import REQUEST, damaged
from tests.proxy.wire.openai_responses.told import ABLE, inner

ASK: JsonObject = {"model": "m", "input": "hello"}
FOREIGN = Request(model="m", messages=(Message(role="user", parts=(Text(text="hello"),)),))


def home_again(body: JsonObject) -> JsonObject:
    rendered = WIRE.render_request(WIRE.parse_request(body), ABLE)
    assert rendered.losses == ()
    return rendered.body


def bodies(exchanges: list[tuple[str, JsonObject]]) -> list[tuple[str, JsonObject]]:
    pairs = [(name, inner(exchange, "request", "body")) for name, exchange in exchanges]
    return [(name, body) for name, body in pairs if isinstance(body, dict)]


def test_l2_every_recorded_request_comes_back_as_it_was(recorded: list[tuple[str, JsonObject]]) -> None:
    assert [name for name, body in bodies(recorded) if home_again(body) != body] == []


def test_l2_every_request_of_the_clients_comes_back_as_it_was(captured: list[tuple[str, JsonObject]]) -> None:
    assert [name for name, body in captured if home_again(body) != body] == []


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"stream": False},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"instructions": None, "temperature": None, "tools": [], "metadata": {}, "reasoning": {}, "text": {}},
        {"instructions": "be short", "input": []},
        {"reasoning": {"effort": "ultra", "summary": "concise", "mode": "pro"}},
        {"reasoning": {"effort": "extreme"}},
        {"text": {"format": {"type": "grammar", "x": 1}, "verbosity": "low", "new": True}},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": None}}},
        {"top_logprobs": 0, "include": ["message.output_text.logprobs"]},
        {"top_logprobs": 3, "include": ["message.output_text.logprobs", "web_search_call.results"]},
        {
            "metadata": {"a": "b"},
            "user": "u",
            "safety_identifier": "s",
            "prompt_cache_key": "k",
            "service_tier": "flex",
        },
        {"type": "response.create", "generate": False, "stream_id": "lane"},
        {"previous_response_id": "resp_1", "conversation": {"id": "conv_1"}, "background": True, "store": True},
        {"tool_choice": "auto", "parallel_tool_calls": False},
        {"tool_choice": {"type": "mcp", "server_label": "s"}, "parallel_tool_calls": True},
        {"max_output_tokens": 1, "temperature": 0, "top_p": 1},
    ],
)
def test_l2_every_way_of_writing_is_kept(more: JsonObject) -> None:
    assert home_again({**ASK, **more}) == {**ASK, **more}


@given(damaged(REQUEST))
@settings(max_examples=300, deadline=None)
def test_l2_a_damaged_request_comes_back_as_it_was_or_is_refused_with_its_path(body: JsonObject) -> None:
    try:
        request = WIRE.parse_request(body)
    except Malformed as fault:
        path, back = fault.path, body
    else:
        path, back = "none", WIRE.render_request(request, ABLE).body
    assert (bool(path), back) == (True, body)


def test_a_request_without_input_goes_on_from_what_the_server_keeps() -> None:
    body: JsonObject = {"model": "m", "prompt": {"id": "pmpt_1"}}
    assert home_again(body) == body
    assert WIRE.parse_request(body).messages == ()


def test_it_says_what_it_asks() -> None:
    request = WIRE.parse_request(
        {
            "model": "m",
            "instructions": "be short",
            "input": "hello",
            "reasoning": {"effort": "high", "summary": "auto"},
            "text": {"format": {"type": "json_object"}, "verbosity": "low"},
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "max_output_tokens": 100,
            "temperature": 0.5,
            "top_logprobs": 2,
            "user": "u",
            "metadata": {"a": "b"},
            "prompt_cache_key": "k",
            "service_tier": "priority",
            "stream": True,
        }
    )
    assert [part.text for part in request.instructions if isinstance(part, Text)] == ["be short"]
    assert request.reasoning is not None
    assert (request.reasoning.effort, request.reasoning.is_visible) == ("high", True)
    assert request.output is not None
    assert request.output.kind == "json"
    assert request.tool_choice == ToolChoice(mode="required", is_parallel=False)
    assert request.sampling == Sampling(max_output_tokens=100, temperature=0.5, logprobs=2)
    assert request.hints == Hints(
        user="u", metadata={"a": "b"}, cache_key="k", service_tier="priority", verbosity="low"
    )
    assert request.is_stream


def test_a_websocket_frame_is_a_stream_unless_it_says_otherwise() -> None:
    assert WIRE.parse_request({**ASK, "type": "response.create"}).is_stream
    assert not WIRE.parse_request({**ASK, "type": "response.create", "stream": False}).is_stream
    assert "stream" not in home_again({**ASK, "type": "response.create"})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"input": "x"}, "model"),
        ({"model": "m", "input": 5}, "input"),
        ({"model": "m", "input": ["x"]}, "input[0]"),
        ({"model": "m", "input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"model": "m", "input": [{"role": "user", "content": 1}]}, "input[0].content"),
        ({"model": "m", "input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"model": "m", "input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"model": "m", "input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"model": "m", "input": "x", "tools": [{"name": "f"}]}, "tools[0].type"),
        ({"model": "m", "input": "x", "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name"),
        ({"model": "m", "input": "x", "reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"model": "m", "input": "x", "stream": "yes"}, "stream"),
    ],
)
def test_a_fault_is_refused_with_its_path(body: JsonObject, path: str) -> None:
    with pytest.raises(Malformed) as refused:
        WIRE.parse_request(body)
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({**ASK, "previous_response_id": "resp_1"}, "previous_response_id"),
        ({**ASK, "conversation": "conv_1"}, "conversation"),
        ({**ASK, "background": True}, "background"),
        (
            {"model": "m", "input": [{"role": "user", "content": "x"}, {"type": "item_reference", "id": "i"}]},
            "input[1]",
        ),
        ({"model": "m", "input": [{"type": "compaction", "encrypted_content": "e"}]}, "input[0]"),
    ],
)
def test_what_only_its_servers_know_is_named_for_other_wires(body: JsonObject, path: str) -> None:
    """No wire but this one takes it: `refuse_foreign_state` says why."""
    state = WIRE.parse_request(body).state
    assert [thing.residue.shape["at"] if thing.residue else thing.kind for thing in state] == [path]


def test_another_wires_state_is_refused() -> None:
    request = replace(FOREIGN, state=(Opaque(wire="gemini", kind="cachedContent", value="x"),))
    with pytest.raises(Untranslatable, match="cachedContent"):
        WIRE.render_request(request, ABLE)


RICH = Request(
    model="m",
    instructions=(Text(text="one"), Text(text="two")),
    messages=(
        Message(role="user", parts=(Text(text="hello"),)),
        Message(role="assistant", parts=(Text(text="let me see"), ToolCall(id="c1", name="f", arguments='{"a":1}'))),
        Message(role="tool", parts=(ToolResult(call_id="c1", parts=(Text(text="42"),)),)),
        Message(role="system", parts=(Text(text="hurry"),)),
        Message(role="assistant", parts=(Text(text="done"),)),
        Message(role="user", parts=(Text(text="thanks"),)),
    ),
    tools=(Tool(name="f", description="d", schema={"type": "object", "properties": {}}), Tool(name="g")),
    tool_choice=ToolChoice(mode="named", names=("f",), is_parallel=False),
    sampling=Sampling(max_output_tokens=100, temperature=0.5, top_p=0.9),
    reasoning=Reasoning(effort="low", is_visible=True),
    output=OutputFormat(kind="json_schema", schema={"type": "object"}),
    hints=Hints(user="u", metadata={"a": "b"}, verbosity="low", cache_key="k", service_tier="auto"),
)


def test_a_request_of_another_wire() -> None:
    rendered = WIRE.render_request(RICH, ABLE)
    assert rendered.losses == ()
    assert rendered.body == {
        "model": "m",
        "input": [
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}],
            },
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
            {"type": "message", "role": "assistant", "content": "let me see"},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "hurry"}]},
            {"type": "message", "role": "assistant", "content": "done"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "thanks"}]},
        ],
        "tools": [
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            },
            {"type": "function", "name": "g", "parameters": None, "strict": False},
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {
            "format": {"type": "json_schema", "name": "response", "schema": {"type": "object"}},
            "verbosity": "low",
        },
        "max_output_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u",
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "prompt_cache_key": "k",
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_official_sdk_takes_what_we_write(is_stream: bool) -> None:
    body = WIRE.render_request(replace(RICH, is_stream=is_stream), ABLE).body
    params = ResponseCreateParamsStreaming if is_stream else ResponseCreateParamsNonStreaming
    TypeAdapter(params).validate_python(body)
    assert body.get("stream", False) is is_stream


def test_nothing_is_asked_for_that_the_client_did_not_ask() -> None:
    profile = replace(ABLE, thinking="none")
    assert WIRE.render_request(FOREIGN, profile).body.keys() == {"model", "input", "store"}


def test_the_fields_of_another_wire_are_told() -> None:
    residue = Residue(wire="openai_chat", fields={"logit_bias": {"1": 2}, "nothing": None}, shape={"seen": True})
    losses = WIRE.render_request(replace(FOREIGN, residue=residue), ABLE).losses
    assert [(loss.path, loss.what) for loss in losses] == [("logit_bias", "logit_bias")]


def test_names_that_are_illegal_here_come_back_in_the_answer() -> None:
    tool = Tool(name="mcp.server/tool")
    call = ToolCall(id="c", name=tool.name)
    messages = (
        *FOREIGN.messages,
        Message(role="assistant", parts=(call,)),
        Message(role="tool", parts=(ToolResult(call_id="c"),)),
    )
    choice = ToolChoice(mode="named", names=(tool.name,))
    rendered = WIRE.render_request(replace(FOREIGN, messages=messages, tools=(tool,), tool_choice=choice), ABLE)
    sent = {
        inner(rendered.body, *path) for path in (("tools", 0, "name"), ("input", 1, "name"), ("tool_choice", "name"))
    }
    (name,) = sent
    assert isinstance(name, str)
    assert rendered.names.to_client(name) == tool.name


def test_a_schema_that_the_model_cannot_be_held_to_is_an_instruction() -> None:
    request = replace(FOREIGN, output=OutputFormat(kind="json_schema", schema={"type": "object", "title": "T"}))
    rendered = WIRE.render_request(request, replace(ABLE, has_json_schema=False))
    assert inner(rendered.body, "text", "format") == {"type": "json_object"}
    assert '"title":"T"' in str(inner(rendered.body, "input", 0, "content", 0, "text"))
    assert [loss.path for loss in rendered.losses] == ["response_format.schema"]


def test_the_count_is_asked_of_what_the_model_reads() -> None:
    body = WIRE.render_count_request(replace(RICH, is_stream=True), ABLE).body
    assert body.keys() == {"model", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text"}


def test_counts() -> None:
    assert WIRE.parse_count(WIRE.render_count(47)) == 47
    with pytest.raises(Broken):
        WIRE.parse_count({"object": "response.input_tokens"})


def test_bug_50_an_empty_system_prompt_is_left_out() -> None:
    request = replace(FOREIGN, instructions=(Text(text=""),))
    assert "instructions" not in WIRE.render_request(request, ABLE).body
    assert len(_items(WIRE.render_request(request, ABLE).body)) == 1


def test_bug_54_the_limit_reaches_the_upstream() -> None:
    body = WIRE.render_request(replace(FOREIGN, sampling=Sampling(max_output_tokens=500)), ABLE).body
    assert body["max_output_tokens"] == 500


def test_bug_69_stream_options_of_chat_are_stripped() -> None:
    residue = Residue(wire="openai_chat", shape={"stream_options": {"include_usage": True}})
    body = WIRE.render_request(replace(FOREIGN, residue=residue, is_stream=True), ABLE).body
    assert "stream_options" not in body


def test_bug_70_the_same_request_gives_the_same_bytes() -> None:
    first, second = (WIRE.render_request(RICH, ABLE).body for _ in range(2))
    assert str(first) == str(second)
    assert [inner(tool, "name") for tool in _tools(first)] == ["f", "g"]


def test_bug_18_reasoning_text_is_replayed_to_who_wants_it() -> None:
    turn = Message(role="assistant", parts=(Thinking(sections=("hm",), origin="deepseek"), ToolCall(id="c", name="f")))
    request = replace(FOREIGN, messages=(*FOREIGN.messages, turn))
    profile = replace(ABLE, maker="deepseek", replays_reasoning_text=True)
    item = _items(WIRE.render_request(request, profile).body)[1]
    assert item == {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}


def _items(body: JsonObject) -> list[JsonValue]:
    items = body["input"]
    assert isinstance(items, list)
    return items


def _tools(body: JsonObject) -> list[JsonValue]:
    tools = body["tools"]
    assert isinstance(tools, list)
    return tools
