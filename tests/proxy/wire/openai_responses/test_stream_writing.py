from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.hub.events import Failure, Heartbeat, OpaqueEvent, PartDelta, PartEnd, PartStart, ResponseEnd, ResponseStart
from proxy.hub.parts import Media, Opaque, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.wire.openai_responses import WIRE
from tests.proxy.wire.openai_responses.told import (
    MAKER,
    REPLY,
    folded,
    frames,
    heard,
    inner,
    kinds,
    said,
    streamed,
    without,
)

START = ResponseStart(id="theirs", model="theirs")
TEXT_EVENTS = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
USAGE = Usage(input_uncached=1, cache_read=2, output=3)
THINKING = Thinking(sections=("hm", "so"), signature="sig", origin="anthropic")
CALL = ToolCall(id="c", name="f", arguments='{"a":1}')


def find(data: bytes, kind: str) -> list[JsonObject]:
    return [frame for frame in frames(data) if frame["type"] == kind]


def last_response(data: bytes) -> JsonObject:
    response = frames(data)[-1]["response"]
    assert isinstance(response, dict)
    return response


def test_a_text() -> None:
    data = streamed(*said(Text(text="ab"), 0, "a", "b"), usage=USAGE)
    expected = ["response.created", "response.in_progress", *TEXT_EVENTS, "response.completed"]
    expected.insert(4, "response.output_text.delta")
    assert kinds(data) == expected
    assert [frame["sequence_number"] for frame in frames(data)] == list(range(len(expected)))
    assert [frame["delta"] for frame in find(data, "response.output_text.delta")] == ["a", "b"]
    ids = {frame["item_id"] for frame in frames(data) if "item_id" in frame}
    assert ids == {inner(frame, "item", "id") for frame in frames(data) if "item" in frame}
    assert inner(last_response(data), "usage", "total_tokens") == 6


def test_sse_frames_have_their_names() -> None:
    lines = streamed(*said(Text(text="x"), 0)).split(b"\n")
    for name, data in zip(lines[::3], lines[1::3], strict=False):
        if name:
            assert name.removeprefix(b"event: ").decode() == msgspec.json.decode(data.removeprefix(b"data: "))["type"]


def test_a_websocket_gets_the_same_as_lines() -> None:
    events = said(THINKING, 0) + said(Text(text="x\n\ny"), 1) + said(CALL, 2)
    lines = streamed(*events, reply=replace(REPLY, framing="frames"))
    assert all(line.startswith(b"{") for line in lines.split(b"\n")[:-1])
    assert frames(lines) == frames(streamed(*events))


def test_thoughts() -> None:
    data = streamed(*said(THINKING, 0))
    section = [
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
    ]
    assert kinds(data)[2:-1] == ["response.output_item.added", *section, *section, "response.output_item.done"]
    assert [frame["summary_index"] for frame in find(data, section[2])] == [0, 1]
    assert [frame["text"] for frame in find(data, section[2])] == ["hm", "so"]


def test_bug_6_the_signature_comes_with_the_finished_item_only() -> None:
    data = streamed(*said(THINKING, 0))
    assert "encrypted_content" not in str(find(data, "response.output_item.added"))
    assert inner(find(data, "response.output_item.done")[0], "item", "encrypted_content") == "px1.anthropic.sig"


def test_thoughts_without_words() -> None:
    data = streamed(*said(Thinking(signature="sig", is_redacted=True, origin="anthropic"), 0))
    assert kinds(data)[2:-1] == ["response.output_item.added", "response.output_item.done"]
    assert inner(last_response(data), "output", 0, "summary") == []


def test_a_call_passes_in_fragments() -> None:
    data = streamed(*said(CALL, 0, '{"a"', ":1}"), reason="tool_calls")
    assert inner(find(data, "response.output_item.added")[0], "item", "arguments") == ""
    assert [frame["delta"] for frame in find(data, "response.function_call_arguments.delta")] == ['{"a"', ":1}"]
    assert find(data, "response.function_call_arguments.done")[0]["arguments"] == '{"a":1}'
    assert inner(last_response(data), "output", 0, "status") == "completed"


def test_bug_22_what_came_in_no_delta_is_told() -> None:
    for part, kind in (
        (CALL, "response.function_call_arguments.delta"),
        (Text(text="x"), "response.output_text.delta"),
        (Refusal(text="no"), "response.refusal.delta"),
        (THINKING, "response.reasoning_summary_text.delta"),
    ):
        start, *_, end = said(part, 0)
        assert find(streamed(start, end), kind), kind


