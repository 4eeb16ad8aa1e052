from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import Broken, Rejected, UpstreamError
from proxy.hub.parts import Media, Opaque, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import Residue
from proxy.hub.response import Finish, Response, Usage
from proxy.wire.base import Reply
from proxy.wire.gemini import WIRE
from proxy.wire.gemini.words import unsealed
from tests.proxy.wire.gemini.conftest import Recording
from tests.proxy.wire.gemini.exchanges import REPLY, answer

CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}


def read(body: Any) -> Response:
    return WIRE.parse_response(body, maker="gemini")


def told(body: Any) -> Any:
    """To the client of the same wire."""
    reply = Reply(model=body.get("modelVersion", "m"), request_id="req_1")
    return WIRE.render_response(read(body), reply).body


def to_client(**fields: Any) -> Any:
    """An answer of another wire's."""
    return WIRE.render_response(Response(id="r", model="m", **fields), REPLY).body


class TestLaw1:
    """An answer comes out as it came in."""

    def test_every_recorded_answer(self, recordings: list[Recording]) -> None:
        failures = []
        for recording in recordings:
            if recording.status != 200 or "totalTokens" in (recording.body or ()):
                continue
            for body in recording.frames or [recording.body]:
                before = copy.deepcopy(body)
                if told(body) != before or body != before:
                    failures.append(recording.name)
        assert failures == []

    @pytest.mark.parametrize(
        "body",
        [
            answer(),
            answer({"text": ""}, {"text": "", "thoughtSignature": "cw=="}, {"thought": True, "text": ""}),
            answer(CALL, {"functionCall": {"name": "g", "id": "1"}}),
            answer({"text": "x"}, finishReason=1),
            answer({"text": "x"}, finishReason="new_reason", avgLogprobs=-1, groundingMetadata={"a": [1]}, new=None),
            answer({"text": "x"}) | {"createTime": "2026-01-01T00:00:00Z", "modelStatus": {}, "brandNew": [1]},
            answer({"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thoughtSignature": "cw=="}),
            answer({"executableCode": {"code": "1"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK"}}, {"odd": 1}),
            answer({"functionCall": {}}, {"text": 5}),
            {"candidates": [{"finishReason": "MODEL_ARMOR"}]},
            {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]},
            {"candidates": [{"content": {"parts": [{"text": "no reason"}]}}], "responseId": "r"},
            {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "no"}, "responseId": "r"},
            {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
                            {"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP", "index": 1}]},
            {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {
                "promptTokenCount": 5, "cachedContentTokenCount": 9, "toolUsePromptTokenCount": 2, "trafficType": "X"}},
            {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"toolUsePromptTokenCount": 2}},
            {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"totalTokenCount": 0, "newCount": None}},
        ],
    )  # fmt: skip
    def test_odd_answers(self, body: Any) -> None:
        before = copy.deepcopy(body)
        assert told(body) == before
        assert body == before


