from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
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
from proxy.hub.parts import Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.openai_responses import WIRE
from proxy.wire.openai_responses.stream import STRIDE
from tests.proxy.wire.openai_responses.damage import damaged
from tests.proxy.wire.openai_responses.told import MAKER, folded, frames, heard, inner, said, sse, streamed

CREATED: JsonObject = {"type": "response.created", "response": {"id": "resp_1", "model": "m", "created_at": 5}}
COMPLETED: JsonObject = {
    "type": "response.completed",
    "response": {"id": "resp_1", "model": "m", "created_at": 5, "status": "completed", "output": []},
}
MESSAGE: JsonObject = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
CALL: JsonObject = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""}


def added(at: int, item: JsonObject) -> JsonObject:
    return {"type": "response.output_item.added", "output_index": at, "item": item}


def done(at: int, item: JsonObject) -> JsonObject:
    return {"type": "response.output_item.done", "output_index": at, "item": item}


def delta(kind: str, at: int, text: str, **more: JsonValue) -> JsonObject:
    return {"type": f"response.{kind}.delta", "output_index": at, "delta": text, **more}


def text_part(at: int, number: int = 0) -> JsonObject:
    part: JsonObject = {"type": "output_text", "text": "", "annotations": []}
    return {"type": "response.content_part.added", "output_index": at, "content_index": number, "part": part}


def message(text: str) -> JsonObject:
    return {**MESSAGE, "content": [{"type": "output_text", "text": text, "annotations": []}]}


def parts_of(*events: JsonObject) -> tuple[Part, ...]:
    return folded(heard(sse(CREATED, *events, COMPLETED))).parts


def deltas(events: list[Event]) -> list[tuple[int, str, int]]:
    return [(event.index, event.text, event.section) for event in events if isinstance(event, PartDelta)]


def recorded_streams(exchanges: list[tuple[str, JsonObject]]) -> list[tuple[str, bytes]]:
    streams = [(name, inner(exchange, "response", "sse")) for name, exchange in exchanges]
    return [(name, stream.encode()) for name, stream in streams if isinstance(stream, str) and stream]


def whole_of(data: bytes) -> JsonObject | None:
    """The answer that the stream tells, with the items as each was told when it was done (what is encrypted differs
    from the final event's). None for a failure.
    """
    finished: dict[int, JsonValue] = {}
    for frame in frames(data.replace(b"data:{", b"data: {")):
        if frame["type"] == "response.output_item.done":
            at = frame["output_index"]
            assert isinstance(at, int)
            finished[at] = frame["item"]
        elif frame["type"] in {"response.completed", "response.incomplete"}:
            body = frame["response"]
            assert isinstance(body, dict)
            output = body["output"]
            assert isinstance(output, list)
            if len(finished) >= len(output):
                return {**body, "output": [finished[at] for at in sorted(finished)]}
            return {**body, "output": [finished.get(at, item) for at, item in enumerate(output)]}
    return None


def test_l3_a_recorded_stream_says_what_its_answer_says(recorded: list[tuple[str, JsonObject]]) -> None:
    different, seen = [], 0
    for name, data in recorded_streams(recorded):
        body = whole_of(data)
        events = heard(data)
        if body is None:
            assert isinstance(events[-1], Failure), name
            continue
        seen += 1
        response = folded(events)
        whole = WIRE.parse_response(body, maker=MAKER)
        if replace(whole, id=response.id) != response:  # one vendor's ids rotate
            different.append(name)
    assert different == []
    assert seen


def test_l5_recorded_streams_cut_anywhere_say_the_same(recorded: list[tuple[str, JsonObject]]) -> None:
    different = []
    for name, data in recorded_streams(recorded)[::4]:
        parser = WIRE.stream_parser(maker=MAKER)
        pieces = [data[start : start + 61] for start in range(0, len(data), 61)]
        events = [event for piece in pieces for event in parser.feed(piece)]
        if [*events, *parser.finish()] != heard(data):
            different.append(name)
    assert different == []


def test_l7_recorded_parts_are_their_start_and_their_deltas(recorded: list[tuple[str, JsonObject]]) -> None:
    """But for one recording whose text was edited after its deltas."""
    different = set()
    for name, data in recorded_streams(recorded):
        if not adds_up(heard(data)):
            different.add(name)
    assert different <= {"openai-shell-container.1.sse.json"}


