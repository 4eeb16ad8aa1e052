from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from openai.types.responses import Response as OpenAIResponse
from pydantic import TypeAdapter

from proxy.errors import Broken, Rejected, UpstreamError
from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.wire.base import Reply
from proxy.wire.openai_responses import WIRE
from tests.proxy.wire.openai_responses.damage import ANSWER, damaged
from tests.proxy.wire.openai_responses.told import MAKER, REPLY, inner, only, without

MESSAGE: JsonObject = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}],
}
CALL: JsonObject = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "c",
    "name": "f",
    "arguments": "{}",
}
BODY: JsonObject = {
    "id": "resp_1",
    "object": "response",
    "created_at": 5,
    "status": "completed",
    "model": "a-model",
    "error": None,
    "incomplete_details": None,
    "output": [MESSAGE],
    "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "cost": 0.1},
    "billing": {"payer": "developer"},
}


def parsed(**changes: JsonValue) -> Response:
    return WIRE.parse_response({**BODY, **changes}, maker=MAKER)


def output(*parts: Part, reply: Reply = REPLY, reason: FinishReason = "stop") -> list[JsonValue]:
    body = WIRE.render_response(Response(id="theirs", model="theirs", parts=parts, finish=Finish(reason)), reply).body
    items = body["output"]
    assert isinstance(items, list)
    return items


def answers(exchanges: list[tuple[str, JsonObject]]) -> list[tuple[str, JsonObject]]:
    pairs = [
        (name, inner(exchange, "response"))
        for name, exchange in exchanges
        if "input-tokens" not in str(exchange["format"])
    ]
    return [
        (name, response["body"])
        for name, response in pairs
        if isinstance(response, dict) and response["status"] == 200 and isinstance(response["body"], dict)
    ]


def test_l1_every_recorded_answer_comes_back_as_it_was(recorded: list[tuple[str, JsonObject]]) -> None:
    found = answers(recorded)
    changed = []
    for name, body in found:
        reply = replace(REPLY, model=str(body.get("model")))
        rendered = WIRE.render_response(WIRE.parse_response(body, maker=MAKER), reply)
        if rendered.body != body or rendered.losses:
            changed.append(name)
    assert changed == []
    assert found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"output": []},
        {"output": [{**MESSAGE, "content": []}, {**MESSAGE, "content": MESSAGE["content"], "phase": "commentary"}]},
        {"output": [{"type": "web_search_call", "id": "ws_1"}, CALL, {**CALL, "namespace": "n"}]},
        {"created_at": 5.5},
        {"usage": None, "status": "in_progress"},
        {
            "output": [
                {"type": "compaction", "id": "cmp", "encrypted_content": "e"},
                {"type": "message", "role": "user", "content": []},
            ]
        },
    ],
)
def test_l1_every_way_of_writing_is_kept(changes: JsonObject) -> None:
    assert WIRE.render_response(parsed(**changes), REPLY).body == {**BODY, **changes}


@given(damaged(ANSWER))
@settings(max_examples=200, deadline=None)
def test_l1_a_damaged_answer_comes_back_as_it_was_or_is_broken(body: JsonObject) -> None:
    try:
        response = WIRE.parse_response(body, maker=MAKER)
    except UpstreamError:
        return
    told = WIRE.render_response(response, replace(REPLY, model=response.model)).body
    taken = ("id", "model", "created_at")
    assert without(told, *taken) == without(body, *taken)


def test_it_says_what_it_says() -> None:
    response = parsed(output=[{"type": "reasoning", "summary": [], "encrypted_content": "e"}, MESSAGE, CALL])
    assert (response.id, response.model, response.created) == ("resp_1", "a-model", 5)
    thinking, text, call = response.parts
    assert isinstance(thinking, Thinking)
    assert (thinking.signature, thinking.origin) == ("e", MAKER)
    assert isinstance(text, Text)
    assert text.text == "hi"
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, call.arguments) == ("c", "f", "{}")
    assert response.usage is not None
    assert (response.usage.input_total, response.usage.output_total) == (3, 4)