def test_bug_34_a_call_without_arguments() -> None:
    data = streamed(*said(ToolCall(id="c", name="f", arguments=""), 0))
    assert inner(last_response(data), "output", 0, "arguments") == "{}"
    assert find(data, "response.function_call_arguments.done")[0]["arguments"] == "{}"


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


def test_bug_43_calls_are_spelled_as_their_tools_are() -> None:
    reply = replace(REPLY, request=ASKED)
    data = streamed(
        *said(ToolCall(id="a", name="patch", arguments='{"input":"*** Begin"}'), 0, '{"input":"*** B', 'egin"}'),
        *said(ToolCall(id="b", name="n__f", arguments="{}"), 1),
        *said(ToolCall(id="c", name="tool_search", arguments='{"query":"x"}'), 2),
        reply=reply,
    )
    assert [frame["delta"] for frame in find(data, "response.custom_tool_call_input.delta")] == ["*** B", "egin"]
    assert find(data, "response.custom_tool_call_input.done")[0]["input"] == "*** Begin"
    items = [without(frame["item"], "id", "status") for frame in find(data, "response.output_item.done")]
    assert items == [
        {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "*** Begin"},
        {"type": "function_call", "call_id": "b", "name": "f", "namespace": "n", "arguments": "{}"},
        {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "x"}},
    ]
    begun = [without(frame["item"], "id", "status") for frame in find(data, "response.output_item.added")]
    assert [inner(item, key) for item, key in zip(begun, ("input", "arguments", "arguments"), strict=True)] == [
        "",
        "",
        {},
    ]


def test_texts_that_follow_each_other_are_one_message() -> None:
    data = streamed(*said(Text(text="a"), 0), *said(Text(text="b"), 1), *said(Refusal(text="c"), 2))
    assert [frame["content_index"] for frame in find(data, "response.content_part.added")] == [0, 1, 2]
    assert len(find(data, "response.output_item.done")) == 1


def test_bug_25_items_never_overlap() -> None:
    """Calls that the upstream interleaves are told one after the other, none of them lost."""
    other = ToolCall(id="d", name="g", arguments='{"b":2}')
    data = streamed(
        PartStart(0, Text(text="")),
        PartDelta(0, "x"),
        PartStart(1, replace(CALL, arguments="")),
        PartStart(2, replace(other, arguments="")),
        PartDelta(1, '{"a"'),
        PartDelta(2, '{"b"'),
        PartDelta(1, ":1}"),
        PartEnd(0, Text(text="x")),
        PartDelta(2, ":2}"),
        PartEnd(2, other),
        PartEnd(1, CALL),
    )
    opened: list[JsonValue] = []
    for frame in frames(data):
        if frame["type"] == "response.output_item.added":
            assert opened == []
            opened.append(frame["output_index"])
        elif frame["type"] == "response.output_item.done":
            assert opened.pop() == frame["output_index"]
    assert [inner(item, "type") for item in _output(data)] == ["message", "function_call", "function_call"]
    assert [inner(item, "call_id") for item in _output(data)[1:]] == ["c", "d"]


def _output(data: bytes) -> list[JsonValue]:
    output = last_response(data)["output"]
    assert isinstance(output, list)
    return output


def test_what_is_told_whole_holds_nobody_up() -> None:
    search = Opaque(wire=MAKER, kind="web_search_call", value={"type": "web_search_call", "id": "ws_1"})
    renderer = WIRE.stream_renderer(REPLY)
    for event in (START, PartStart(0, search), PartStart(1, Text(text=""))):
        renderer.feed(event)
    assert b'"delta":"x"' in renderer.feed(PartDelta(1, "x"))
    rest = renderer.feed(PartEnd(0, search)) + renderer.feed(PartEnd(1, Text(text="x")))
    assert kinds(rest)[-3:] == ["response.output_item.done", "response.output_item.added", "response.output_item.done"]


def test_what_cannot_be_said_is_told_as_a_loss() -> None:
    renderer = WIRE.stream_renderer(REPLY)
    parts = (
        Opaque(wire="anthropic", kind="server_tool_use", value={}),
        Media(kind="image", data="AA=="),
        Text(text="x", residue=Residue(wire="anthropic", fields={"citations": [1]})),
    )
    data = b"".join(renderer.feed(event) for at, part in enumerate(parts) for event in said(part, at))
    data += renderer.feed(OpaqueEvent("anthropic", "ping", {})) + renderer.feed(ResponseEnd(finish=Finish("stop")))
    assert [loss.what for loss in renderer.losses] == ["server_tool_use", "image", "citations"]
    assert len(_output(data)) == 1