def adds_up(events: list[Event]) -> bool:
    text: dict[tuple[int, int], str] = {}
    for event in events:
        match event:
            case PartDelta(index=index, text=more, section=section):
                text[index, section] = text.get((index, section), "") + more
            case PartEnd(index=index, part=Text(text=whole) | Refusal(text=whole) | ToolCall(arguments=whole)):
                if text.get((index, 0), "") != whole:
                    return False
            case PartEnd(index=index, part=Thinking(sections=sections)):
                if tuple(text.get((index, number), "") for number in range(len(sections))) != sections:
                    return False
            case _:
                pass
    return True


EVERYTHING = streamed(
    *said(Thinking(sections=("hm", "so"), signature="sig", origin="anthropic"), 0),
    *said(Text(text="smile 😀 and ünïcode"), 1),
    *said(ToolCall(id="c", name="f", arguments='{"a":"😀"}'), 2),
    Heartbeat(),
    *said(Refusal(text="no"), 3),
    reason="length",
)


@given(st.lists(st.integers(1, len(EVERYTHING) - 1), max_size=20), st.sampled_from([b"\n", b"\r\n", b"\r"]))
@settings(max_examples=60, deadline=None)
def test_l5_cuts_may_fall_anywhere(cuts: list[int], line_end: bytes) -> None:
    data = EVERYTHING.replace(b"\n", line_end)
    parser = WIRE.stream_parser(maker=MAKER)
    borders = [0, *sorted(cuts), len(data)]
    events = [event for start, end in pairwise(borders) for event in parser.feed(data[start:end])]
    assert [*events, *parser.finish()] == heard(EVERYTHING)


def test_it_says_what_it_says() -> None:
    events = heard(
        sse(
            CREATED,
            {"type": "response.in_progress", "response": {}},
            added(0, MESSAGE),
            text_part(0),
            delta("output_text", 0, "a", content_index=0),
            {"type": "keepalive"},
            delta("output_text", 0, "b", content_index=0),
            done(0, message("ab")),
            COMPLETED,
        )
    )
    start, beat, opened, *rest = events
    assert isinstance(start, ResponseStart)
    assert (start.id, start.model, start.created) == ("resp_1", "m", 5)
    assert isinstance(beat, Heartbeat)
    assert opened == PartStart(0, Text(text=""))
    assert rest[:3] == [PartDelta(0, "a"), Heartbeat(), PartDelta(0, "b")]
    part, end = rest[3:]
    assert isinstance(part, PartEnd)
    assert isinstance(end, ResponseEnd)
    assert end.finish.reason == "stop"


def test_frames_of_a_websocket_say_the_same() -> None:
    parser = WIRE.stream_parser(maker=MAKER)
    lines = [line.removeprefix(b"data: ") for line in EVERYTHING.split(b"\n") if line.startswith(b"data: ")]
    events = [event for line in lines for event in parser.feed_frame(line)]
    assert [*events, *parser.finish()] == heard(EVERYTHING)


def test_hosted_tools_calls_pass() -> None:
    search: JsonObject = {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}
    searching: JsonObject = {"type": "response.web_search_call.searching", "output_index": 0}
    events = heard(sse(CREATED, added(0, search), searching, done(0, {**search, "status": "completed"}), COMPLETED))
    assert events[1] == PartStart(0, Opaque(wire=MAKER, kind="web_search_call", value=search, origin=MAKER))
    assert events[2] == OpaqueEvent(MAKER, "response.web_search_call.searching", searching)
    end = events[3]
    assert isinstance(end, PartEnd)
    assert isinstance(end.part, Opaque)
    assert inner(end.part.value, "status") == "completed"


def test_items_that_overlap_keep_the_order_of_the_output() -> None:
    reasoning: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": []}
    told_late = {**reasoning, "summary": [{"type": "summary_text", "text": "hm"}]}
    parts = parts_of(
        added(0, reasoning), added(1, MESSAGE), text_part(1), text_part(1, 1), done(1, message("x")), done(0, told_late)
    )
    assert [type(part).__name__ for part in parts] == ["Thinking", "Text", "Text"]


def test_raw_thoughts_and_their_summary() -> None:
    """The first kind that is told counts."""
    item: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": []}
    raw: JsonObject = {"content": [{"type": "reasoning_text", "text": "raw"}]}
    summary: JsonObject = {"summary": [{"type": "summary_text", "text": "s"}]}
    events = heard(
        sse(
            CREATED,
            added(0, item),
            delta("reasoning_text", 0, "raw", content_index=0),
            delta("reasoning_summary_text", 0, "s", summary_index=0),
            done(0, {**item, **raw, **summary}),
            COMPLETED,
        )
    )
    assert deltas(events) == [(0, "raw", 0)]
    (part,) = folded(events).parts
    assert isinstance(part, Thinking)
    assert part.sections == ("raw",)