@pytest.mark.parametrize(
    ("changes", "finish"),
    [
        ({}, Finish("stop", "completed")),
        ({"output": [MESSAGE, CALL]}, Finish("tool_calls", "completed")),
        ({"output": [{**MESSAGE, "content": [{"type": "refusal", "refusal": "no"}]}]}, Finish("refusal", "completed")),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [CALL]},
            Finish("length", "max_output_tokens"),
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            Finish("refusal", "content_filter"),
        ),
        ({"status": "incomplete"}, Finish("other", "incomplete")),
        ({"status": "cancelled"}, Finish("other", "cancelled")),
        ({"status": "queued"}, None),
    ],
)
def test_bug_61_how_it_ended(changes: JsonObject, finish: Finish | None) -> None:
    assert parsed(**changes).finish == finish


@pytest.mark.parametrize(
    "body",
    [{}, {"output": "x"}, {**BODY, "output": [5]}, {**BODY, "output": [{"type": "function_call", "call_id": "c"}]}],
)
def test_what_is_no_answer_is_broken(body: JsonObject) -> None:
    with pytest.raises(Broken):
        WIRE.parse_response(body, maker=MAKER)


def test_an_error_inside_a_success_is_a_rejection() -> None:
    with pytest.raises(Rejected) as refused:
        parsed(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down."})
    assert (refused.value.status, refused.value.code, refused.value.message) == (
        429,
        "rate_limit_exceeded",
        "Slow down.",
    )
    with pytest.raises(Rejected, match="Nope"):
        WIRE.parse_response({"error": {"message": "Nope"}}, maker=MAKER)


FOREIGN = Response(
    id="theirs",
    model="theirs",
    parts=(
        Thinking(sections=("hm", "so"), signature="sig", origin="anthropic"),
        Text(text="one"),
        Text(text="two"),
        ToolCall(id="c", name="f", arguments='{"a":1}'),
        Refusal(text="no"),
    ),
    finish=Finish("tool_calls"),
    usage=Usage(input_uncached=1, cache_read=2, output=3, reasoning=4),
)


def test_an_answer_of_another_wire() -> None:
    body = WIRE.render_response(FOREIGN, REPLY).body
    thinking, message, call, refusal = _items(body)
    assert inner(thinking, "summary", 1, "text") == "so"
    assert inner(thinking, "encrypted_content") == "px1.anthropic.sig"
    assert [inner(part, "text") for part in _list(inner(message, "content"))] == ["one", "two"]
    assert inner(call, "arguments") == '{"a":1}'
    assert inner(refusal, "content") == [{"type": "refusal", "refusal": "no"}]
    ids = [str(inner(item, "id")) for item in (thinking, message, call, refusal)]
    assert [item_id.split("_")[0] for item_id in ids] == ["rs", "msg", "fc", "msg"]
    assert len({str(body["id"]), *ids}) == 5
    assert (body["model"], body["created_at"], body["status"]) == ("a-model", 1_700_000_000, "completed")
    assert inner(body, "usage", "total_tokens") == 10
    assert body == WIRE.render_response(FOREIGN, REPLY).body


def test_the_official_sdk_reads_it() -> None:
    read = TypeAdapter(OpenAIResponse).validate_python(WIRE.render_response(FOREIGN, REPLY).body)
    assert read.output_text == "onetwo"
    assert read.usage is not None
    assert read.usage.input_tokens_details.cache_write_tokens == 0


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("paused", "completed", None),
        ("other", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
        ("malformed_call", "failed", None),
    ],
)
def test_how_another_wires_answer_ended(reason: FinishReason, status: str, details: JsonValue) -> None:
    body = WIRE.render_response(Response(id="i", model="m", finish=Finish(reason)), REPLY).body
    assert (body["status"], body["incomplete_details"]) == (status, details)
    assert (body["error"] is not None) == (status == "failed")


def test_a_refusal_in_words_is_a_complete_answer() -> None:
    answer = Response(id="i", model="m", parts=(Refusal(text="no"),), finish=Finish("refusal"))
    assert WIRE.render_response(answer, REPLY).body["status"] == "completed"


