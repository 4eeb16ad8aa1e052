from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
from anthropic.types.beta import BetaRawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

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
from proxy.hub.fold import Fold, explode, opened
from proxy.hub.loss import Loss
from proxy.hub.parts import Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.request import Reasoning, Request
from proxy.hub.residue import JsonObject, Residue
from proxy.hub.response import Finish, Response, Usage
from proxy.wire.anthropic import WIRE
from proxy.wire.anthropic.frames import AnthropicStreamRenderer
from proxy.wire.base import Reply
from proxy.wire.sse import SseSplitter

if TYPE_CHECKING:
    from tests.proxy.wire.anthropic.conftest import Recording

REPLY = Reply(model="asked-for", request_id="r1")
START = ResponseStart(id="theirs", model="theirs")
END = ResponseEnd(finish=Finish("stop", "stop"), usage=Usage(input_uncached=3, output=4))
FITTING = {
    "text_delta": {"text"},
    "citations_delta": {"text"},
    "thinking_delta": {"thinking"},
    "signature_delta": {"thinking"},
    "input_json_delta": {"tool_use", "server_tool_use", "mcp_tool_use"},
}
OFFICIAL: TypeAdapter[object] = TypeAdapter(BetaRawMessageStreamEvent)


class Frames(NamedTuple):
    events: list[JsonObject]
    losses: list[Loss]

    def of(self, kind: str) -> list[JsonObject]:
        return [event for event in self.events if event["type"] == kind]

    def deltas(self) -> list[object]:
        return [event["delta"] for event in self.of("content_block_delta")]

    def blocks(self) -> list[object]:
        return [event["content_block"] for event in self.of("content_block_start")]


def written(*events: Event) -> Frames:
    renderer = WIRE.stream_renderer(REPLY)
    data = b"".join(renderer.feed(event) for event in events) + renderer.finish()
    frames: list[JsonObject] = []
    splitter = SseSplitter()
    for event in splitter.feed(data) + splitter.finish():
        value = msgspec.json.decode(event.data)
        assert value["type"] == event.event.decode()
        frames.append(value)
    check_grammar(frames)
    return Frames(frames, renderer.losses)


def check_grammar(frames: list[JsonObject]) -> None:
    """Indexes rise by one, blocks never overlap, each delta fits its block, one start, one end, nothing after it."""
    kinds = [frame["type"] for frame in frames if frame["type"] != "ping"]
    assert kinds.count("message_start") <= 1
    assert kinds.count("message_stop") + kinds.count("error") <= 1
    count, block = 0, ""
    for frame in frames:
        match frame["type"]:
            case "content_block_start":
                assert (frame["index"], block) == (count, "")
                content = frame["content_block"]
                assert isinstance(content, dict)
                block = str(content["type"])
            case "content_block_delta":
                delta = frame["delta"]
                assert isinstance(delta, dict)
                assert frame["index"] == count
                assert block in FITTING.get(str(delta["type"]), {block})
            case "content_block_stop":
                assert frame["index"] == count
                assert block
                count, block = count + 1, ""
            case "message_delta":
                assert not block
            case _:
                pass
    if "message_stop" in kinds:
        assert kinds[-2:] == ["message_delta", "message_stop"]


def read_again(frames: Frames) -> Response:
    parser = WIRE.stream_parser(maker="anthropic")
    data = b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in frames.events)
    fold = Fold()
    for event in parser.feed(data) + parser.finish():
        fold.feed(event)
    return fold.finish()


# At home


def test_every_recorded_stream_says_the_same_again(recordings: list[Recording]) -> None:
    compared, failed = 0, []
    for each in recordings:
        parser = WIRE.stream_parser(maker="anthropic")
        events = parser.feed(each.stream) + parser.finish()
        fold = Fold()
        for event in events:
            fold.feed(event)
        if not each.stream or fold.failure is not None:
            continue
        compared += 1
        before, after = fold.finish(), read_again(written(*events))
        if [*before.parts, before.finish, before.usage] != [*after.parts, after.finish, after.usage]:
            failed.append(each.name)
    assert failed == []
    assert compared > 10


