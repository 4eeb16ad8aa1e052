from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hub.events import (
    Event,
    Failure,
    OpaqueEvent,
    PartDelta,
    PartEnd,
    PartStart,
    ResponseEnd,
    ResponseStart,
)
from proxy.hub.fold import Fold
from proxy.hub.parts import Media, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.response import Response
from proxy.wire.openai_chat import WIRE

DONE = b"data: [DONE]\n\n"


def sse(*chunks: object) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice], **more}


def events_of(data: bytes, pieces: Iterable[bytes] | None = None) -> list[Event]:
    parser = WIRE.stream_parser(maker="openai_chat")
    events = [event for piece in (pieces or [data]) for event in parser.feed(piece)]
    return [*events, *parser.finish()]


def folded(data: bytes) -> Response:
    fold = Fold()
    for event in events_of(data):
        fold.feed(event)
    return fold.finish()


def failure(data: bytes) -> Failure:
    last = events_of(data)[-1]
    assert isinstance(last, Failure)
    return last


def told(part: Part) -> tuple[object, ...]:
    """A part without its residue."""
    match part:
        case Text(text=text) | Refusal(text=text):
            return (type(part).__name__, text)
        case Thinking():
            return ("Thinking", part.sections, part.signature)
        case ToolCall():
            return ("ToolCall", part.id, part.name, part.arguments, part.is_custom, part.signature)
        case _:
            return (type(part).__name__,)