@pytest.mark.parametrize("framing", ["sse", "frames"])
def test_heartbeats(framing: str) -> None:
    renderer = WIRE.stream_renderer(replace(REPLY, framing=framing))
    renderer.feed(START)
    beat = renderer.feed(Heartbeat())
    assert beat.startswith(b":") if framing == "sse" else frames(beat) == [{"type": "keepalive", "sequence_number": 2}]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("stop", "response.completed"),
        ("tool_calls", "response.completed"),
        ("length", "response.incomplete"),
        ("refusal", "response.incomplete"),
        ("malformed_call", "response.failed"),
    ],
)
def test_bug_61_how_it_ends(reason: FinishReason, kind: str) -> None:
    assert kinds(streamed(*said(Text(text="x"), 0), reason=reason))[-1] == kind


def test_bug_62_what_was_cut_is_incomplete() -> None:
    """A call that cannot be read waits until it is known whether the end cut it."""
    cut = ToolCall(id="c", name="f", arguments='{"a":')
    data = streamed(*said(cut, 0), reason="length")
    assert inner(find(data, "response.output_item.done")[0], "item", "status") == "incomplete"
    data = streamed(*said(cut, 0), *said(CALL, 1), reason="tool_calls")
    assert [inner(item, "status") for item in _output(data)] == ["completed", "completed"]
    assert inner(_output(streamed(*said(Text(text="x"), 0), reason="length"))[0], "status") == "incomplete"


def test_bug_65_a_failure_in_the_middle() -> None:
    renderer = WIRE.stream_renderer(REPLY)
    failure = Failure(kind="overloaded", message="Busy.", status=529, type="overloaded_error")
    events = [
        START,
        PartStart(0, Text(text="")),
        PartDelta(0, "x"),
        failure,
        PartDelta(0, "y"),
        ResponseEnd(finish=Finish("stop")),
    ]
    data = b"".join(renderer.feed(event) for event in events)
    assert kinds(data)[-1] == "response.failed"
    assert last_response(data)["error"] == {"code": "server_is_overloaded", "message": "Busy."}
    assert last_response(data)["status"] == "failed"
    assert b'"y"' not in data


def test_a_failure_before_anything_was_told() -> None:
    failure = Failure(kind="quota", message="Wait.", status=429)
    assert kinds(WIRE.stream_renderer(REPLY).feed(failure)) == [
        "response.created",
        "response.in_progress",
        "response.failed",
    ]
    (frame,) = frames(WIRE.stream_renderer(replace(REPLY, framing="frames")).feed(failure))
    assert (frame["type"], frame["status"], inner(frame, "error", "code")) == ("error", 429, "insufficient_quota")


def test_bug_65_line_breaks_and_halves_of_characters_stay_inside_a_frame() -> None:
    data = streamed(*said(Text(text="a\r\nb\u2028\ud83d"), 0))
    assert find(data, "response.output_text.done")[0]["text"] == "a\r\nb\u2028\ufffd"
    assert data.count(b"\n\n") == len(frames(data))


def test_l3_what_is_streamed_is_what_is_told_whole() -> None:
    parts = (THINKING, Text(text="a"), Text(text="b"), CALL, Refusal(text="no"), ToolCall(id="d", name="g"))
    data = streamed(*(event for at, part in enumerate(parts) for event in said(part, at)), usage=USAGE)
    answer = Response(id="theirs", model="theirs", parts=parts, finish=Finish("stop"), usage=USAGE)
    assert last_response(data) == WIRE.render_response(answer, REPLY).body
    whole = WIRE.parse_response(last_response(data), maker=MAKER)
    assert folded(heard(data)) == whole


def test_the_official_sdk_reads_every_event() -> None:
    adapter: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
    parts = (
        THINKING,
        Text(text="a"),
        CALL,
        Refusal(text="no"),
        ToolCall(id="p", name="patch", arguments='{"input":"x"}'),
    )
    events = [event for at, part in enumerate(parts) for event in said(part, at)]
    for frame in frames(streamed(*events, usage=USAGE, reply=replace(REPLY, request=ASKED))):
        assert adapter.validate_python(frame).type == frame["type"]


def test_memory_and_time_are_linear() -> None:
    """Ten times the answer gives ten times the bytes: nothing is told again with each delta."""

    def size(count: int) -> int:
        return len(streamed(*said(Text(text="x" * count), 0, *("x" * count))))

    assert size(2000) - size(1000) <= 10.1 * (size(200) - size(100))