def test_every_recorded_answer_can_be_streamed(recordings: list[Recording]) -> None:
    failed = []
    for each in recordings:
        if each.answer is None:
            continue
        whole = WIRE.parse_response(each.answer, maker="anthropic")
        again = read_again(written(*explode(whole)))
        body = WIRE.render_response(again, Reply(model=str(each.answer["model"]), request_id="r1")).body
        if body != {"stop_sequence": None, **each.answer}:
            failed.append(each.name)
    assert failed == []


# From elsewhere


def test_a_foreign_stream() -> None:
    frames = written(
        START,
        PartStart(0, Text(text="")),
        PartDelta(0, "Hi "),
        PartDelta(0, "\u00e9"),
        PartEnd(0, Text(text="Hi \u00e9")),
        END,
    )
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 4}
    assert frames.events == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_r1",
                "type": "message",
                "role": "assistant",
                "model": "asked-for",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 0, "output_tokens": 0},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "\u00e9"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    for event in frames.events:
        OFFICIAL.validate_python(event)


def test_the_first_token_is_not_held_back() -> None:
    renderer = AnthropicStreamRenderer(REPLY)
    assert b"message_start" in renderer.feed(START)
    assert renderer.feed(PartStart(0, Text(text=""))) == b""
    assert b'"text":"H"' in renderer.feed(PartDelta(0, "H"))
    call = ToolCall(id="1", name="f", arguments="")
    assert b'"name":"f"' in renderer.feed(PartStart(1, call))
    assert b'"partial_json":"{"' in renderer.feed(PartDelta(1, "{"))


def call(number: int, arguments: str = "") -> ToolCall:
    return ToolCall(id=f"c{number}", name="f", arguments=arguments)


def test_bug_25_interleaved_calls_come_one_after_the_other() -> None:
    frames = written(
        START,
        PartStart(0, call(0)),
        PartStart(1, call(1)),
        PartDelta(0, '{"a"'),
        PartDelta(1, '{"b"'),
        PartDelta(0, ":1}"),
        PartEnd(0, call(0, '{"a":1}')),
        PartDelta(1, ":2}"),
        PartEnd(1, call(1, '{"b":2}')),
        END,
    )
    assert read_again(frames).parts == (call(0, '{"a":1}'), call(1, '{"b":2}'))


def test_text_that_is_interrupted_goes_on_in_another_block() -> None:
    frames = written(
        START,
        PartStart(0, Text(text="")),
        PartDelta(0, "a"),
        PartStart(1, call(1)),
        PartDelta(0, "b"),
        PartDelta(1, "{}"),
        PartDelta(0, "c"),
        PartEnd(1, call(1, "{}")),
        PartEnd(0, Text(text="abc")),
        END,
    )
    assert read_again(frames).parts == (Text(text="a"), call(1, "{}"), Text(text="bc"))


def test_text_that_is_over_when_a_call_interrupts_it_is_not_said_again() -> None:
    interrupted = (START, PartStart(0, Text(text="")), PartDelta(0, "a"), PartStart(1, call(1)), PartDelta(1, "{}"))
    for rest in (
        (PartEnd(0, Text(text="a")), PartEnd(1, call(1, "{}"))),
        (PartEnd(1, call(1, "{}")), PartEnd(0, Text(text="a"))),
    ):
        assert read_again(written(*interrupted, *rest, END)).parts == (Text(text="a"), call(1, "{}"))


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[Event], dict[str, str]]:
    """Parts whose events come in any order that keeps each part's own."""
    queues: list[list[Event]] = []
    told: dict[str, str] = {}
    for index in range(draw(st.integers(1, 4))):
        pieces = draw(st.lists(st.sampled_from(["a", "b ", "\u00e9"]), max_size=3))
        whole = "".join(pieces)
        if draw(st.booleans()):
            part: Part = Text(text=whole)
            told["text"] = told.get("text", "") + whole
        else:
            part = ToolCall(id=f"c{index}", name="f", arguments=whole or "{}")
            told[f"c{index}"] = whole or "{}"
        queues.append(
            [PartStart(index, opened(part)), *(PartDelta(index, piece) for piece in pieces), PartEnd(index, part)]
        )
    events: list[Event] = [START]
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        events.append(queue.pop(0))
    return [*events, END], told


