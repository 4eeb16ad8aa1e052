"""What two widespread proxies were seen to lose or to bend (wires.md §5.1, management-api.md §11): not here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.hub.events import PartDelta, ResponseEnd
from proxy.hub.fold import explode
from proxy.hub.parts import Media, Text, Thinking, ToolCall
from proxy.hub.request import Hints, OutputFormat, Request, Sampling, Tool, ToolChoice
from proxy.hub.residue import JsonObject
from proxy.hub.response import Finish, Response, Usage
from proxy.wire.base import Wire
from proxy.wire.table import WIRES, wire_named
from tests.laws.across import (
    asked,
    both,
    by_client,
    by_upstream,
    followed,
    received,
    rendered_events,
    sent,
    streamed,
    text_of,
    told,
)
from tests.laws.answers import REPLY
from tests.laws.targets import able
from tests.laws.validity import JUDGES
from tests.laws.validity.streams import frames

ANTHROPIC, GEMINI = wire_named("anthropic"), wire_named("gemini")
CHAT, RESPONSES = wire_named("openai_chat"), wire_named("openai_responses")
SCHEMA: JsonObject = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
LOOK = Tool(name="look", schema=SCHEMA)
by_foreign_client = pytest.mark.parametrize(
    "client", [CHAT, RESPONSES, GEMINI], ids=["openai_chat", "openai_responses", "gemini"]
)
by_foreign_upstream = pytest.mark.parametrize(
    "upstream", [ANTHROPIC, CHAT, RESPONSES], ids=["anthropic", "openai_chat", "openai_responses"]
)


def answer(*parts: Text | Thinking | ToolCall, usage: Usage | None = None) -> Response:
    return Response(id="r", model="m", parts=parts, finish=Finish("stop"), usage=usage)


def ask_gemini(**body: Any) -> Request:
    return GEMINI.parse_request({"contents": [{"role": "user", "parts": [{"text": "Go."}]}], **body}, model="m")


# Seen of one that speaks Chat within


@by_foreign_client
def test_a_pause_is_no_limit(client: Wire) -> None:
    paused = Response(id="r", model="m", parts=(Text(text="So."),), finish=Finish("paused"))
    for each in both(paused, ANTHROPIC, client):
        assert each.finish is not None
        assert each.finish.reason in {"stop", "paused"}


@by_foreign_upstream
def test_clients_of_gemini_get_the_ids_of_calls(upstream: Wire) -> None:
    body, _ = told(answer(ToolCall(id="call_7", name="look")), upstream, GEMINI)
    assert '"id":"call_7"' in text_of(body)


@by_foreign_upstream
def test_two_calls_of_one_tool_without_ids_stay_two(upstream: Wire) -> None:
    calls = [{"functionCall": {"name": "look", "args": {"at": at}}} for at in "ab"]
    results = [{"functionResponse": {"name": "look", "response": {"result": at}}} for at in "ab"]
    contents = [
        {"role": "user", "parts": [{"text": "Go."}]},
        {"role": "model", "parts": calls},
        {"role": "user", "parts": results},
    ]
    body = upstream.render_request(ask_gemini(contents=contents), able(upstream)).body
    seen = upstream.parse_request(body, model="m")
    ids = [part.id for message in seen.messages for part in message.parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2
    assert list(JUDGES[upstream.name](body, able(upstream))) == []


@by_foreign_upstream
def test_every_part_of_a_system_instruction_arrives(upstream: Wire) -> None:
    request = ask_gemini(systemInstruction={"parts": [{"text": "Be brief."}, {"text": "Be kind."}]})
    body = text_of(upstream.render_request(request, able(upstream)).body)
    assert "Be brief." in body
    assert "Be kind." in body


@by_foreign_upstream
def test_a_result_after_a_text_finds_its_call(upstream: Wire) -> None:
    contents = [
        {"role": "user", "parts": [{"text": "Go."}]},
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
        {
            "role": "user",
            "parts": [{"text": "Here:"}, {"functionResponse": {"name": "look", "response": {"result": "seen"}}}],
        },
    ]
    rendered = upstream.render_request(ask_gemini(contents=contents), able(upstream))
    assert list(JUDGES[upstream.name](rendered.body, able(upstream))) == []
    assert "seen" in text_of(rendered.body)
    assert rendered.losses == ()


@by_foreign_upstream
def test_settings_of_clients_of_gemini_arrive_or_are_told(upstream: Wire) -> None:
    request = ask_gemini(
        tools=[{"functionDeclarations": [{"name": "look"}, {"name": "now"}]}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look", "now"]}},
        generationConfig={
            "seed": 7, "presencePenalty": 0.5, "frequencyPenalty": 0.25, "responseMimeType": "application/json",
        },
    )  # fmt: skip
    rendered = upstream.render_request(request, able(upstream))
    seen, paths = received(rendered, upstream), {loss.path for loss in rendered.losses}
    for name in ("seed", "presence_penalty", "frequency_penalty"):
        kept = getattr(seen.sampling, name) == getattr(request.sampling, name)
        assert kept is not (name in paths)
    assert (seen.output is not None and seen.output.kind == "json") or "response_format" in paths
    choice = seen.tool_choice
    assert choice is not None
    assert choice.mode == "required"
    assert set(choice.names) in ({"look", "now"}, set())
    thinks = ask_gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 8192}})
    reasoning = received(upstream.render_request(thinks, able(upstream)), upstream).reasoning
    assert reasoning is not None
    assert reasoning.budget_tokens == 8192 or reasoning.effort == "medium"


@by_foreign_upstream
def test_clients_of_gemini_get_thoughts_and_all_tokens(upstream: Wire) -> None:
    usage = Usage(input_uncached=10, cache_read=100, output=20, reasoning=7)
    full = answer(Thinking(sections=("Hm.",), signature="c2ln", origin=upstream.name), Text(text="So."), usage=usage)
    body, _ = told(full, upstream, GEMINI)
    assert '"text":"Hm.","thought":true' in text_of(body)
    counts = body["usageMetadata"]
    assert isinstance(counts, dict)
    assert (counts["cachedContentTokenCount"], counts["thoughtsTokenCount"]) == (100, 7)
    assert (counts["promptTokenCount"], counts["totalTokenCount"]) == (110, 137)


def test_tokens_of_hosted_tools_are_counted() -> None:
    counts = {"promptTokenCount": 10, "toolUsePromptTokenCount": 30, "candidatesTokenCount": 5, "totalTokenCount": 45}
    body: JsonObject = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "So."}]}, "finishReason": "STOP"}],
        "usageMetadata": counts,
    }
    usage = GEMINI.parse_response(body, maker="gemini").usage
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (40, 5)


def test_iterations_are_no_second_usage() -> None:
    usage: JsonObject = {
        "input_tokens": 10,
        "output_tokens": 5,
        "iterations": [{"type": "message", "input_tokens": 10, "output_tokens": 5}],
    }
    body: JsonObject = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "So."}], "usage": usage,
    }  # fmt: skip
    found = ANTHROPIC.parse_response(body, maker="anthropic").usage
    assert found is not None
    assert (found.input_total, found.output_total) == (10, 5)


def test_one_stream_has_one_id() -> None:
    stream = streamed(answer(Text(text="So. " * 5), ToolCall(id="c", name="look")), GEMINI, CHAT)
    chunks = [frame for _, frame in frames(stream) if isinstance(frame, dict)]  # all but [DONE]
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_events_of_responses_are_numbered_and_thoughts_are_no_output() -> None:
    full = answer(Thinking(sections=("Hm.",), signature="c2ln", origin="anthropic"), Text(text="So."))
    told_all = [frame for _, frame in frames(streamed(full, ANTHROPIC, RESPONSES))]
    assert [frame["sequence_number"] for frame in told_all] == list(range(len(told_all)))
    output = told_all[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message"]
    assert "output_text" not in text_of(output[0])


@by_upstream
def test_errors_have_the_clients_form_and_the_upstreams_status(upstream: Wire) -> None:
    body = {"error": {"message": "Too large.", "type": "invalid_request_error"}}
    failure = upstream.parse_error(413, {}, text_of(body).encode())
    assert failure.status == 413
    told_to_gemini = GEMINI.render_error(failure)["error"]
    assert isinstance(told_to_gemini, dict)
    assert (told_to_gemini["code"], told_to_gemini["status"]) == (413, "INVALID_ARGUMENT")


@by_client
def test_a_constant_reaches_gemini(client: Wire) -> None:
    schema: JsonObject = {"type": "object", "properties": {"kind": {"const": "cat"}}}
    for profile in (able(GEMINI), replace(able(GEMINI), has_full_schema=False)):
        body = sent(asked(tools=(Tool(name="look", schema=schema),)), client, GEMINI, profile).body
        assert '"const":"cat"' in text_of(body) or '"enum":["cat"]' in text_of(body)


def test_a_failed_response_keeps_its_status() -> None:
    error = {"code": "rate_limit_exceeded", "message": "Slow down."}
    event = {"type": "response.failed", "sequence_number": 0, "response": {"status": "failed", "error": error}}
    parser = RESPONSES.stream_parser(maker="openai_responses")
    events = [*parser.feed(b"event: response.failed\ndata: " + text_of(event).encode() + b"\n\n"), *parser.finish()]
    assert [getattr(event, "status", None) for event in events] == [429]


# Seen of one that translates from each wire to each


@by_foreign_client
def test_claude_gets_what_was_asked_and_nothing_more(client: Wire) -> None:
    request = asked(
        sampling=Sampling(max_output_tokens=99, temperature=0.5, top_p=0.9, stop=("END",)),
        output=OutputFormat(kind="json_schema", schema={**SCHEMA, "additionalProperties": False}),
        tools=(LOOK,),
        tool_choice=ToolChoice(mode="none"),
    )
    body = sent(request, client, ANTHROPIC).body
    if client is not RESPONSES:  # which knows no stop sequences
        assert body["stop_sequences"] == ["END"]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 0.9, 99)
    assert body["tool_choice"] == {"type": "none"}
    assert "output_config" in body
    assert "cache_control" not in text_of(body)


@by_foreign_client
def test_claude_may_write_as_much_as_it_can(client: Wire) -> None:
    assert sent(asked(), client, ANTHROPIC).body["max_tokens"] == able(ANTHROPIC).max_output_tokens


@pytest.mark.parametrize("upstream", [CHAT, RESPONSES], ids=["openai_chat", "openai_responses"])
def test_openai_gets_all_that_claudes_clients_ask(upstream: Wire) -> None:
    document = Media(kind="document", media_type="text/plain", data="SGVsbG8gZG9jdW1lbnQ=")
    request = asked(
        Text(text=" "), document, Text(text="Go."),
        sampling=Sampling(max_output_tokens=99, temperature=0.5, top_p=0.9, top_k=7),
        tools=(LOOK,), tool_choice=ToolChoice(mode="none"),
    )  # fmt: skip
    rendered = sent(request, ANTHROPIC, upstream)
    body, seen = rendered.body, received(rendered, upstream)
    assert (seen.sampling.temperature, seen.sampling.top_p) == (0.5, 0.9)
    assert seen.sampling.top_k == 7 or "top_k" in {loss.path for loss in rendered.losses}
    assert body["tool_choice"] == "none"
    assert "SGVsbG8gZG9jdW1lbnQ=" in text_of(body) or "Hello document" in text_of(body)
    switched = asked(tools=(LOOK,), tool_choice=ToolChoice(mode="auto", is_parallel=False))
    assert sent(switched, ANTHROPIC, upstream).body["parallel_tool_calls"] is False


@pytest.mark.parametrize("client", [ANTHROPIC, CHAT, GEMINI], ids=["anthropic", "openai_chat", "gemini"])
def test_responses_gets_what_was_asked_and_nothing_is_forced(client: Wire) -> None:
    request = asked(
        sampling=Sampling(max_output_tokens=99, temperature=0.5, top_p=0.9), output=OutputFormat(kind="json")
    )
    if client is ANTHROPIC:  # which has no json mode without a schema
        request = asked(sampling=request.sampling)
    body = sent(request, client, RESPONSES).body
    assert (body["max_output_tokens"], body["temperature"], body["top_p"]) == (99, 0.5, 0.9)
    assert ("text" in body) is (client is not ANTHROPIC)
    assert not body.keys() & {"parallel_tool_calls", "reasoning", "prompt_cache_key", "tool_choice"}
    seeds = sent(asked(sampling=Sampling(seed=7, stop=("END",))), client, RESPONSES)
    told_of = {loss.path for loss in seeds.losses}
    assert told_of == ({"stop"} if client is ANTHROPIC else {"seed", "stop"})


@by_client
def test_arguments_are_passed_on_as_they_come(client: Wire) -> None:
    """Gemini alone has calls in one piece."""
    full = answer(ToolCall(id="c", name="look", arguments='{"at":"here and there"}'))
    events = list(explode(full))
    pieces = [PartDelta(0, piece) for piece in ('{"at":', '"here ', 'and there"}')]
    before = [event for event in events if not isinstance(event, PartDelta | ResponseEnd)][:-1]
    sizes = [len(rendered_events([*before, *pieces[:count]], client)) for count in range(4)]
    if client is GEMINI:
        assert len(set(sizes)) == 1
    else:
        assert sizes == sorted(set(sizes))


@by_client
def test_usage_of_an_early_event_is_kept(client: Wire) -> None:
    """Claude tells of the prompt at the start, and of the answer at the end."""
    lines = [
        {"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 1},
        }},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "So."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]  # fmt: skip
    data = "".join(f"event: {line['type']}\ndata: {text_of(line)}\n\n" for line in lines).encode()
    parser = ANTHROPIC.stream_parser(maker="anthropic")
    seen = followed(rendered_events([*parser.feed(data), *parser.finish()], client), client)
    assert seen.usage is not None
    assert (seen.usage.input_total, seen.usage.cache_read, seen.usage.output_total) == (110, 100, 5)


def test_answers_of_gemini_differ_in_their_ids() -> None:
    ids = set()
    for name in ("one", "two"):
        body = GEMINI.render_response(answer(Text(text=name)), REPLY).body
        found = GEMINI.parse_response({**body, "responseId": name}, maker="gemini")
        ids.add(str(ANTHROPIC.render_response(found, REPLY).body["id"]))
    assert len(ids) == 2 or all(REPLY.request_id in each for each in ids)


def test_claudes_cache_is_read_not_written_for_gemini() -> None:
    usage = Usage(input_uncached=10, cache_read=100, cache_write=40, output=5)
    body, _ = told(answer(Text(text="So."), usage=usage), ANTHROPIC, GEMINI)
    counts = body["usageMetadata"]
    assert isinstance(counts, dict)
    assert (counts["promptTokenCount"], counts["cachedContentTokenCount"]) == (150, 100)
    assert "trafficType" not in text_of(told(answer(), ANTHROPIC, GEMINI)[0])


@by_upstream
def test_no_key_of_a_cache_is_made_up(upstream: Wire) -> None:
    for client in WIRES:
        assert "prompt_cache_key" not in sent(asked(), client, upstream).body
    keyed = asked(hints=Hints(cache_key="k"))
    for client in (CHAT, RESPONSES):
        rendered = sent(keyed, client, upstream)
        arrived = rendered.body.get("prompt_cache_key") == "k"
        assert arrived is not any(loss.path == "prompt_cache_key" for loss in rendered.losses)
