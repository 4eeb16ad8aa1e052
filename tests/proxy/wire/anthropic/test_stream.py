from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hub.events import (
    Event,
    Failure,
    Heartbeat,
    OpaqueEvent,
    PartDelta,
    PartEnd,
    PartStart,
    ResponseEnd,
    ResponseStart,
)
from proxy.hub.fold import Fold
from proxy.hub.parts import Opaque, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Finish, Response, Usage
from proxy.wire.anthropic import WIRE
from proxy.wire.sse import SseSplitter

if TYPE_CHECKING:
    from tests.proxy.wire.anthropic.conftest import Recording


def sse(*events: JsonObject) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), msgspec.json.encode(e)) for e in events)


def start(**more: JsonValue) -> JsonObject:
    message: JsonObject = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1},
    }
    return {"type": "message_start", "message": {**message, **more}}


def block(index: int, content_block: JsonObject, *deltas: JsonObject) -> list[JsonObject]:
    events: list[JsonObject] = [{"type": "content_block_start", "index": index, "content_block": content_block}]
    events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [*events, {"type": "content_block_stop", "index": index}]


def text(index: int, *pieces: str) -> list[JsonObject]:
    deltas: list[JsonObject] = [{"type": "text_delta", "text": piece} for piece in pieces]
    return block(index, {"type": "text", "text": ""}, *deltas)


def call(index: int, *pieces: str, **more: JsonValue) -> list[JsonObject]:
    value: JsonObject = {"type": "tool_use", "id": f"t{index}", "name": "f", "input": {}, **more}
    deltas: list[JsonObject] = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block(index, value, *deltas)


def end(stop_reason: str | None = "end_turn", **usage: JsonValue) -> list[JsonObject]:
    delta: JsonObject = {"stop_reason": stop_reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9, **usage}}, {"type": "message_stop"}]


def parsed(data: bytes, *, maker: str = "anthropic") -> list[Event]:
    parser = WIRE.stream_parser(maker=maker)
    return parser.feed(data) + parser.finish()


def folded(data: bytes) -> Response:
    fold = Fold()
    for event in parsed(data):
        fold.feed(event)
    return fold.finish()


# The laws, over what was recorded


def assembled(data: bytes) -> JsonObject | None:
    """The whole message, as a client's library puts it together. None: the stream broke."""
    message: dict[str, Any] | None = None
    inputs: dict[int, str] = {}
    for event in SseSplitter().feed(data + b"\n\n"):
        value = msgspec.json.decode(event.data)
        match value["type"]:
            case "message_start" if message is None:
                message = value["message"]
            case "message_start" | "error":
                return None
            case "content_block_start" if message is not None:
                message["content"].append(value["content_block"])
            case "content_block_delta" if message is not None:
                content = message["content"][value["index"]]
                put(content, value["delta"], inputs, value["index"])
            case "message_delta" if message is not None:
                for key, each in {**value["delta"], **value}.items():
                    if key not in {"type", "delta", "usage"} and (each is not None or key not in message):
                        message[key] = each
                message["usage"].update({key: each for key, each in value["usage"].items() if each is not None})
            case "message_stop":
                return message
    return None


def put(content: dict[str, Any], delta: dict[str, Any], inputs: dict[int, str], index: int) -> None:
    match delta:
        case {"type": "text_delta" | "thinking_delta" | "signature_delta"}:
            key = str(delta["type"]).removesuffix("_delta")
            content[key] = str(content.get(key) or "") + str(delta[key])
        case {"type": "input_json_delta", "partial_json": str(piece)}:
            inputs[index] = inputs.get(index, "") + piece
            if inputs[index]:
                try:
                    content["input"] = msgspec.json.decode(inputs[index])
                except msgspec.DecodeError:
                    return
        case {"type": "citations_delta", "citation": citation}:
            content["citations"] = [*(content.get("citations") or []), citation]
        case {"type": "compaction_delta"}:
            content.update({key: each for key, each in delta.items() if key != "type"})


def arguments(part: ToolCall) -> object:
    """As a value, because a stream keeps the model's own spacing; of a call that was cut off, nothing."""
    try:
        return msgspec.json.decode(part.arguments)
    except msgspec.DecodeError:
        return {}


def read(response: Response) -> list[object]:
    """For comparison."""
    parts = [
        (part.id, part.name, arguments(part), part.residue) if isinstance(part, ToolCall) else part
        for part in response.parts
    ]
    return [response.id, response.model, parts, response.finish, response.usage, response.residue]


