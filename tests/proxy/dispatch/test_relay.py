from __future__ import annotations

import random
from collections.abc import Iterator
from os import environ
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auth.credential import Credential
from proxy.config.payload import Payload, PayloadRule
from proxy.dispatch.asked import Asked
from proxy.dispatch.catalogue import Found
from proxy.dispatch.decision import Candidate
from proxy.dispatch.passage import Seen
from proxy.dispatch.payload import Edits
from proxy.dispatch.relay import RelayPassage, RelayPlan, read_whole
from proxy.hub.events import Failure
from proxy.providers import anthropic, gemini, openai
from proxy.providers.base import Provider
from proxy.providers.openai_compatible import provider_named
from proxy.wire.table import wire_named

CHAT = provider_named("local", "http://127.0.0.1:1/v1", ("m",))
NO_EDITS = Edits(Payload(), "m", "")
FAILURE = Failure(kind="overloaded", status=529, message="too much")


def plan(lab: Any, provider: Provider, body: object, *, edits: Edits = NO_EDITS, **fields: Any) -> RelayPlan:
    """`model` is the client's name; the upstream's is ``upstream-m``."""
    inquiry = lab.inquiry(provider.wire, body, **{"model": "alias", **fields})
    asked = Asked(inquiry, Found("alias", ()), wire_named(provider.wire), created=1)
    credential = Credential(id="c", provider=provider.name, label="c")
    return RelayPlan(asked, Candidate(provider, credential, "upstream-m"), edits)


def test_nothing_to_change_is_the_very_bytes(lab: Any) -> None:
    body = b'{ "model" : "upstream-m", "temperature": 1.0, "unknown": 1e2 }'
    assert plan(lab, CHAT, body, model="upstream-m").call.body is body


def test_the_model_is_replaced_and_the_rest_keeps_its_order_and_spelling(lab: Any) -> None:
    body = b'{"seed": 1e2, "model": "alias", "x_new": {"b": 1.0}, "messages": []}'
    assert plan(lab, CHAT, body).call.body == b'{"seed":1e2,"model":"upstream-m","x_new":{"b": 1.0},"messages":[]}'


def test_the_operators_rules_touch_only_what_they_name(lab: Any) -> None:
    edits = Edits(Payload(override=(PayloadRule(params={"a.b": 2}),)), "upstream-m", "openai_chat")
    body = b'{"model":"alias","n":1.50,"a":{"b":1,"c":3}}'
    assert plan(lab, CHAT, body, edits=edits).call.body == b'{"model":"upstream-m","n":1.50,"a":{"b":2,"c":3}}'


def test_gemini_names_the_model_in_the_path(lab: Any) -> None:
    body = b'{"contents": [{"parts":[{"text":"x"}]}]}'
    relayed = plan(lab, gemini.PROVIDER, body)
    assert relayed.call.body is body
    assert "/models/upstream-m:generateContent" in relayed.call.url
    named = plan(lab, gemini.PROVIDER, b'{"model":"models/alias","contents":[]}')
    assert named.call.body == b'{"model":"models/upstream-m","contents":[]}'


def test_geminis_nested_model_names_agree_with_the_path(lab: Any) -> None:
    batch = plan(
        lab, gemini.PROVIDER, {"requests": [{"model": "models/alias", "content": {}}]}, operation="embed_batch"
    )
    assert msgspec.json.decode(batch.call.body) == {"requests": [{"model": "models/upstream-m", "content": {}}]}
    count = plan(
        lab,
        gemini.PROVIDER,
        {"generateContentRequest": {"model": "models/alias", "contents": []}},
        operation="count_tokens",
    )
    assert msgspec.json.decode(count.call.body)["generateContentRequest"]["model"] == "models/upstream-m"


def test_patches_of_a_provider(lab: Any) -> None:
    def patch(body: dict[str, Any]) -> None:
        body["project"] = "p"

    patched = Provider(**{
        **{name: getattr(CHAT, name) for name in CHAT.__dataclass_fields__}, "patches": (patch,)
    })  # fmt: skip
    assert msgspec.json.decode(plan(lab, patched, {"model": "alias"}).call.body) == {
        "model": "upstream-m", "project": "p",
    }  # fmt: skip


MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model": "upstream-m", "content":[{"type":"text","text":"Hi"}],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2},"new":1.50}'
)