def assembled(stream: str) -> dict[str, Any]:
    """The whole answer that a stream of OpenAI's own form stands for, put together the plain way."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    body: dict[str, Any] = {"choices": [{"index": 0, "message": message, "finish_reason": None}]}
    calls: dict[int, dict[str, Any]] = {}
    for line in stream.splitlines():
        if not line.startswith("data:") or line.endswith("[DONE]"):
            continue
        each = msgspec.json.decode(line[5:])
        usage = each.get("usage") or each.get("x_groq", {}).get("usage")
        if usage:
            body["usage"] = usage
        for choice in each.get("choices", []):
            if choice.get("index"):
                continue
            body.setdefault("id", each.get("id"))
            body.setdefault("created", each.get("created"))
            delta = choice.get("delta") or {}
            for key in ("content", "refusal", "reasoning_content", "reasoning"):
                if isinstance(delta.get(key), str):
                    message[key] = (message.get(key) or "") + delta[key]
            for entry in delta.get("tool_calls") or []:
                call = calls.setdefault(entry.get("index", len(calls)), {"function": {"name": "", "arguments": ""}})
                call["id"] = call.get("id") or entry.get("id")
                for key in ("name", "arguments"):
                    call["function"][key] += entry["function"].get(key) or ""
            body["choices"][0]["finish_reason"] = choice.get("finish_reason") or body["choices"][0]["finish_reason"]
    if calls:
        message["tool_calls"] = list(calls.values())
    return body


def test_law_3_a_stream_is_its_whole_answer(recordings: list[Any]) -> None:
    faults: list[object] = []
    compared = 0
    for each in recordings:
        if each.sse is None:
            continue
        fold = Fold()
        for event in events_of(each.sse.encode()):
            fold.feed(event)
        if fold.failure is not None:
            assert '"error"' in each.sse, each.name
            continue
        response = fold.finish()
        if '"thinking"' in each.sse or "reasoning_details" in each.sse:  # told in more places than `assembled` looks at
            continue
        compared += 1
        whole = WIRE.parse_response(assembled(each.sse), maker="openai_chat")
        if [*map(told, response.parts)] != [*map(told, whole.parts)] or (response.finish, response.usage) != (
            whole.finish,
            whole.usage,
        ):
            faults.append(each.name)
    assert faults == []
    assert compared > 50


def test_law_7_start_and_deltas_are_the_end(recordings: list[Any]) -> None:
    for each in recordings:
        texts: dict[int, str] = {}
        for event in events_of((each.sse or "").encode()) if each.sse else []:
            match event:
                case PartStart(index=index):
                    texts[index] = ""
                case PartDelta(index=index, text=text):
                    texts[index] += text
                case PartEnd(index=index, part=ToolCall(arguments=text) | Text(text=text) | Refusal(text=text)):
                    assert texts[index] == text
                case PartEnd(index=index, part=Thinking(sections=sections)):
                    assert texts[index] == "".join(sections)
                case _:
                    pass


HALVES = (
    b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\r\n\r\n',
    b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"\\ude00 \xc3\xa9"}}]}\r\n\r\n',
)
EMOJI = b"".join(HALVES)
MIXED = (
    b": hello\r\n\r\n"
    + EMOJI
    + sse(
        chunk({"reasoning_content": "h", "content": None}),
        chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":"é"}'}}]}),
        chunk({}, "tool_calls"),
    )
    + DONE
)


@given(cuts=st.lists(st.integers(0, len(MIXED)), max_size=12))
def test_law_5_cuts_may_fall_anywhere(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(MIXED)]
    pieces = [MIXED[start:end] for start, end in itertools.pairwise(borders)]
    assert events_of(MIXED, pieces) == events_of(MIXED)


def test_law_5_for_each_recording_byte_by_byte(recordings: list[Any]) -> None:
    for each in recordings:
        if each.sse and len(each.sse) < 6000:
            data = each.sse.encode()
            assert events_of(data, [data[i : i + 1] for i in range(len(data))]) == events_of(data), each.name


def test_a_pair_of_surrogates_cut_in_two_is_joined() -> None:
    assert folded(EMOJI + sse(chunk({}, "stop"))).parts[0] == Text(text="😀 é")


def test_half_a_pair_at_the_end_is_replaced() -> None:
    assert folded(HALVES[0] + sse(chunk({}, "stop"))).parts[0] == Text(text="\ufffd")


def test_a_stream_as_a_transcript() -> None:
    events = events_of(
        sse(
            chunk({"role": "assistant", "content": "", "refusal": None}),
            chunk({"reasoning_content": "hm"}),
            chunk({"content": "I "}),
            chunk({"content": "look."}),
            chunk(
                {
                    "tool_calls": [
                        {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                }
            ),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            chunk({}, "tool_calls"),
            {"id": "a", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
        )
        + DONE
    )
    assert [type(event).__name__ for event in events] == [
        "ResponseStart",
        "PartStart", "PartDelta", "PartEnd",
        "PartStart", "PartDelta", "PartDelta", "PartEnd",
        "PartStart", "PartDelta", "PartEnd",
        "ResponseEnd",
    ]  # fmt: skip
    start, end = events[0], events[-1]
    assert isinstance(start, ResponseStart)
    assert (start.id, start.model, start.created) == ("a", "up", 1)
    assert isinstance(end, ResponseEnd)
    assert end.finish.reason == "tool_calls"
    assert end.usage is not None
    assert end.usage.input_total == 3


def test_the_first_token_is_not_held_back() -> None:
    parser = WIRE.stream_parser(maker="m")
    events = parser.feed(sse(chunk({"role": "assistant", "content": "H"})))
    assert [type(event).__name__ for event in events] == ["ResponseStart", "PartStart", "PartDelta"]


def test_a_text_ends_when_a_call_begins() -> None:
    """So that clients whose parts cannot overlap see the call at once."""
    parser = WIRE.stream_parser(maker="m")
    parser.feed(sse(chunk({"content": "x"})))
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}
    events = parser.feed(sse(chunk({"tool_calls": [call]})))
    assert [type(event).__name__ for event in events] == ["PartEnd", "PartStart"]


STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(
    "data",
    [
        sse(chunk({"content": "hi"}), chunk({}, "stop", usage=USAGE)) + DONE,
        sse(chunk({"content": "hi"}, usage={**USAGE, "completion_tokens": 1}), chunk({}, "stop", usage=USAGE)),
        sse(chunk({"content": "hi"}, usage=USAGE), chunk({}, "stop", usage=None)) + DONE,
        sse(chunk({"content": "hi"}, usage=ZERO), chunk({}, "stop"), {"choices": [], "usage": USAGE}) + DONE,
        sse(chunk({"content": "hi"}), {"choices": [], "usage": USAGE}, chunk({}, "stop"), {"usage": ZERO}) + DONE,
        sse(chunk({"content": "hi"}), chunk({}, "stop", x_groq={"id": "r", "usage": USAGE})) + DONE,
        sse(chunk({"content": "hi"}), chunk({}, "stop"), chunk({}, "stop", usage=USAGE)) + DONE,
    ],
)
def test_bug_60_usage_comes_early_late_often_as_null_or_elsewhere(data: bytes) -> None:
    usage = folded(data).usage
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (3, 2)


def test_bug_63_a_clean_end_without_a_reason() -> None:
    response = folded(sse(chunk({"content": "hi"})) + DONE)
    assert response.finish is not None
    assert (response.finish.reason, response.finish.raw) == ("stop", None)
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    response = folded(sse(chunk({"tool_calls": [call]})) + DONE)
    assert response.finish is not None
    assert response.finish.reason == "tool_calls"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        DONE,
        sse(chunk({"content": "hi"})),
        sse(chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a'}}]})) + DONE,
        sse(chunk({"content": "hi"})) + b"data: {not json\n\n",
        sse(chunk({"content": "hi"})) + b"data: " + b"[" * 20_000 + b"\n\n",
        sse(chunk({"content": [{"type": "image_url"}]})),
        sse(chunk({}, "error")),
    ],
    ids=["nothing", "done only", "cut", "cut in a call", "no json", "too deep", "not a part", "error"],
)
def test_bug_63_a_broken_end_is_an_error_and_then_nothing(data: bytes) -> None:
    assert failure(data).kind == "stream_corrupt"
    parser = WIRE.stream_parser(maker="m")
    parser.feed(data)
    parser.finish()
    assert parser.feed(sse(chunk({"content": "more"}))) == []
    assert parser.finish() == []


def test_bug_65_an_error_in_mid_stream() -> None:
    failed = failure(sse(chunk({"content": "hi"}), {"error": {"message": "Token limit reached", "code": 400}}) + DONE)
    assert (failed.message, failed.status) == ("Token limit reached", 400)
    named = failure(b'event: error\ndata: {"message":"busy","type":"server_error"}\n\n')
    assert named.message == "busy"


def test_bug_68_an_empty_role_and_nulls_are_tolerated() -> None:
    delta = {"role": "", "content": None, "tool_calls": None, "function_call": None, "audio": None, "refusal": None}
    assert folded(sse(chunk(delta), chunk({"content": "hi"}), chunk(delta, "stop"))).parts == (Text(text="hi"),)


def test_the_filters_chunk_before_the_answer_is_not_its_start() -> None:
    """Azure's first chunk has neither choices nor id."""
    first = {"choices": [], "created": 0, "id": "", "model": "", "prompt_filter_results": [{"prompt_index": 0}]}
    response = folded(sse(first, chunk({"content": "hi"}), chunk({}, "stop")) + DONE)
    assert response.id == "a"