def test_l3_every_recorded_stream_says_what_the_whole_answer_says(recordings: list[Recording]) -> None:
    compared, failed = 0, []
    for each in recordings:
        whole = assembled(each.stream) if each.stream else None
        if whole is None:
            continue
        compared += 1
        if read(folded(each.stream)) != read(WIRE.parse_response(whole, maker="anthropic")):
            failed.append(each.name)
    assert failed == []
    assert compared > 10


def test_l5_any_rechunking_of_recorded_streams_gives_the_same_events(recordings: list[Recording]) -> None:
    failed = []
    for each in recordings:
        parser = WIRE.stream_parser(maker="anthropic")
        size = 1 if len(each.stream) < 5_000 else 7
        pieces = (each.stream[at : at + size] for at in range(0, len(each.stream), size))
        events = [event for piece in pieces for event in parser.feed(piece)] + parser.finish()
        if each.stream and events != parsed(each.stream):
            failed.append(each.name)
    assert failed == []


def test_l7_start_and_deltas_make_the_end_of_each_recorded_part(recordings: list[Recording]) -> None:
    failed = [each.name for each in recordings if each.stream and not adds_up(parsed(each.stream))]
    assert failed == []


def adds_up(events: list[Event]) -> bool:
    texts: dict[int, str] = {}
    for event in events:
        match event:
            case PartStart(index=index):
                texts[index] = ""
            case PartDelta(index=index, text=piece):
                texts[index] += piece
            case PartEnd(index=index, part=Text(text=whole) | ToolCall(arguments=whole)):
                if texts[index] != whole:
                    return False
            case PartEnd(index=index, part=Thinking() as part):
                if texts[index] != part.text:
                    return False
    return True


# Hand-written streams

EVERYTHING = sse(
    start(stop_details=None),
    {"type": "ping"},
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm \U0001f600"},
        {"type": "signature_delta", "signature": "sig"},
    ),
    *text(1, "Hi ", "\u00e9"),
    *call(2, '{"a"', ": 1}", caller={"type": "direct"}),
    *end("tool_use", cache_read_input_tokens=5, output_tokens_details={"thinking_tokens": 4}),
)


def test_the_events_of_a_stream() -> None:
    opened = ToolCall(
        id="t2",
        name="f",
        arguments="",
        residue=Residue(wire="anthropic", fields={"caller": {"type": "direct"}}),
    )
    head = {"type": "message", "role": "assistant"}
    events = parsed(EVERYTHING)
    assert events[:-1] == [
        ResponseStart(
            id="msg_1",
            model="m",
            usage=Usage(input_uncached=10, output=1),
            residue=Residue(wire="anthropic", fields={**head, "stop_details": None}),
        ),
        Heartbeat(),
        PartStart(0, Thinking(origin="anthropic")),
        PartDelta(0, "Hm \U0001f600"),
        PartEnd(0, Thinking(sections=("Hm \U0001f600",), signature="sig", origin="anthropic")),
        PartStart(1, Text(text="")),
        PartDelta(1, "Hi "),
        PartDelta(1, "\u00e9"),
        PartEnd(1, Text(text="Hi \u00e9")),
        PartStart(2, opened),
        PartDelta(2, '{"a"'),
        PartDelta(2, ": 1}"),
        PartEnd(2, replace(opened, arguments='{"a": 1}')),
    ]
    last = events[-1]
    assert isinstance(last, ResponseEnd)
    assert last.finish == Finish("tool_calls", "tool_use")
    assert last.usage == Usage(input_uncached=10, cache_read=5, output=5, reasoning=4)


@given(st.lists(st.integers(0, len(EVERYTHING))))
def test_l5_any_rechunking_gives_the_same_events(cuts: list[int]) -> None:
    parser = WIRE.stream_parser(maker="anthropic")
    edges = [0, *sorted(cuts), len(EVERYTHING)]
    events = [event for first, last in pairwise(edges) for event in parser.feed(EVERYTHING[first:last])]
    assert events + parser.finish() == parsed(EVERYTHING)


@given(st.integers(0, len(EVERYTHING) - 1))
def test_a_stream_cut_anywhere_fails_once_or_has_said_it_all(at: int) -> None:
    events = parsed(EVERYTHING[:at])
    ends = [event for event in events if isinstance(event, Failure | ResponseEnd)]
    assert ends == events[-1:]
    if isinstance(ends[0], ResponseEnd):
        assert b"message_delta" in EVERYTHING[:at]


def test_bug_34_a_call_without_arguments_has_an_empty_object() -> None:
    for pieces in ((), ("",)):
        events = parsed(sse(start(), *call(0, *pieces), *end("tool_use")))
        assert [event for event in events if isinstance(event, PartDelta | PartEnd)] == [
            PartDelta(0, "{}"),
            PartEnd(0, ToolCall(id="t0", name="f", arguments="{}")),
        ]