class TestParse:
    def test_parts(self) -> None:
        response = read(answer({"text": "hm", "thought": True}, {"text": "hi", "thoughtSignature": "cw=="}, CALL))
        thinking, text, call = response.parts
        assert thinking == Thinking(sections=("hm",), origin="gemini")
        assert text == Text(text="hi", signature="cw==", origin="gemini")
        assert isinstance(call, ToolCall)
        assert (call.name, call.arguments, call.origin) == ("f", '{"a":1}', "gemini")
        assert (response.id, response.model, response.created) == ("r1", "gemini-x", None)

    def test_the_maker_is_who_answered(self) -> None:
        part = WIRE.parse_response(answer({"text": "hi", "thoughtSignature": "cw=="}), maker="vertex").parts[0]
        assert part.origin == "vertex"

    def test_bug_28_ids_are_made_of_the_answer_and_unique_in_it(self) -> None:
        first, second = (read(answer(CALL, CALL)) for _ in range(2))
        ids = [part.id for part in first.parts if isinstance(part, ToolCall)]
        assert len(set(ids)) == 2
        assert first == second
        other = read(answer(CALL, CALL) | {"responseId": "r2"})
        assert not {part.id for part in other.parts if isinstance(part, ToolCall)} & set(ids)

    @pytest.mark.parametrize(
        ("word", "reason"),
        [
            ("STOP", "stop"), ("MAX_TOKENS", "length"), ("CONTINUATION", "length"), ("SAFETY", "refusal"),
            ("RECITATION", "refusal"), ("BLOCKLIST", "refusal"), ("PROHIBITED_CONTENT", "refusal"), ("SPII", "refusal"),
            ("MODEL_ARMOR", "refusal"), ("ESCALATION", "refusal"), ("IMAGE_SAFETY", "refusal"),
            ("TOO_MANY_TOOL_CALLS", "paused"), ("MALFORMED_FUNCTION_CALL", "malformed_call"),
            ("UNEXPECTED_TOOL_CALL", "malformed_call"), ("OTHER", "other"), ("BRAND_NEW", "other"), ("stop", "stop"),
            (1, "stop"), (2, "length"), (3, "refusal"), (99, "other"),
        ],
    )  # fmt: skip
    def test_finish(self, word: Any, reason: str) -> None:
        finish = read(answer({"text": "x"}, finishReason=word)).finish
        assert finish is not None
        assert finish.reason == reason

    @pytest.mark.parametrize(
        ("word", "reason"),
        [("STOP", "tool_calls"), ("OTHER", "tool_calls"), ("MAX_TOKENS", "length"), ("SAFETY", "refusal")],
    )
    def test_bug_61_a_call_beats_the_word_unless_it_was_cut_or_blocked(self, word: str, reason: str) -> None:
        finish = read(answer({"text": "x"}, CALL, finishReason=word)).finish
        assert finish == Finish(reason, word)

    def test_bug_63_no_reason_at_a_clean_end(self) -> None:
        assert read(answer({"text": "x"}, finishReason=None)).finish == Finish("stop")
        assert read(answer(CALL, finishReason=None)).finish == Finish("tool_calls")

    def test_a_blocked_prompt_is_a_refusal(self) -> None:
        response = read(
            {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}}
        )
        assert (response.parts, response.finish) == ((), Finish("refusal", "PROHIBITED_CONTENT"))
        assert response.usage is not None
        assert response.usage.input_uncached == 4

    def test_bug_56_cached_tokens_are_counted_once(self) -> None:
        """5.1: and what Google's own tools fed the model is part of the prompt."""
        counts = {"promptTokenCount": 100, "cachedContentTokenCount": 60, "toolUsePromptTokenCount": 7,
                  "candidatesTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 122}  # fmt: skip
        usage = read(answer({"text": "x"}) | {"usageMetadata": counts}).usage
        assert usage is not None
        assert (usage.input_uncached, usage.cache_read, usage.input_total) == (47, 60, 107)

    def test_bug_57_thoughts_are_output(self) -> None:
        counts = {"promptTokenCount": 1, "candidatesTokenCount": 10, "thoughtsTokenCount": 5}
        usage = read(answer({"text": "x"}) | {"usageMetadata": counts}).usage
        assert usage is not None
        assert (usage.output, usage.reasoning, usage.output_total) == (10, 5, 15)

    def test_bug_45_hosted_tools_are_never_the_clients(self) -> None:
        hosted = [{"toolCall": {"id": "1", "toolType": "GOOGLE_SEARCH_WEB"}}, {"executableCode": {"code": "1"}}]
        response = read(answer(*hosted, {"text": "x"}))
        assert [part.kind for part in response.parts if isinstance(part, Opaque)] == ["toolCall", "executableCode"]
        assert response.finish == Finish("stop", "STOP")

    def test_residue_names_the_candidates_own_fields(self) -> None:
        residue = read(answer({"text": "x"}, groundingMetadata={"a": 1}, finishMessage="fine")).residue
        assert residue is not None
        assert residue.fields == {"candidates[0].groundingMetadata": {"a": 1}}

    @pytest.mark.parametrize(
        "body", [{}, {"candidates": []}, {"usageMetadata": {"promptTokenCount": 1}}, {"candidates": 1}]
    )
    def test_what_is_no_answer(self, body: Any) -> None:
        with pytest.raises(Broken, match="the upstream answered without a candidate"):
            read(body)

    def test_an_error_inside_a_success(self) -> None:
        with pytest.raises(Rejected, match="quota") as caught:
            read({"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED",
                            "details": [{"retryDelay": "7s"}]}})  # fmt: skip
        assert (caught.value.status, caught.value.retry_after_seconds) == (429, 7.0)