def test_further_choices_are_opaque() -> None:
    second = {"index": 1, "delta": {"content": "two"}, "finish_reason": None}
    events = events_of(sse(chunk({"content": "one"}), {"id": "a", "choices": [second]}, STOP))
    assert [event for event in events if isinstance(event, OpaqueEvent)] == [
        OpaqueEvent("openai_chat", "choice", second)
    ]


def test_mistrals_content_lists() -> None:
    block = {"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}
    data = sse(
        chunk({"content": [block]}),
        chunk({"content": [{**block, "closed": True}]}),
        chunk({"content": [{"type": "text", "text": "1"}]}),
        chunk({"content": "44"}),
        chunk({"content": [{"type": "reference", "reference_ids": [1]}]}, "stop"),
    )
    assert [*map(told, folded(data).parts)] == [("Thinking", ("hh",), None), ("Text", "144"), ("Opaque",)]


def test_bug_11_the_signature_of_a_stream_is_that_of_the_whole_answer() -> None:
    pieces = [
        {"reasoning": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0}]},
        {"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.text", "signature": "s", "index": 0}]},
        {"content": "so"},
    ]
    details = [{"type": "reasoning.text", "text": "hm", "index": 0, "signature": "s"}]
    whole = {"choices": [{"message": {"content": "so", "reasoning": "hm", "reasoning_details": details}}]}
    stream = folded(sse(*(chunk(piece) for piece in pieces), chunk({}, "stop")))
    assert stream.parts == WIRE.parse_response(whole, maker="openai_chat").parts