@given(interleavings())
def test_nothing_is_lost_or_doubled_however_parts_interleave(case: tuple[list[Event], dict[str, str]]) -> None:
    events, told = case
    response = read_again(written(*events))
    again = {part.id: part.arguments for part in response.parts if isinstance(part, ToolCall)}
    text = "".join(part.text for part in response.parts if isinstance(part, Text))
    expected = {key: sorted(value) for key, value in told.items() if value}
    assert {key: sorted(value) for key, value in {**again, "text": text}.items() if value} == expected


def test_bug_06_the_signature_of_the_end_is_the_one() -> None:
    part = Thinking(sections=("Hm",), signature="done", origin="openai_responses")
    start = Thinking(signature="added", origin="openai_responses")
    frames = written(START, PartStart(0, start), PartDelta(0, "Hm"), PartEnd(0, part), END)
    assert frames.blocks() == [{"type": "thinking", "thinking": "", "signature": ""}]
    assert frames.deltas() == [
        {"type": "thinking_delta", "thinking": "Hm"},
        {"type": "signature_delta", "signature": "px1.openai_responses.done"},
    ]


def test_bug_05_sections_are_one_block() -> None:
    part = Thinking(sections=("One", "Two"))
    deltas = (PartDelta(0, "On", 0), PartDelta(0, "e", 0), PartDelta(0, "Tw", 1), PartDelta(0, "o", 1))
    frames = written(START, PartStart(0, Thinking()), *deltas, PartEnd(0, part), END)
    assert frames.deltas() == [
        {"type": "thinking_delta", "thinking": "On"},
        {"type": "thinking_delta", "thinking": "e"},
        {"type": "thinking_delta", "thinking": "\n\nTw"},
        {"type": "thinking_delta", "thinking": "o"},
    ]


def test_bug_20_the_whole_text_at_the_end_is_not_said_again() -> None:
    part = Thinking(sections=("Hm, well",), signature="s", origin="gemini")
    frames = written(START, PartStart(0, Thinking()), PartDelta(0, "Hm, "), PartDelta(0, "well"), PartEnd(0, part), END)
    assert [delta["thinking"] for delta in frames.deltas() if isinstance(delta, dict) and "thinking" in delta] == [
        "Hm, ",
        "well",
    ]


@pytest.mark.parametrize(
    ("reasoning", "deltas"),
    [
        (None, ["thinking_delta", "signature_delta"]),
        (Reasoning(is_adaptive=True), ["thinking_delta", "signature_delta"]),
        (Reasoning(is_adaptive=True, is_visible=False), ["signature_delta"]),
        (Reasoning(effort="none"), []),
    ],
)
def test_thinking_is_shown_as_the_client_asked(reasoning: Reasoning | None, deltas: list[str]) -> None:
    part = Thinking(sections=("Hm",), signature="s", origin="gemini")
    reply = replace(REPLY, request=Request(model="m", reasoning=reasoning))
    renderer = WIRE.stream_renderer(reply)
    events = (START, PartStart(0, Thinking()), PartDelta(0, "Hm"), PartEnd(0, part), END)
    data = b"".join(renderer.feed(event) for event in events)
    values = [msgspec.json.decode(event.data) for event in SseSplitter().feed(data)]
    assert [value["delta"]["type"] for value in values if value["type"] == "content_block_delta"] == deltas
    whole = WIRE.render_response(Response(id="1", model="m", parts=(part,)), reply).body["content"]
    sealed = {"type": "thinking", "thinking": "", "signature": "px1.gemini.s"}
    expected = {0: [], 1: [sealed], 2: [{**sealed, "thinking": "Hm"}]}
    assert whole == expected[len(deltas)]