def test_bug_6_the_signature_is_the_finished_items() -> None:
    item: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "early"}
    events = heard(sse(CREATED, added(0, item), done(0, {**item, "encrypted_content": "final"}), COMPLETED))
    assert events[1] == PartStart(0, Thinking(origin=MAKER))
    (part,) = folded(events).parts
    assert isinstance(part, Thinking)
    assert part.signature == "final"


def test_bug_22_arguments_that_came_in_no_delta() -> None:
    finished: JsonObject = {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'}
    events = heard(sse(CREATED, added(0, CALL), finished, done(0, {**CALL, "arguments": '{"a":1}'}), COMPLETED))
    assert deltas(events) == [(0, '{"a":1}', 0)]
    assert adds_up(events)


def test_bug_23_a_call_that_is_named_late() -> None:
    nameless = {**CALL, "name": ""}
    events = heard(
        sse(
            CREATED,
            added(0, nameless),
            delta("function_call_arguments", 0, "{}"),
            done(0, {**CALL, "arguments": "{}"}),
            COMPLETED,
        )
    )
    assert [type(event).__name__ for event in events[1:-1]] == ["PartStart", "PartDelta", "PartEnd"]
    start = events[1]
    assert isinstance(start, PartStart)
    assert isinstance(start.part, ToolCall)
    assert start.part.name == "f"


def test_bug_24_parallel_calls_are_told_apart_by_their_index() -> None:
    parts = parts_of(
        added(0, CALL),
        added(1, {**CALL, "call_id": "d"}),
        delta("function_call_arguments", 1, '{"b"'),
        delta("function_call_arguments", 0, '{"a"'),
        delta("function_call_arguments", 1, ":2}"),
        delta("function_call_arguments", 0, ":1}"),
        done(1, {**CALL, "call_id": "d", "arguments": '{"b":2}'}),
        done(0, {**CALL, "arguments": '{"a":1}'}),
    )
    assert [(part.id, part.arguments) for part in parts if isinstance(part, ToolCall)] == [
        ("c", '{"a":1}'),
        ("d", '{"b":2}'),
    ]


def test_bug_36_a_wrapper_waits_until_it_can_be_read() -> None:
    arguments = '{"tool_uses":[{"recipient_name":"functions.f","parameters":{}},{"recipient_name":"g"}]}'
    wrapper = {**CALL, "name": "multi_tool_use.parallel"}
    parts = parts_of(
        added(0, wrapper), delta("function_call_arguments", 0, arguments), done(0, {**wrapper, "arguments": arguments})
    )
    assert [part.name for part in parts if isinstance(part, ToolCall)] == ["f", "g"]


def test_bug_43_custom_calls_and_namespaces() -> None:
    custom: JsonObject = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "patch", "input": ""}
    events = heard(
        sse(
            CREATED,
            added(0, custom),
            delta("custom_tool_call_input", 0, "*** Be"),
            delta("custom_tool_call_input", 0, "gin"),
            done(0, {**custom, "input": "*** Begin"}),
            added(1, {**CALL, "namespace": "n"}),
            done(1, {**CALL, "namespace": "n", "arguments": "{}"}),
            COMPLETED,
        )
    )
    assert deltas(events)[:2] == [(0, "*** Be", 0), (0, "gin", 0)]
    first, second = folded(events).parts
    assert isinstance(first, ToolCall)
    assert (first.arguments, first.is_custom) == ("*** Begin", True)
    assert isinstance(second, ToolCall)
    assert second.name == "n__f"


def test_bug_60_the_usage_of_the_last_event_counts() -> None:
    response = {"status": "completed", "output": [], "usage": {"input_tokens": 3, "output_tokens": 4}}
    end = heard(sse(CREATED, {"type": "response.completed", "response": response}))[-1]
    assert isinstance(end, ResponseEnd)
    assert end.usage is not None
    assert (end.usage.input_total, end.usage.output_total) == (3, 4)


