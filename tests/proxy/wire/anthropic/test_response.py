from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.errors import Broken
from proxy.hub.loss import Loss
from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.wire.anthropic import WIRE
from proxy.wire.base import Reply

if TYPE_CHECKING:
    from tests.proxy.wire.anthropic.conftest import Recording

REPLY = Reply(model="asked-for", request_id="r1", created=1_700_000_000)


def message(*content: JsonValue, **more: JsonValue) -> JsonObject:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "asked-for",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **more,
    }


def foreign(*parts: Part, finish: Finish | None = None, usage: Usage | None = None) -> Response:
    return Response(id="chatcmpl-1", model="theirs", parts=parts, finish=finish or Finish("stop", "stop"), usage=usage)


def rendered(*parts: Part, finish: Finish | None = None, usage: Usage | None = None) -> JsonObject:
    return WIRE.render_response(foreign(*parts, finish=finish, usage=usage), REPLY).body


def blocks(*parts: Part) -> JsonValue:
    return rendered(*parts)["content"]


# L1


def test_every_recorded_answer_comes_back_as_it_was(recordings: list[Recording]) -> None:
    failed = []
    for each in recordings:
        if each.answer is None:
            continue
        reply = Reply(model=str(each.answer["model"]), request_id="r1")
        again = WIRE.render_response(WIRE.parse_response(each.answer, maker="anthropic"), reply)
        if again.body != each.answer or again.losses:
            failed.append(each.name)
    assert failed == []


@pytest.mark.parametrize(
    "body",
    [
        message({"type": "text", "text": "Hi", "citations": None}),
        message({"type": "text", "text": ""}),
        message({"type": "text", "text": "Hi", "citations": [{"type": "char_location", "cited_text": "x"}]}),
        message({"type": "thinking", "thinking": "", "signature": "sig"}),
        message({"type": "thinking", "thinking": "", "signature": ""}),
        message({"type": "thinking", "thinking": "Hm"}),
        message({"type": "redacted_thinking", "data": "opaque"}),
        message(
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, 2.5, None]}, "caller": {"type": "direct"}},
            stop_reason="tool_use",
        ),
        message({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}),
        message({"type": "a_new_kind", "what": {"ever": 1}}),
        message(stop_details={"category": "x"}, container={"id": "c"}, context_management=None),
        message(
            usage={"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4, "new": 1}}
        ),
        message(usage={"input_tokens": 1, "output_tokens": 9, "cache_creation": {"ephemeral_5m_input_tokens": 0}}),
        message(stop_reason="stop_sequence", stop_sequence="END"),
        message(stop_reason="a_new_reason"),
        message(stop_reason=None),
        message(stop_reason=5, stop_sequence={}),
        message(usage=[]),
        message(usage={"input_tokens": "many", "output_tokens": True, "output_tokens_details": 5}),
        {"content": [], "model": "asked-for", "id": "msg_1", "type": "message", "role": "assistant"},
    ],
)
def test_an_answer_comes_back_as_it_was(body: JsonObject) -> None:
    again = WIRE.render_response(WIRE.parse_response(body, maker="anthropic"), REPLY)
    assert again.body == body
    assert again.losses == ()


# Parse


def test_bug_58_parts_finish_and_usage_with_its_thinking_tokens() -> None:
    body = message(
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        stop_reason="tool_use",
        usage={
            "input_tokens": 10,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 7,
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 30},
        },
    )
    response = WIRE.parse_response(body, maker="anthropic")
    assert response.parts == (
        Thinking(sections=("Hm",), signature="sig", origin="anthropic"),
        Text(text="Hi"),
        ToolCall(id="t1", name="f", arguments='{"a":1}'),
    )
    assert response.finish == Finish("tool_calls", "tool_use")
    usage = response.usage
    assert usage == Usage(input_uncached=10, cache_read=100, cache_write=7, output=20, reasoning=30)
    assert (usage.input_total, usage.output_total) == (117, 50)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
        ("pause_turn", "paused"),
        ("compaction", "paused"),
        ("brand_new", "other"),
    ],
)
def test_reasons(raw: str, reason: FinishReason) -> None:
    assert WIRE.parse_response(message(stop_reason=raw), maker="x").finish == Finish(reason, raw)


CALL: JsonObject = {"type": "tool_use", "id": "t", "name": "f", "input": {}}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("end_turn", "tool_calls"), (None, "tool_calls"), ("max_tokens", "length"), ("refusal", "refusal")],
)
def test_bug_61_a_call_beats_the_upstreams_word_but_not_length_or_refusal(
    raw: str | None, reason: FinishReason
) -> None:
    response = WIRE.parse_response(message(CALL, stop_reason=raw), maker="x")
    assert response.finish is not None
    assert response.finish.reason == reason


def test_a_corrected_reason_reaches_the_client() -> None:
    response = WIRE.parse_response(message(CALL, stop_reason="end_turn"), maker="x")
    assert WIRE.render_response(response, REPLY).body["stop_reason"] == "tool_use"