def test_bug_13_every_delta_fits_its_block_and_there_is_one_start() -> None:
    thinking, text = Thinking(sections=("Hm",)), Text(text="a")
    frames = written(
        START, PartStart(0, Thinking()), PartDelta(0, "Hm"), PartStart(1, Text(text="")), PartDelta(1, "a"),
        PartEnd(0, thinking), PartEnd(1, text), END,
    )  # fmt: skip
    assert len(frames.of("message_start")) == 1
    assert read_again(frames).parts == (
        Thinking(sections=("Hm",), origin="anthropic"),
        text,
    )


@pytest.mark.parametrize(
    ("part", "blocks"),
    [
        (Text(text=""), []),
        (Refusal(text=""), []),
        (Thinking(), []),
        (Thinking(origin="gemini"), []),
        (Thinking(signature="e", origin="openai_responses"), [{"type": "thinking", "thinking": "", "signature": ""}]),
        (
            Thinking(signature="e", is_redacted=True, origin="openai_responses"),
            [{"type": "redacted_thinking", "data": "px1.openai_responses.e"}],
        ),
    ],
)
def test_what_says_nothing_is_no_block(part: Part, blocks: list[object]) -> None:
    assert written(START, PartStart(0, opened(part)), PartEnd(0, part), END).blocks() == blocks


@pytest.mark.parametrize(
    "part", [Text(text="whole"), Refusal(text="whole"), Thinking(sections=("whole",)), call(0, '{"a":1}')]
)
def test_bug_22_what_came_without_deltas_is_told_at_the_end(part: Part) -> None:
    (delta,) = written(START, PartStart(0, opened(part)), PartEnd(0, part), END).deltas()
    assert isinstance(delta, dict)
    assert next(value for key, value in delta.items() if key != "type") in {"whole", '{"a":1}'}


def test_bug_01_signatures_of_texts_and_calls_have_blocks_of_their_own() -> None:
    text = Text(text="a", signature="s1", origin="gemini")
    signed = ToolCall(id="1", name="f", arguments="{}", signature="s2", origin="gemini")
    answer = Response(id="1", model="m", parts=(text, signed), finish=Finish("tool_calls"))
    frames = written(*explode(answer))
    assert frames.blocks() == [
        {"type": "text", "text": ""},
        {"type": "thinking", "thinking": "", "signature": "px1.gemini.text.s1"},
        {"type": "thinking", "thinking": "", "signature": "px1.gemini.call.s2"},
        {"type": "tool_use", "id": "1", "name": "f", "input": {}},
    ]
    content = WIRE.render_response(answer, REPLY).body["content"]
    assert isinstance(content, list)
    message: JsonObject = {"role": "assistant", "content": content}
    parsed = WIRE.parse_request({"model": "m", "messages": [message]})
    assert parsed.messages[0].parts == (text, signed)


def test_a_custom_tools_text_is_wrapped_at_its_end() -> None:
    part = ToolCall(id="1", name="f", arguments="ls -la", is_custom=True)
    frames = written(START, PartStart(0, opened(part)), PartDelta(0, "ls"), PartDelta(0, " -la"), PartEnd(0, part), END)
    assert frames.deltas() == [{"type": "input_json_delta", "partial_json": '{"input":"ls -la"}'}]


def test_a_call_without_an_id_gets_one() -> None:
    part = ToolCall(id="", name="f", arguments="")
    (block,) = written(START, PartStart(0, part), PartDelta(0, "{}"), PartEnd(0, part), END).blocks()
    assert isinstance(block, dict)
    assert str(block["id"]).startswith("call_")


def test_what_has_no_room_is_lost_by_name() -> None:
    part = Opaque(wire="openai_responses", kind="web_search_call", value={})
    text = Text(text="a", residue=Residue(wire="openai_chat", fields={"annotations": [1]}))
    frames = written(START, PartStart(0, part), PartEnd(0, part), PartStart(1, text), PartEnd(1, text), END)
    assert [(loss.path, loss.what) for loss in frames.losses] == [
        ("content[0]", "web_search_call"),
        ("content[1].annotations", "annotations"),
    ]
    assert [type(block) for block in frames.blocks()] == [dict]