def test_a_whole_answer_passes_as_it_came_but_for_the_model(lab: Any) -> None:
    whole = plan(lab, anthropic.PROVIDER, {"model": "alias"}).whole(MESSAGE)
    assert whole.body == MESSAGE.replace(b'"upstream-m"', b'"alias"')
    assert whole.seen.usage is not None
    assert (whole.seen.usage.input_uncached, whole.seen.usage.output) == (3, 2)
    same = plan(lab, anthropic.PROVIDER, {"model": "upstream-m"}, model="upstream-m").whole(MESSAGE)
    assert same.body is MESSAGE


def test_what_our_reader_does_not_know_passes(lab: Any) -> None:
    body = b'{"choices":[{"brand":"new"}],"object":"chat.completion.next"}'
    whole = plan(lab, CHAT, {"model": "alias"}).whole(body)
    assert (whole.body, whole.seen.failure) == (body, None)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "overloaded"),
        (b"<!DOCTYPE html><html>Bad gateway</html>", "stream_corrupt"),
        (b"", "stream_corrupt"),
        (b'["x"]', "stream_corrupt"),
    ],
)
def test_what_is_no_answer_is_a_failure(lab: Any, body: bytes, kind: str) -> None:
    failure = plan(lab, anthropic.PROVIDER, {"model": "alias"}).whole(body).seen.failure
    assert failure is not None
    assert failure.kind == kind


def sse(event: dict[str, Any]) -> bytes:
    return b"event: " + event["type"].encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"


STREAM = (
    sse({
        "type": "message_start",
        "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "upstream-m", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1},
        },
    }),
    sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    b'event: ping\ndata: {"type": "ping"}   \n\n',
    sse({
        "type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": 'the "model":"upstream-m" says "type":"error"'},
    }),
    sse({"type": "content_block_stop", "index": 0}),
    sse({
        "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 7},
    }),
    sse({"type": "message_stop"}),
)  # fmt: skip


def test_frames_pass_byte_for_byte_and_the_tap_reads_usage_and_end(lab: Any) -> None:
    passage = plan(lab, anthropic.PROVIDER, {}, model="upstream-m", is_stream=True).passage()
    told = [passage.feed(frame) for frame in STREAM] + [passage.finish()]
    assert b"".join(told) == b"".join(STREAM)
    seen = passage.seen
    assert seen.usage is not None
    assert (seen.usage.input_uncached, seen.usage.output, seen.is_ended, seen.failure) == (3, 7, True, None)


@pytest.mark.parametrize("wire", ["anthropic", "gemini"])
def test_a_stream_that_comes_all_at_once_has_the_usage_of_its_end(lab: Any, wire: str) -> None:
    """What looks for the first content reads its beginning when the tap has read its end."""
    if wire == "anthropic":
        provider, told = anthropic.PROVIDER, b"".join(STREAM)
    else:
        candidate = {"content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP", "index": 0}
        usage = {"promptTokenCount": 3, "candidatesTokenCount": 7}
        value = {"candidates": [candidate], "usageMetadata": usage}
        provider, told = gemini.PROVIDER, b"data: " + msgspec.json.encode(value) + b"\r\n\r\n"
    passage = plan(lab, provider, {}, model="upstream-m", is_stream=True).passage()
    assert passage.feed(told) + passage.finish() == told
    seen = passage.seen
    assert seen.usage is not None
    assert (seen.usage.input_uncached, seen.usage.output, seen.is_ended, seen.failure) == (3, 7, True, None)


def test_the_limits_of_one_account_stay_here(lab: Any) -> None:
    """Codex's backend tells them among the answer's events."""
    limits = sse({"type": "codex.rate_limits", "rate_limits": {"primary": {"used_percent": 90}}})
    told = sse({"type": "response.output_text.delta", "item_id": "m", "delta": '"type":"codex.rate_limits"'})
    passage = plan(lab, openai.PROVIDER, {}, is_stream=True).passage()
    assert passage.feed(limits + told + limits) == told


def test_content_is_seen_when_it_comes_and_not_before(lab: Any) -> None:
    passage = plan(lab, anthropic.PROVIDER, {}, is_stream=True).passage()
    states = []
    for frame in STREAM[:4]:
        passage.feed(frame)
        states.append(passage.seen.has_content)
    assert states == [False, False, False, True]


def test_the_clients_model_is_echoed_in_frames_and_only_there(lab: Any) -> None:
    passage = plan(lab, anthropic.PROVIDER, {}, is_stream=True).passage()
    told = b"".join([passage.feed(b"".join(STREAM)), passage.finish()])
    assert told == b"".join(STREAM).replace(b'"model":"upstream-m"', b'"model":"alias"', 1)