@pytest.mark.parametrize(
    ("details", "reason"), [({"reason": "max_output_tokens"}, "length"), ({"reason": "content_filter"}, "refusal")]
)
def test_bug_62_an_answer_that_was_cut(details: JsonObject, reason: str) -> None:
    response: JsonObject = {"status": "incomplete", "incomplete_details": details, "output": []}
    cut: JsonObject = {"type": "response.incomplete", "response": response}
    events = heard(sse(CREATED, added(0, CALL), delta("function_call_arguments", 0, '{"a"'), cut))
    answer = folded(events)
    assert answer.finish is not None
    assert answer.finish.reason == reason
    assert [part.arguments for part in answer.parts if isinstance(part, ToolCall)] == ['{"a"']


@pytest.mark.parametrize("count", range(5))
def test_bug_63_a_stream_that_breaks_off_is_an_error(count: int) -> None:
    events = [CREATED, added(0, MESSAGE), text_part(0), delta("output_text", 0, "x"), done(0, message("x"))]
    *_, last = heard(sse(*events[:count]))
    assert isinstance(last, Failure)
    assert last.kind == "stream_corrupt"


def test_bug_64_an_empty_final_output_is_filled_from_the_items() -> None:
    assert [part.text for part in parts_of(done(0, message("x"))) if isinstance(part, Text)] == ["x"]


def test_bug_64_items_that_only_the_final_output_has() -> None:
    """Never finished (0), never told of (1)."""
    final = {"status": "completed", "output": [{**CALL, "arguments": "{}"}, message("x")]}
    events = heard(sse(CREATED, added(0, CALL), {"type": "response.completed", "response": final}))
    assert [type(part).__name__ for part in folded(events).parts] == ["ToolCall", "Text"]
    assert adds_up(events)


def test_what_nobody_finished_ends_as_it_stands() -> None:
    parts = parts_of(
        delta("output_text", 0, "a", content_index=0),
        delta("refusal", 0, "no", content_index=1),
        delta("reasoning_summary_text", 1, "one", summary_index=0),
        delta("reasoning_summary_text", 1, "two", summary_index=1),
        delta("function_call_arguments", 2, "{}"),
        added(3, {"type": "web_search_call"}),
    )
    text, refusal, thinking, search = parts
    assert text == Text(text="a")
    assert refusal == Refusal(text="no")
    assert isinstance(thinking, Thinking)
    assert thinking.sections == ("one", "two")
    assert isinstance(search, Opaque)


def test_bug_65_an_error_in_the_middle() -> None:
    error: JsonObject = {"type": "error", "code": "server_error", "message": "Oops", "param": None}
    *_, last = heard(sse(CREATED, added(0, MESSAGE), error, {"type": "response.failed", "response": {}}))
    assert last == Failure(kind="server", message="Oops", status=500, code="server_error", raw=error)


@pytest.mark.parametrize(
    ("event", "kind", "code"),
    [
        (
            {
                "type": "response.failed",
                "response": {"status": "failed", "error": {"code": "context_length_exceeded", "message": "Too long"}},
            },
            "context_length",
            "context_length_exceeded",
        ),
        (
            {"type": "error", "status": 429, "error": {"code": "usage_limit_reached", "message": "Wait"}},
            "quota",
            "usage_limit_reached",
        ),
        ({"error": {"message": "Slow", "code": "rate_limit_exceeded"}}, "rate_limit", "rate_limit_exceeded"),
    ],
)
def test_errors_in_every_shape(event: JsonObject, kind: str, code: str) -> None:
    *_, last = heard(sse(CREATED, event))
    assert isinstance(last, Failure)
    assert (last.kind, last.code) == (kind, code)


@pytest.mark.parametrize(
    "noise",
    [
        b"data: {broken\n\n",
        b"data: [1]\n\n",
        sse({"type": "response.output_text.delta", "output_index": 0, "delta": 5}),
        sse({"type": "response.output_text.delta", "output_index": 0, "delta": "x", "content_index": STRIDE}),
        sse(done(0, {**CALL, "arguments": 5})),
        sse(done(0, {})),
        sse({"type": "response.content_part.added", "output_index": 0, "part": {"type": "output_text"}}),
    ],
)
def test_a_broken_stream_is_one_failure(noise: bytes) -> None:
    failures = [event for event in heard(sse(CREATED) + noise + sse(COMPLETED)) if isinstance(event, Failure)]
    assert [failure.kind for failure in failures] in ([], ["stream_corrupt"])
    assert failures or b'"item":{}' in noise