def test_bug_22_arguments_that_came_with_the_start() -> None:
    response = folded(sse(start(), *call(0, input={"a": 1}), *end("tool_use")))
    assert response.parts == (ToolCall(id="t0", name="f", arguments='{"a":1}'),)


def test_bug_24_parallel_calls_stay_apart() -> None:
    one, two = call(0, '{"a":1}'), call(1, '{"b":2}')
    mixed = [one[0], two[0], two[1], one[1], one[2], two[2]]
    response = folded(sse(start(), *mixed, *end("tool_use")))
    assert [part.arguments for part in response.parts if isinstance(part, ToolCall)] == ['{"a":1}', '{"b":2}']


def test_an_upstream_may_use_an_index_again() -> None:
    response = folded(sse(start(), *text(0, "a"), *text(0, "b"), *end()))
    assert response.parts == (Text(text="a"), Text(text="b"))


def test_text_may_come_with_the_start() -> None:
    response = folded(
        sse(start(), *block(0, {"type": "text", "text": "a"}, {"type": "text_delta", "text": "b"}), *end())
    )
    assert response.parts == (Text(text="ab"),)


def test_bug_13_thinking_in_a_text_block_is_a_block_of_its_own() -> None:
    value = block(
        0,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "a"},
        {"type": "thinking_delta", "thinking": "Hm"},
        {"type": "text_delta", "text": "b"},
    )
    response = folded(sse(start(), *value, *end()))
    assert response.parts == (
        Text(text="a"),
        Thinking(
            sections=("Hm",),
            origin="anthropic",
            residue=Residue(wire="anthropic", shape={"signature": "absent"}),
        ),
        Text(text="b"),
    )


def test_bug_66_a_second_start_says_nothing() -> None:
    response = folded(sse(start(), *text(0, "a"), start(id="msg_2"), *text(1, "b"), *end()))
    assert (response.id, response.parts) == ("msg_1", (Text(text="a"), Text(text="b")))


def test_a_hosted_tool_is_whole_at_its_end() -> None:
    value: JsonObject = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    deltas: list[JsonObject] = [{"type": "input_json_delta", "partial_json": p} for p in ("", '{"query":', ' "x"}')]
    response = folded(sse(start(), *block(0, value, *deltas), *end()))
    whole: JsonObject = {**value, "input": {"query": "x"}}
    assert response.parts == (Opaque(wire="anthropic", kind="server_tool_use", value=whole, origin="anthropic"),)
    assert response.finish == Finish("stop", "end_turn")


def test_a_block_of_tomorrow_keeps_what_its_deltas_say() -> None:
    value: JsonObject = {"type": "of_tomorrow", "text": ""}
    response = folded(sse(start(), *block(0, value, {"type": "text_delta", "text": "x"}), *end()))
    (part,) = response.parts
    assert isinstance(part, Opaque)
    assert part.value == {"type": "of_tomorrow", "text": "x"}


def test_citations_are_collected() -> None:
    value = block(
        0,
        {"type": "text", "text": "", "citations": []},
        {"type": "citations_delta", "citation": {"n": 1}},
        {"type": "text_delta", "text": "a"},
        {"type": "citations_delta", "citation": {"n": 2}},
    )
    (part,) = folded(sse(start(), *value, *end())).parts
    assert isinstance(part, Text)
    assert part.residue == Residue(wire="anthropic", fields={"citations": [{"n": 1}, {"n": 2}]})


def test_unknown_events_and_deltas_pass() -> None:
    delta: JsonObject = {"type": "content_block_delta", "index": 0, "delta": {"type": "of_tomorrow"}}
    opened, closed = text(0)
    events = parsed(sse(start(), {"type": "of_tomorrow", "x": 1}, opened, delta, closed, *end()))
    assert [event for event in events if isinstance(event, OpaqueEvent)] == [
        OpaqueEvent("anthropic", "of_tomorrow", {"type": "of_tomorrow", "x": 1}),
        OpaqueEvent("anthropic", "content_block_delta", delta),
    ]