@pytest.mark.parametrize(
    ("finish", "told"),
    [
        (Finish("stop", "stop"), ("end_turn", None)),
        (Finish("stop", None, "END"), ("stop_sequence", "END")),
        (Finish("tool_calls"), ("tool_use", None)),
        (Finish("length"), ("max_tokens", None)),
        (Finish("refusal"), ("refusal", None)),
        (Finish("paused"), ("pause_turn", None)),
    ],
)
def test_reasons(finish: Finish, told: tuple[str, str | None]) -> None:
    (last,) = written(START, ResponseEnd(finish=finish)).of("message_delta")
    delta = last["delta"]
    assert isinstance(delta, dict)
    assert (delta["stop_reason"], delta["stop_sequence"]) == told


def test_a_refusal_is_text_and_a_reason() -> None:
    part = Refusal(text="No.")
    frames = written(START, PartStart(0, opened(part)), PartDelta(0, "No."), PartEnd(0, part), END)
    assert frames.deltas() == [{"type": "text_delta", "text": "No."}]
    assert frames.of("message_delta")[0]["delta"] == {"stop_reason": "refusal", "stop_sequence": None}


def test_bug_65_a_failure_is_an_error_event_and_then_there_is_nothing() -> None:
    failure = Failure(kind="overloaded", message="Overloaded", status=529, request_id="req_1")
    frames = written(
        START, PartStart(0, Text(text="")), PartDelta(0, "a"), failure, PartDelta(0, "b"), END, Heartbeat()
    )
    assert frames.events[-1] == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_1",
    }
    assert len(frames.of("content_block_delta")) == 1


def test_a_heartbeat_is_a_ping_also_before_the_start() -> None:
    assert written(Heartbeat(), START, Heartbeat(), END).of("ping") == [{"type": "ping"}] * 2


def test_events_of_other_wires_have_no_frame() -> None:
    foreign = OpaqueEvent("openai_responses", "response.web_search_call.searching", {"type": "x"})
    own = OpaqueEvent("anthropic", "of_tomorrow", {"type": "of_tomorrow"})
    evil = OpaqueEvent("anthropic", "x\n\ndata: {}", {"type": "x"})
    frames = written(START, foreign, own, evil, END)
    assert [event["type"] for event in frames.events] == [
        "message_start",
        "of_tomorrow",
        "message_delta",
        "message_stop",
    ]


def test_half_an_emoji_is_replaced_rather_than_sent() -> None:
    frames = written(START, PartStart(0, Text(text="")), PartDelta(0, "a\ud83d"), PartEnd(0, Text(text="a\ud83d")), END)
    assert frames.deltas() == [{"type": "text_delta", "text": "a\ufffd"}]


def test_the_end_tells_at_its_places_what_a_whole_answer_tells_at_its_top() -> None:
    first = Residue(wire="anthropic", fields={"type": "message", "role": "assistant"})
    fields: JsonObject = {"container": {"id": "c"}, "stop_details": None, "context_management": {"x": 1}, "new": 1}
    end = ResponseEnd(
        finish=Finish("stop", "end_turn"),
        residue=Residue(wire="anthropic", fields={**first.fields, **fields}),
    )
    (last,) = written(ResponseStart(id="msg_1", model="m", residue=first), end).of("message_delta")
    assert last == {
        "type": "message_delta",
        "delta": {
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "container": {"id": "c"},
            "stop_details": None,
            "new": 1,
        },
        "usage": {"output_tokens": 0},
        "context_management": {"x": 1},
    }


def test_what_begins_late_does_not_overtake_what_waits() -> None:
    frames = written(
        START,
        PartStart(0, Thinking(is_redacted=True, origin="anthropic")),
        PartStart(1, Text(text="")),
        PartStart(2, ToolCall(id="a", name="f", arguments="")),
        PartEnd(0, Thinking(signature="x", is_redacted=True, origin="anthropic")),
        PartStart(3, ToolCall(id="b", name="f", arguments="")),
        PartEnd(3, ToolCall(id="b", name="f")),
        PartEnd(1, Text(text="")),
        PartEnd(2, ToolCall(id="a", name="f")),
        END,
    )
    assert [block["id"] for block in frames.blocks() if isinstance(block, dict) and "id" in block] == ["a", "b"]