def test_cuts_anywhere_give_the_same_bytes(lab: Any) -> None:
    source = b"".join(STREAM)
    for seed in range(20):
        chance = random.Random(seed)  # noqa: S311 - cuts, not secrets
        passage = plan(lab, anthropic.PROVIDER, {}, model="upstream-m", is_stream=True).passage()
        told, at = b"", 0
        while at < len(source):
            size = chance.randint(1, 60)
            told += passage.feed(source[at : at + size])
            at += size
        assert told + passage.finish() == source


def test_a_stream_that_is_cut_inside_a_frame_ends_with_a_proper_error(lab: Any) -> None:
    passage = plan(lab, anthropic.PROVIDER, {}, model="upstream-m", is_stream=True).passage()
    told = passage.feed(b"".join(STREAM[:4]) + STREAM[4][:30]) + passage.finish()
    assert told == b"".join(STREAM[:4])
    failure = passage.seen.failure
    assert failure is not None
    assert passage.fail(failure).startswith(b"event: error\ndata: ")


def test_an_end_without_its_blank_line_still_counts(lab: Any) -> None:
    passage = plan(lab, CHAT, {"model": "upstream-m"}, model="upstream-m", is_stream=True).passage()
    chunk = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}'
    told = passage.feed(chunk) + passage.finish()
    assert (told, passage.seen.failure) == (chunk, None)


def test_a_stream_without_its_end_is_a_failure(lab: Any) -> None:
    passage = plan(lab, anthropic.PROVIDER, {}, is_stream=True).passage()
    passage.feed(b"".join(STREAM[:5]))
    passage.finish()
    assert passage.seen.failure is not None


def test_the_upstreams_own_error_is_told_once(lab: Any) -> None:
    passage = plan(lab, anthropic.PROVIDER, {}, model="upstream-m", is_stream=True).passage()
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    told = passage.feed(b"".join(STREAM[:4]) + error)
    failure = passage.seen.failure
    assert failure is not None
    assert failure.kind == "overloaded"
    assert told.endswith(error)
    assert passage.fail(failure) == b""


def test_responses_go_on_numbering_where_the_upstream_stopped(lab: Any) -> None:
    passage = plan(lab, openai.PROVIDER, {}, model="upstream-m", is_stream=True).passage()
    passage.feed(
        b'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{"id":"resp_9",'
        b'"object":"response","created_at":1,"model":"upstream-m","status":"in_progress","output":[],"store":true}}\n\n'
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":41,'
        b'"item_id":"i","output_index":0,"content_index":0,"delta":"x"}\n\n'
    )
    last = passage.fail(FAILURE)
    frames = [msgspec.json.decode(each.partition(b"data: ")[2]) for each in last.split(b"\n\n") if each]
    assert frames[-1]["type"] in {"response.failed", "error"}
    assert [each["sequence_number"] for each in frames] == list(range(42, 42 + len(frames)))
    assert b"resp_9" in last or frames[-1]["type"] == "error"


def gemini_chunk(text: str, finish: str | None = None) -> bytes:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return b"data: " + msgspec.json.encode({"candidates": [candidate], "modelVersion": "upstream-m"}) + b"\r\n\r\n"


def test_a_json_array_for_clients_that_want_one(lab: Any) -> None:
    passage = plan(lab, gemini.PROVIDER, {}, is_stream=True, framing="json-array").passage()
    told = b"".join(passage.feed(gemini_chunk(*each)) for each in (("a",), ("b", "STOP"))) + passage.finish()
    values = msgspec.json.decode(told)
    assert [each["candidates"][0]["content"]["parts"][0]["text"] for each in values] == ["a", "b"]
    assert {each["modelVersion"] for each in values} == {"alias"}


def test_frames_of_a_websocket_are_lines(lab: Any) -> None:
    passage = plan(lab, openai.PROVIDER, {}, is_stream=True, framing="frames").passage()
    created = sse({
        "type": "response.created", "sequence_number": 0,
        "response": {"id": "r", "object": "response", "created_at": 1, "model": "upstream-m", "output": []},
    })  # fmt: skip
    delta = sse({"type": "response.output_text.delta", "sequence_number": 1, "item_id": "i", "delta": "x"})
    lines = passage.feed(created + delta).splitlines()
    assert [msgspec.json.decode(line)["type"] for line in lines] == ["response.created", "response.output_text.delta"]
    assert msgspec.json.decode(lines[0])["response"]["model"] == "alias"


def test_frames_of_a_websocket_hold_no_line_ends(lab: Any) -> None:
    passage = plan(lab, openai.PROVIDER, {}, is_stream=True, framing="frames").passage()
    spread = b'data: {"type":"response.created",\ndata: "response":{"id":"r","model":"upstream-m","output":[]}}\n\n'
    (line,) = passage.feed(spread).splitlines()
    assert msgspec.json.decode(line)["response"]["id"] == "r"