class TestRenderForeign:
    def test_everything(self) -> None:
        body = to_client(
            parts=(Thinking(sections=("a", "b"), signature="sig", origin="anthropic"), Text(text="hi"),
                   ToolCall(id="toolu_1", name="f", arguments='{"x": 1}')),
            finish=Finish("tool_calls", "tool_use"),
            usage=Usage(input_uncached=10, cache_read=5, cache_write=2, output=7, reasoning=3),
        )  # fmt: skip
        thought = body["candidates"][0]["content"]["parts"][0]
        assert unsealed(thought.pop("thoughtSignature")) == ("anthropic", "sig")
        assert body == {
            "candidates": [{
                "content": {"parts": [{"text": "a\n\nb", "thought": True}, {"text": "hi"},
                                      {"functionCall": {"name": "f", "args": {"x": 1}, "id": "toolu_1"}}],
                            "role": "model"},
                "finishReason": "STOP", "index": 0,
            }],
            "usageMetadata": {"promptTokenCount": 17, "candidatesTokenCount": 7, "cachedContentTokenCount": 5,
                              "thoughtsTokenCount": 3, "totalTokenCount": 27},
            "modelVersion": "client-model", "responseId": "r",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("reason", "word"),
        [("stop", "STOP"), ("tool_calls", "STOP"), ("length", "MAX_TOKENS"), ("refusal", "SAFETY"), ("other", "OTHER"),
         ("paused", "TOO_MANY_TOOL_CALLS"), ("malformed_call", "MALFORMED_FUNCTION_CALL")],
    )  # fmt: skip
    def test_finish(self, reason: Any, word: str) -> None:
        assert to_client(finish=Finish(reason, "whatever"))["candidates"][0]["finishReason"] == word

    def test_an_answer_without_an_id_takes_ours(self) -> None:
        assert WIRE.render_response(Response(id="", model="m"), REPLY).body["responseId"] == "req_1"

    def test_redacted_thinking_finds_room(self) -> None:
        body = to_client(parts=(Thinking(signature="data", is_redacted=True, origin="anthropic"),))
        part = body["candidates"][0]["content"]["parts"][0]
        assert (part["text"], part["thought"]) == ("", True)
        request = WIRE.parse_request({"contents": [{"role": "model", "parts": [part]}]}, model="m")
        back = request.messages[0].parts[0]
        assert isinstance(back, Thinking)
        assert (back.signature, back.is_redacted, back.origin) == ("data", True, "anthropic")

    def test_losses(self) -> None:
        response = Response(
            id="r", model="m", residue=Residue(wire="anthropic", fields={"container": {"id": 1}}, shape={"x": 1}),
            parts=(Text(text="x", residue=Residue(wire="anthropic", fields={"citations": [1]})), Refusal(text="no"),
                   Opaque(wire="anthropic", kind="server_tool_use", value={}), Media(kind="image", data="AA==")),
        )  # fmt: skip
        rendered = WIRE.render_response(response, REPLY)
        assert [loss.path for loss in rendered.losses] == [
            "container",
            "content[0].citations",
            "content[1]",
            "content[2]",
        ]
        body: Any = rendered.body
        assert body["candidates"][0]["content"]["parts"] == [
            {"text": "x"}, {"text": "no"}, {"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}},
        ]  # fmt: skip

    def test_what_is_signed_by_gemini_is_told_raw(self) -> None:
        part = ToolCall(id="1", name="f", signature="c2ln", origin="gemini")
        assert to_client(parts=(part,))["candidates"][0]["content"]["parts"][0]["thoughtSignature"] == "c2ln"

    def test_defect_gemini_clients_get_call_ids_and_all_usage(self) -> None:
        """5.1: no functionCall.id; cached and reasoning tokens and thinking were missing."""
        body = to_client(
            parts=(Thinking(sections=("t",)), ToolCall(id="a", name="f"), ToolCall(id="b", name="f")),
            usage=Usage(cache_read=4, reasoning=2),
        )
        parts = body["candidates"][0]["content"]["parts"]
        assert [part.get("functionCall", {}).get("id") for part in parts] == [None, "a", "b"]
        assert body["usageMetadata"]["cachedContentTokenCount"] == 4
        assert body["usageMetadata"]["thoughtsTokenCount"] == 2


def test_googles_sdk_reads_every_foreign_answer() -> None:
    """Its types forbid unknown keys, and take signatures for base64."""
    body = to_client(
        parts=(Thinking(sections=("a",), signature="sig+/=", origin="anthropic"), Text(text="hi"), Refusal(text="no"),
               Media(kind="image", data="AA=="), ToolCall(id="1", name="f", arguments='{"x": 1}')),
        finish=Finish("tool_calls"),
        usage=Usage(input_uncached=1, cache_read=2, cache_write=3, output=4, reasoning=5),
    )  # fmt: skip
    read_back = types.GenerateContentResponse.model_validate(body)
    assert read_back.text == "hino"
    calls = read_back.function_calls or []
    assert [(call.id, call.name, call.args) for call in calls] == [("1", "f", {"x": 1})]
    usage = read_back.usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.thoughts_token_count, usage.total_token_count) == (6, 5, 15)