def test_bug_60_the_last_usage_wins_and_null_is_none() -> None:
    first: JsonObject = {
        "input_tokens": 10,
        "cache_read_input_tokens": 3,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    response = folded(sse(start(usage=first), *end(input_tokens=12, cache_read_input_tokens=None)))
    assert response.usage == Usage(
        input_uncached=12,
        cache_read=3,
        output=9,
        residue=Residue(wire="anthropic", fields={"service_tier": "standard"}),
    )


def test_bug_68_usage_of_zeros_at_the_start_is_none() -> None:
    events = parsed(sse(start(usage={"input_tokens": 0, "output_tokens": 0}), *end()))
    assert isinstance(events[0], ResponseStart)
    assert events[0].usage is None


def test_bug_63_an_end_without_a_reason() -> None:
    stop: JsonObject = {"type": "message_stop"}
    assert folded(sse(start(), *text(0, "a"), stop)).finish == Finish("stop")
    assert folded(sse(start(), *call(0), stop)).finish == Finish("tool_calls")
    assert folded(sse(start(), *text(0, "a")[:-1], stop)).parts == (Text(text="a"),)


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n", b": bye\n\n"])
def test_the_last_frame_may_be_missing(tail: bytes) -> None:
    assert folded(sse(start(), *text(0, "a"), *end()[:1]) + tail).parts == (Text(text="a"),)


def test_nothing_follows_the_end() -> None:
    whole = sse(start(), *text(0, "a"), *end())
    assert parsed(whole + sse({"type": "ping"}, start()) + b"data: [DONE]\n\n") == parsed(whole)


def test_an_emoji_cut_between_two_deltas() -> None:
    pieces = [rb'"a\ud83d"', rb'"\ude00b"', rb'"\ud83d"']
    deltas = b"".join(
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%b}}\n\n' % piece
        for piece in pieces
    )
    opened, closed = text(0)
    data = sse(start(), opened) + deltas + sse(closed, *end())
    assert folded(data).parts == (Text(text="a\U0001f600b\ufffd"),)
    assert adds_up(parsed(data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it ended before it began"),
        (b"<html>502 Bad Gateway</html>", "it ended before it began"),
        (b'{"id": "msg_1", "content": []}', "it ended before it began"),
        (sse(start()), "it ended early"),
        (sse(start(), *text(0, "a")[:-1]), "it ended early"),
        (sse(start(), *text(0, "a")), "it ended early"),
        (sse(*text(0, "a")), "a block before the message"),
        (sse({"type": "message_stop"}), "the end came before the start"),
        (sse({"type": "message_start"}), "message_start has no message"),
        (sse(start(), {"type": "content_block_start", "index": 0}), "content_block_start has no block"),
        (sse(start(), text(0)[0], text(0)[0]), "block 0 was opened twice"),
        (sse(start(), text(0, "a")[1]), "a delta for block 0, which is not open"),
        (sse(start(), text(0)[0], {"type": "content_block_delta", "index": 0}), "a delta holds nothing"),
        (sse(start(), text(0)[0], call(0, "{")[1]), "arguments for block 0, which is no call"),
        (sse(start()) + b"data: {broken\n\n", "an event is no JSON"),
        (sse(start()) + b"data: [1]\n\n", "an event is no JSON object"),
        (sse(start(id=5)), "id must be a string"),
        (sse(start(), *block(0, {"type": "tool_use"})), r"content\[0\].name is required"),
    ],
)
def test_a_broken_stream_fails_once(data: bytes, why: str) -> None:
    events = parsed(data)
    failures = [event for event in events if isinstance(event, Failure)]
    assert failures == events[-1:]
    assert failures[0].kind == "stream_corrupt"
    assert why.replace("\\", "") in failures[0].message


def test_after_a_failure_everything_is_ignored() -> None:
    parser = WIRE.stream_parser(maker="x")
    assert len(parser.feed(b"data: broken\n\ndata: broken\n\n")) == 1
    assert parser.feed(EVERYTHING) == []
    assert parser.finish() == []


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [("overloaded_error", "overloaded", 529), ("rate_limit_error", "rate_limit", 429), ("api_error", "server", 500)],
)
def test_bug_65_an_error_in_mid_stream(error: str, kind: str, status: int) -> None:
    value: JsonObject = {"type": "error", "error": {"type": error, "message": "Sorry"}, "request_id": "req_1"}
    last = parsed(sse(start(), *text(0, "a"), value))[-1]
    assert isinstance(last, Failure)
    assert (last.kind, last.status, last.message, last.type, last.request_id) == (kind, status, "Sorry", error, "req_1")


def test_an_error_in_another_envelope() -> None:
    last = parsed(b'data: {"error": {"message": "Slow down", "code": 429}}\n\n')[-1]
    assert isinstance(last, Failure)
    assert (last.kind, last.status, last.message) == ("rate_limit", 429, "Slow down")


def test_an_endless_line_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.wire.sse.LINE_BYTES_MAX", 10)
    (failure,) = WIRE.stream_parser(maker="x").feed(b"data: 01234567890")
    assert isinstance(failure, Failure)


def test_the_maker_is_the_origin() -> None:
    value = block(0, {"type": "thinking", "thinking": "a", "signature": "s"})
    events = parsed(sse(start(), *value, *end()), maker="compatible")
    assert PartEnd(0, Thinking(sections=("a",), signature="s", origin="compatible")) in events