@given(st.integers(0, 40), st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_comes_the_events_keep_their_grammar(at: int, data: st.DataObject) -> None:
    events = frames(EVERYTHING)
    at %= len(events)
    events[at] = data.draw(damaged(events[at]))
    fold = Fold()
    for event in heard(sse(*events)):
        fold.feed(event)
    assert fold.failure is not None or fold.finish()


def test_bug_66_a_second_start_is_no_second_answer() -> None:
    again = sse(CREATED, added(0, MESSAGE), COMPLETED)
    assert len(heard(sse(CREATED, CREATED, COMPLETED) + again)) == 2


def test_bug_67_ids_that_rotate() -> None:
    parts = parts_of(
        added(0, {**MESSAGE, "id": "a"}),
        {**text_part(0), "item_id": "b"},
        delta("output_text", 0, "x", item_id="c", content_index=0),
        done(0, {**message("x"), "id": "d"}),
    )
    assert [part.text for part in parts if isinstance(part, Text)] == ["x"]


def test_a_vendor_that_leaves_out_indexes() -> None:
    events = [
        added(0, MESSAGE),
        text_part(0),
        {"type": "response.output_text.delta", "delta": "x"},
        done(0, message("x")),
    ]
    bare = [{key: value for key, value in event.items() if key != "output_index"} for event in events]
    assert [part.text for part in parts_of(*bare) if isinstance(part, Text)] == ["x"]


def test_events_before_the_start_and_after_the_end() -> None:
    events = heard(
        sse(added(0, MESSAGE), done(0, message("x")), COMPLETED, CREATED, added(1, MESSAGE)) + b"data: [DONE]\n\n"
    )
    assert isinstance(events[0], ResponseStart)
    assert isinstance(events[-1], ResponseEnd)
    assert len(folded(events).parts) == 1


def test_items_are_told_once() -> None:
    assert (
        len(
            parts_of(
                added(0, CALL),
                added(0, CALL),
                done(0, {**CALL, "arguments": "{}"}),
                done(0, CALL),
                delta("function_call_arguments", 0, "x"),
            )
        )
        == 1
    )


def test_a_delta_that_has_no_name_outside_its_json() -> None:
    data = sse(CREATED, added(0, MESSAGE), text_part(0), delta("output_text", 0, "x"), done(0, message("x")), COMPLETED)
    bare = b"".join(line + b"\n" for line in data.split(b"\n") if not line.startswith(b"event:"))
    assert heard(bare) == heard(data)


def test_an_event_that_is_named_outside_its_json_only() -> None:
    nameless = msgspec.json.encode({"code": "x", "message": "Oops"})
    *_, last = heard(sse(CREATED) + b"event: error\ndata: " + nameless + b"\n\n")
    assert isinstance(last, Failure)
    assert last.message == "Oops"


def test_an_emoji_that_was_cut_in_two() -> None:
    halves = [
        rb'{"type":"response.output_text.delta","output_index":0,"delta":"\ud83d"}',
        rb'{"type":"response.output_text.delta","output_index":0,"delta":"\ude00!"}',
    ]
    data = b"".join(b"event: response.output_text.delta\ndata: %b\n\n" % half for half in halves)
    events = heard(sse(CREATED, added(0, MESSAGE)) + data + sse(done(0, message("😀!")), COMPLETED))
    assert deltas(events) == [(0, "😀!", 0)]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}', "You exceeded your quota"),
        (b"<html><title>502 Bad Gateway</title></html>", "502 Bad Gateway"),
        (b"", "empty"),
        (b": comment\n\n", "empty"),
    ],
)
def test_what_is_no_stream_at_all_says_why(body: bytes, text: str) -> None:
    *_, last = heard(body)
    assert isinstance(last, Failure)
    assert text in last.message


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.wire.sse.LINE_BYTES_MAX", 1000)
    parser = WIRE.stream_parser(maker=MAKER)
    events = [event for _ in range(3) for event in parser.feed(b"data: " + b"x" * 600)]
    assert [type(event).__name__ for event in events] == ["Failure"]
    assert parser.finish() == []


def test_the_fold_takes_whatever_comes(recorded: list[tuple[str, JsonObject]]) -> None:
    """L3: folding never raises, also where the stream is cut."""
    for _, data in recorded_streams(recorded)[::5]:
        fold = Fold()
        for event in heard(data[: len(data) * 2 // 3]):
            fold.feed(event)
        assert fold.failure is not None or fold.finish()


def test_an_item_that_is_announced_after_its_delta() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "so"}]}
    events = heard(
        sse(
            {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "so"},
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"status": "completed", "output": [item]}},
        )
    )
    (part,) = folded(events).parts
    assert isinstance(part, Thinking)
    assert part.sections == ("so",)