def test_the_clients_name_of_the_model_is_echoed() -> None:
    body: Any = WIRE.render_response(read(answer({"text": "x"})), REPLY).body
    assert body["modelVersion"] == "client-model"


def test_a_changed_answer_is_told_changed() -> None:
    response = replace(read(answer({"text": "x"})), parts=(Text(text="y"),), finish=Finish("length"))
    body: Any = WIRE.render_response(response, REPLY).body
    assert body["candidates"][0]["content"]["parts"] == [{"text": "y"}]
    assert body["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_counts() -> None:
    assert WIRE.parse_count({"totalTokens": 7, "promptTokensDetails": []}) == 7
    assert WIRE.parse_count({}) == 0
    assert WIRE.render_count(7) == {"totalTokens": 7}
    with pytest.raises(Broken):
        WIRE.parse_count({"error": {"code": 404}})


words = st.sampled_from([
    "candidates", "content", "role", "parts", "text", "thought", "thoughtSignature", "inlineData", "mimeType", "data",
    "functionCall", "name", "args", "id", "executableCode", "finishReason", "index", "usageMetadata",
    "promptTokenCount", "cachedContentTokenCount", "promptFeedback", "blockReason", "error", "message", "code",
    "responseId", "modelVersion",
])  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.sampled_from(["", "STOP", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(words, anything, max_size=5), st.lists(st.dictionaries(words, anything, max_size=3), max_size=3))
def test_whatever_an_upstream_sends_is_an_answer_or_its_fault(body: Any, parts: Any) -> None:
    for value in (body, {**body, "candidates": [{**body, "content": {"parts": parts}}]}):
        try:
            response = read(value)
        except UpstreamError:
            continue
        assert told(value)
        assert WIRE.render_response(replace(response, residue=None), REPLY).body