def test_an_error_event_becomes_a_failed_response_on_a_websocket(lab: Any) -> None:
    """Over there ``error`` has another shape, and a client that cannot read it would wait for ever."""
    passage = plan(lab, openai.PROVIDER, {}, is_stream=True, framing="frames").passage()
    passage.feed(sse({"type": "response.created", "sequence_number": 0, "response": {"id": "r", "model": "m"}}))
    delta = {"type": "response.output_text.delta", "sequence_number": 1, "output_index": 0, "delta": "x"}
    assert passage.feed(sse(delta))
    error = sse({"type": "error", "sequence_number": 2, "code": "server_error", "message": "it broke"})
    assert passage.feed(error + b"data: [DONE]\n\n") == b""
    assert passage.seen.failure is not None
    (line,) = passage.fail(passage.seen.failure).splitlines()
    failed = msgspec.json.decode(line)
    assert (failed["type"], failed["response"]["id"]) == ("response.failed", "r")
    assert "it broke" in failed["response"]["error"]["message"]


def test_a_failed_response_passes_to_a_websocket_as_it_is(lab: Any) -> None:
    passage = plan(lab, openai.PROVIDER, {}, is_stream=True, framing="frames").passage()
    failed = {"type": "response.failed", "response": {"id": "r", "error": {"code": "server_error", "message": "m"}}}
    (line,) = passage.feed(sse(failed) + b"data: [DONE]\n\n").splitlines()
    assert msgspec.json.decode(line) == failed
    assert passage.fail(FAILURE) == b""


def test_a_broken_json_array_is_closed(lab: Any) -> None:
    passage = plan(lab, gemini.PROVIDER, {}, is_stream=True, framing="json-array").passage()
    told = passage.feed(gemini_chunk("a")) + passage.finish()
    assert passage.seen.failure is not None
    values = msgspec.json.decode(told + passage.fail(passage.seen.failure))
    assert len(values) == 2
    assert "error" in values[1]


def test_an_upstream_that_does_not_stream_is_told_as_a_stream(lab: Any) -> None:
    told = plan(lab, anthropic.PROVIDER, {"model": "alias"}, is_stream=True).streamed(MESSAGE)
    assert told.body.startswith(b"event: message_start")
    assert b'"text":"Hi"' in told.body
    assert told.seen.has_content


FORMATS = {
    "openai-chat": "openai_chat",
    "openai-responses": "openai_responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
}


def recordings() -> Iterator[tuple[str, str, dict[str, Any]]]:
    folder = Path(environ.get("PROXY_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data")) / "cassettes"
    for path in sorted(folder.glob("*/*/*.json")):
        recording = msgspec.json.decode(path.read_bytes())
        if recording["format"] in FORMATS and recording["response"]["status"] == 200:
            yield path.name, FORMATS[recording["format"]], recording


def test_recorded_streams_pass_untouched_and_the_tap_sees_what_the_parser_sees(lab: Any) -> None:
    chance = random.Random(7)  # noqa: S311 - cuts, not secrets
    total, wrong = 0, []
    for name, wire, recording in recordings():
        if not recording["response"]["sse"]:
            continue
        source = recording["response"]["sse"].encode()
        inquiry = lab.inquiry(wire, {}, model="m", is_stream=True)
        passage = RelayPassage(Asked(inquiry, Found("m", ()), wire_named(wire), created=1), maker=wire, echo=None)
        told, at = b"", 0
        while at < len(source):
            size = chance.randint(1, 900)
            told += passage.feed(source[at : at + size])
            at += size
        told += passage.finish()
        parser = wire_named(wire).stream_parser(maker=wire)
        expected = Seen()
        for event in (*parser.feed(source), *parser.finish()):
            expected.note(event)
        total += 1
        assert told == source, name
        # A corrupt stream is the client's to judge; the tap looks at fewer frames than the parser.
        if expected.failure is None and (passage.seen.failure is not None or passage.seen != expected):
            wrong.append(name)
    if not total:
        pytest.skip("the recordings are not here")
    assert len(wrong) <= total * 0.01, wrong


def test_recorded_answers_are_read() -> None:
    total = 0
    for name, wire, recording in recordings():
        body = recording["response"]["body"]
        if isinstance(body, dict) and "error" not in body:
            total += 1
            seen = read_whole(wire_named(wire), msgspec.json.encode(body), wire)
            assert seen.failure is None, name
    if not total:
        pytest.skip("the recordings are not here")