def test_bug_62_what_was_cut_is_incomplete() -> None:
    cut = ToolCall(id="c", name="f", arguments='{"a":')
    whole = ToolCall(id="c", name="f", arguments='{"a":1}')
    assert inner(output(cut, reason="length")[0], "status") == "incomplete"
    assert inner(output(whole, reason="length")[0], "status") == "completed"
    assert inner(output(Text(text="x"), reason="length")[0], "status") == "incomplete"
    assert inner(output(Text(text="x"), cut, reason="length")[0], "status") == "completed"


def test_what_cannot_be_said_is_told() -> None:
    residue = Residue(wire="anthropic", fields={"citations": [1]})
    parts: tuple[Part, ...] = (
        Text(text="x", residue=residue),
        Opaque(wire="anthropic", kind="server_tool_use", value={}),
        Media(kind="image", data="AA=="),
    )
    rendered = WIRE.render_response(Response(id="i", model="m", parts=parts), REPLY)
    assert [loss.path for loss in rendered.losses] == ["output[0].citations", "output[1]", "output[2]"]
    assert len(_items(rendered.body)) == 1


def test_bug_45_a_hosted_tools_call_is_never_a_clients() -> None:
    assert (
        output(
            Opaque(wire="anthropic", kind="server_tool_use", value={"type": "server_tool_use", "name": "web_search"})
        )
        == []
    )


ASKED = WIRE.parse_request(
    {
        "model": "m",
        "input": "x",
        "tools": [
            {"type": "custom", "name": "patch"},
            {"type": "namespace", "name": "n", "description": "", "tools": [{"type": "function", "name": "f"}]},
            {"type": "tool_search", "execution": "client"},
        ],
    }
)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            ToolCall(id="c", name="patch", arguments='{"input":"*** Begin"}'),
            {"type": "custom_tool_call", "name": "patch", "input": "*** Begin"},
        ),
        (
            ToolCall(id="c", name="patch", arguments="*** Begin", is_custom=True),
            {"type": "custom_tool_call", "name": "patch", "input": "*** Begin"},
        ),
        (
            ToolCall(id="c", name="other", arguments="text", is_custom=True),
            {"type": "custom_tool_call", "name": "other", "input": "text"},
        ),
        (
            ToolCall(id="c", name="n__f", arguments="{}"),
            {"type": "function_call", "name": "f", "namespace": "n", "arguments": "{}"},
        ),
        (
            ToolCall(id="c", name="tool_search", arguments='{"query":"x"}'),
            {"type": "tool_search_call", "execution": "client", "arguments": {"query": "x"}},
        ),
        (
            ToolCall(id="c", name="tool_search", arguments="oops"),
            {"type": "tool_search_call", "execution": "client", "arguments": {"input": "oops"}},
        ),
        (ToolCall(id="c", name="new", arguments=""), {"type": "function_call", "name": "new", "arguments": "{}"}),
    ],
)
def test_bug_43_calls_are_spelled_as_their_tools_are(call: ToolCall, expected: JsonObject) -> None:
    item = only(output(call, reply=replace(REPLY, request=ASKED)))
    assert {key: item[key] for key in item.keys() - {"id", "status"}} == {"call_id": "c", **expected}


def _items(body: JsonObject) -> list[JsonValue]:
    return _list(body["output"])


def _list(value: JsonValue) -> list[JsonValue]:
    assert isinstance(value, list)
    return value


def test_a_thought_of_another_wire_is_marked_though_it_has_no_signature() -> None:
    """Unmarked it would come back as an item that OpenAI's servers are asked to know."""
    response = Response(id="x", model="m", parts=(Thinking(sections=("hm",), origin="gemini"), Text(text="y")))
    (thinking, _) = _items(WIRE.render_response(response, REPLY).body)
    assert inner(thinking, "encrypted_content") == "px1.gemini."
    back = WIRE.parse_request({"model": "m", "input": [thinking]})
    (part,) = back.messages[0].parts
    assert isinstance(part, Thinking)
    assert (part.sections, part.signature, part.origin) == (("hm",), None, "gemini")