def test_bug_45_a_hosted_tools_call_is_no_call_of_the_clients() -> None:
    hosted: JsonObject = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    response = WIRE.parse_response(message(hosted), maker="anthropic")
    assert response.parts == (Opaque(wire="anthropic", kind="server_tool_use", value=hosted, origin="anthropic"),)
    assert response.finish == Finish("stop", "end_turn")


def test_bug_26_a_call_without_an_id_gets_one_that_stays() -> None:
    nameless = {key: value for key, value in CALL.items() if key != "id"}
    parse = WIRE.parse_response
    first = parse(message(nameless, nameless), maker="compatible").parts
    ids = [part.id for part in first if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2
    assert parse(message(nameless, nameless), maker="compatible").parts == first


def test_input_told_as_text_is_taken_as_it_is() -> None:
    response = WIRE.parse_response(message({**CALL, "input": '{"a": 1}'}), maker="compatible")
    assert response.parts == (ToolCall(id="t", name="f", arguments='{"a": 1}'),)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "there is no content"),
        ({"type": "error", "error": {"type": "api_error", "message": "It broke"}}, "It broke"),
        (message("text"), r"content\[0\] must be an object"),
        (message({"type": "text"}), r"content\[0\]\.text is required"),
        (message({"type": "tool_use", "name": "f", "input": 4}), r"content\[0\]\.input must be an object"),
        (message(id=5), "id must be a string"),
    ],
)
def test_what_is_no_message_is_broken(body: JsonObject, why: str) -> None:
    with pytest.raises(Broken, match=why):
        WIRE.parse_response(body, maker="x")


# Render what came from elsewhere


def test_a_foreign_answer_has_all_that_clients_read() -> None:
    usage = Usage(input_uncached=10, cache_read=90, output=5, reasoning=15)
    body = rendered(Text(text="Hi"), usage=usage)
    assert body == {
        "id": "msg_r1",
        "type": "message",
        "role": "assistant",
        "model": "asked-for",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 90,
            "cache_creation_input_tokens": 0,
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 15},
        },
    }


def test_bug_56_cached_tokens_are_counted_once() -> None:
    usage = rendered(usage=Usage(input_uncached=10, cache_read=90, cache_write=5, output=1))["usage"]
    assert isinstance(usage, dict)
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (
        10,
        90,
        5,
    )


def test_defect_an_advisors_iterations_are_not_added_to_the_usage() -> None:
    iterations: JsonValue = [{"input_tokens": 10, "output_tokens": 5}, {"input_tokens": 90, "output_tokens": 50}]
    usage: JsonObject = {"input_tokens": 10, "output_tokens": 5, "iterations": iterations}
    parsed = WIRE.parse_response(message(usage=usage), maker="x").usage
    assert parsed is not None
    assert (parsed.input_total, parsed.output_total) == (10, 5)


def test_usage_that_nobody_told_is_zero() -> None:
    assert rendered()["usage"] == {"input_tokens": 0, "output_tokens": 0}


@pytest.mark.parametrize(
    ("finish", "raw", "sequence"),
    [
        (Finish("stop", "stop"), "end_turn", None),
        (Finish("stop", "stop", "END"), "stop_sequence", "END"),
        (Finish("tool_calls", "tool_calls"), "tool_use", None),
        (Finish("length", "MAX_TOKENS"), "max_tokens", None),
        (Finish("refusal", "SAFETY"), "refusal", None),
        (Finish("paused"), "pause_turn", None),
        (Finish("malformed_call", "MALFORMED_FUNCTION_CALL"), "end_turn", None),
        (Finish("other", "end_turn"), "end_turn", None),
    ],
)
def test_reasons_in_this_wires_words(finish: Finish, raw: str, sequence: str | None) -> None:
    body = rendered(Text(text="x"), finish=finish)
    assert (body["stop_reason"], body["stop_sequence"]) == (raw, sequence)


def test_a_refusal_is_text_and_a_reason() -> None:
    body = rendered(Refusal(text="No."))
    assert body["content"] == [{"type": "text", "text": "No."}]
    assert body["stop_reason"] == "refusal"


def test_bug_50_empty_text_is_no_block() -> None:
    assert blocks(Text(text=""), Thinking(), Refusal(text=""), ToolCall(id="1", name="f")) == [
        {"type": "tool_use", "id": "1", "name": "f", "input": {}}
    ]