def test_refusals_citations_logprobs_and_strangers_are_kept() -> None:
    logprobs = {"content": [{"token": "hi"}], "refusal": None}
    one, two = chunk({"content": "h", "annotations": [1]}), chunk({"content": "i", "annotations": [2]}, "stop")
    for each in (one, two):
        each["choices"][0]["logprobs"] = logprobs
    response = folded(sse(one, {**two, "citations": ["u"]}))
    assert response.residue is not None
    assert response.residue.fields == {
        "citations": ["u"],
        "choices[0].message.annotations": [1, 2],
        "choices[0].logprobs": {"content": [{"token": "hi"}, {"token": "hi"}], "refusal": None},
    }
    refused = folded(sse(chunk({"refusal": "I can"}), chunk({"refusal": "not"}), chunk({}, "stop")))
    assert refused.parts == (Refusal(text="I cannot"),)
    assert refused.finish is not None
    assert refused.finish.reason == "refusal"


def test_sound_comes_whole() -> None:
    pieces = [{"id": "au", "transcript": "h"}, {"data": "AAE="}, {"data": "Ag=="}, {"transcript": "i", "expires_at": 9}]
    part = folded(sse(*(chunk({"audio": piece}) for piece in pieces), chunk({}, "stop"))).parts[0]
    assert isinstance(part, Media)
    assert part.data == "AAEC"
    assert part.residue is not None
    assert part.residue.fields == {"expires_at": 9, "transcript": "hi"}


def test_images_come_whole() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = folded(sse(chunk({"content": "see", "images": [image]}), chunk({}, "stop"))).parts
    assert [type(part).__name__ for part in parts] == ["Text", "Media"]


def test_cumulative_messages_beside_deltas_are_ignored() -> None:
    """Perplexity repeats the whole message in each chunk."""
    one, two = chunk({"content": "h"}), chunk({"content": "i"}, "stop")
    one["choices"][0]["message"] = {"content": "h"}
    two["choices"][0]["message"] = {"content": "hi"}
    assert folded(sse(one, two)).parts == (Text(text="hi"),)


def test_a_whole_answer_in_one_event() -> None:
    message = {"role": "assistant", "content": "hi"}
    body = {"id": "a", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}
    assert folded(sse(body) + DONE).parts == (Text(text="hi"),)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    events_of(b"data: " + data + b"\n\n")


chunks = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["choices", "delta", "content", "tool_calls", "function", "index", "usage", "reasoning_details", "audio", "id",
         "name", "arguments", "message", "logprobs", "x_groq", "type", "thinking", "extra_content", "finish_reason"]
    ), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@given(st.lists(chunks, max_size=4))
def test_no_json_makes_it_raise_or_break_the_grammar(values: list[object]) -> None:
    fold = Fold()
    for event in events_of(sse(*({"choices": [{"delta": value}]} for value in values), *values) + DONE):
        fold.feed(event)