def test_bug_05_one_thought_is_one_block() -> None:
    part = Thinking(sections=("One", "Two"), signature="enc", origin="openai_responses")
    assert blocks(part) == [{"type": "thinking", "thinking": "One\n\nTwo", "signature": "px1.openai_responses.enc"}]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            Thinking(sections=("Hm",), signature="sig", origin="anthropic"),
            {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        ),
        (Thinking(sections=("Hm",)), {"type": "thinking", "thinking": "Hm", "signature": ""}),
        (
            Thinking(sections=("Hm",), origin="deepseek"),
            {"type": "thinking", "thinking": "Hm", "signature": "px1.deepseek."},
        ),
        (
            Thinking(signature="enc", is_redacted=True, origin="openai_responses"),
            {"type": "redacted_thinking", "data": "px1.openai_responses.enc"},
        ),
        (
            Thinking(signature="enc", origin="openai_responses"),
            {"type": "thinking", "thinking": "", "signature": "px1.openai_responses.enc"},
        ),
    ],
)
def test_bug_03_each_signature_tells_whose_it_is(part: Thinking, block: JsonObject) -> None:
    assert blocks(part) == [block]


def test_bug_01_a_signed_text_stays_text_and_its_signature_is_kept() -> None:
    signed = Text(text="Hi", signature="sig", origin="gemini")
    assert blocks(signed) == [
        {"type": "text", "text": "Hi"},
        {"type": "thinking", "thinking": "", "signature": "px1.gemini.text.sig"},
    ]


def test_a_signed_call_has_its_signature_before_it() -> None:
    assert blocks(ToolCall(id="1", name="f", signature="sig", origin="gemini")) == [
        {"type": "thinking", "thinking": "", "signature": "px1.gemini.call.sig"},
        {"type": "tool_use", "id": "1", "name": "f", "input": {}},
    ]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("null", {}),
        ("[1]", {"input": [1]}),
        ('"x"', {"input": "x"}),
        ('{"a": ', {"input": '{"a": '}),
    ],
)
def test_bug_35_arguments_that_are_no_object_are_wrapped(arguments: str, given: JsonObject) -> None:
    call = ToolCall(id="1", name="f", arguments=arguments)
    assert blocks(call) == [{"type": "tool_use", "id": "1", "name": "f", "input": given}]


def test_a_custom_tools_text_is_wrapped() -> None:
    call = ToolCall(id="1", name="f", arguments='{"a": 1}', is_custom=True)
    assert blocks(call) == [{"type": "tool_use", "id": "1", "name": "f", "input": {"input": '{"a": 1}'}}]


def test_bug_62_a_call_that_was_cut_off_is_no_call() -> None:
    cut = ToolCall(id="1", name="f", arguments='{"path": "/tm')
    whole = ToolCall(id="0", name="f", arguments="{}")
    out = WIRE.render_response(foreign(whole, cut, finish=Finish("length", "length")), REPLY)
    assert out.body["content"] == [{"type": "tool_use", "id": "0", "name": "f", "input": {}}]
    assert out.body["stop_reason"] == "max_tokens"
    assert out.losses == (Loss("content[1]", "call of f", "it was cut off before its arguments were whole"),)


def test_what_has_no_room_is_lost_by_name() -> None:
    parts: tuple[Part, ...] = (
        Opaque(wire="openai_responses", kind="web_search_call", value={}),
        Media(kind="image", media_type="image/png", data="iVBORw0KGgo="),
        Text(text="x", residue=Residue(wire="openai_chat", fields={"annotations": [1], "id": "a"}, shape={"y": 1})),
    )
    out = WIRE.render_response(foreign(*parts), REPLY)
    assert out.body["content"] == [{"type": "text", "text": "x"}]
    assert [(loss.path, loss.what) for loss in out.losses] == [
        ("content[0]", "web_search_call"),
        ("content[1]", "image"),
        ("content[2].annotations", "annotations"),
    ]


def test_ids_are_kept_and_missing_ones_made() -> None:
    assert blocks(ToolCall(id="functions.f:0", name="f")) == [
        {"type": "tool_use", "id": "functions.f:0", "name": "f", "input": {}}
    ]
    made = blocks(ToolCall(id="", name="f"), ToolCall(id="", name="f"))
    assert isinstance(made, list)
    assert len({str(each["id"]) for each in made if isinstance(each, dict)}) == 2


def test_counts() -> None:
    assert WIRE.parse_count({"input_tokens": 42}) == 42
    assert WIRE.render_count(42) == {"input_tokens": 42}
    with pytest.raises(Broken, match="input_tokens"):
        WIRE.parse_count({"totalTokens": 42})


def test_recorded_counts(counts: list[Recording]) -> None:
    answers = [each.answer for each in counts if each.answer is not None]
    assert [WIRE.render_count(WIRE.parse_count(answer)) for answer in answers] == answers


def test_what_only_another_wire_tells_of_an_answer_is_a_loss() -> None:
    residue = Residue(wire="gemini", fields={"candidates[0].groundingMetadata": {"webSearchQueries": ["a"]}})
    response = Response(id="r", model="m", parts=(Text(text="a"),), finish=Finish("stop"), residue=residue)
    assert [loss.path for loss in WIRE.render_response(response, REPLY).losses] == ["candidates[0].groundingMetadata"]
