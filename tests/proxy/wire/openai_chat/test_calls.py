"""The vendors' ways of streaming tool calls."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.hub.events import Event, OpaqueEvent, PartDelta, PartEnd, PartStart
from proxy.hub.fold import Fold
from proxy.hub.parts import ToolCall
from proxy.hub.response import Response
from proxy.wire.openai_chat import WIRE


def piece(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, "function": function}


def events_of(*deltas: list[dict[str, Any]], finish: str = "tool_calls") -> list[Event]:
    parser = WIRE.stream_parser(maker="openai_chat")
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": delta}}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    data = b"".join(b"data: " + msgspec.json.encode({"id": "a", **chunk}) + b"\n\n" for chunk in chunks)
    return [*parser.feed(data), *parser.finish()]


def folded(*deltas: list[dict[str, Any]], finish: str = "tool_calls") -> Response:
    fold = Fold()
    for event in events_of(*deltas, finish=finish):
        fold.feed(event)
    return fold.finish()


TWO = [("look", '{"a":1}'), ("see", '{"b":2}')]

DIALECTS: dict[str, list[list[dict[str, Any]]]] = {
    "as documented": [
        [piece("look", "", index=0, id="x", type="function")],
        [piece(None, '{"a"', index=0)],
        [piece(None, ":1}", index=0)],
        [piece("see", "", index=1, id="y", type="function")],
        [piece(None, '{"b":2}', index=1)],
    ],
    "interleaved": [
        [piece("look", '{"a"', index=0, id="x")],
        [piece("see", '{"b"', index=1, id="y")],
        [piece(None, ":1}", index=0), piece(None, ":2}", index=1)],
    ],
    "whole, without an index": [[piece("look", '{"a":1}', id="x"), piece("see", '{"b":2}', id="y")]],
    "in pieces, without an index": [
        [piece("look", '{"a"', id="x")],
        [piece(None, ":1}")],
        [piece("see", '{"b"', id="y")],
        [piece(None, ":2}", id="y")],
    ],
    "all under index 0 with different ids": [
        [piece("look", '{"a":1}', index=0, id="x")],
        [piece("see", '{"b":2}', index=0, id="y")],
    ],
    "all under index 0, in pieces": [
        [piece("look", "", index=0, id="x")],
        [piece(None, '{"a":1}', index=0)],
        [piece("see", "", index=0, id="y")],
        [piece(None, '{"b":2}', index=0)],
    ],
    "the id on each piece": [
        [piece("look", '{"a"', index=0, id="x")],
        [piece(None, ":1}", index=0, id="x")],
        [piece("see", '{"b":2}', index=1, id="y")],
    ],
    "id and name on each piece": [
        [piece("look", '{"a"', index=0, id="x")],
        [piece("look", ":1}", index=0, id="x")],
        [piece("see", '{"b":2}', index=1, id="y")],
    ],
    "another id on each piece": [
        [piece("look", '{"a"', index=0, id="x")],
        [piece(None, ":1}", index=0, id="z")],
        [piece("see", '{"b":2}', index=1, id="y")],
    ],
    "an empty id on later pieces": [
        [piece("look", "", index=0, id="x")],
        [piece(None, '{"a":1}', index=0, id="", type="function")],
        [piece("see", '{"b":2}', index=1, id="y")],
    ],
    "the name late": [
        [piece(None, "", index=0, id="x")],
        [piece(None, '{"a"', index=0)],
        [piece("look", ":1}", index=0)],
        [piece("see", '{"b":2}', index=1, id="y")],
    ],
    "arguments at the end": [
        [piece("look", index=0, id="x"), piece("see", None, index=1, id="y")],
        [piece(None, '{"a":1}', index=0), piece(None, '{"b":2}', index=1)],
    ],
    "arguments as objects": [[piece("look", {"a": 1}, index=0, id="x"), piece("see", {"b": 2}, index=1, id="y")]],
    "arguments once more after their end": [
        [piece("look", '{"a":1}', index=0, id="x")],
        [piece("see", '{"b":2}', index=1, id="y")],
        [piece(None, '{"a":1}', index=0)],
    ],
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_bug_22_23_24_each_dialect_is_understood(dialect: str) -> None:
    calls = [part for part in folded(*DIALECTS[dialect]).parts if isinstance(part, ToolCall)]
    assert [(call.name, call.arguments) for call in calls] == TWO
    assert [call.id for call in calls] == ["x", "y"]


def test_bug_26_calls_without_ids_get_the_ids_of_the_whole_answer() -> None:
    stream = folded([piece("look", '{"a":1}', id=""), piece("look", '{"b":2}', id="")], [piece("see", "{}")])
    calls = [
        {"function": {"name": name, "arguments": text}}
        for name, text in [("look", '{"a":1}'), ("look", '{"b":2}'), ("see", "{}")]
    ]
    whole = WIRE.parse_response({"id": "a", "choices": [{"message": {"tool_calls": calls}}]}, maker="openai_chat")
    ids = [part.id for part in stream.parts if isinstance(part, ToolCall)]
    assert ids == [part.id for part in whole.parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 3


def test_bug_34_a_call_without_arguments_is_an_empty_object() -> None:
    events = events_of([piece("look", "", index=0, id="x")])
    assert [event.text for event in events if isinstance(event, PartDelta)] == ["{}"]
    assert [
        event.part.arguments for event in events if isinstance(event, PartEnd) and isinstance(event.part, ToolCall)
    ] == ["{}"]


def test_arguments_pass_through_as_they_come() -> None:
    events = events_of(
        [piece("look", '{"a', index=0, id="x")], [piece(None, '":"', index=0)], [piece(None, '1"}', index=0)]
    )
    assert [event.text for event in events if isinstance(event, PartDelta)] == ['{"a', '":"', '1"}']


def test_bug_25_a_whole_call_ends_when_the_next_begins_and_a_cut_one_goes_on() -> None:
    whole = events_of([piece("look", "{}", index=0, id="x")], [piece("see", "{}", index=1, id="y")])
    assert [event.index for event in whole if isinstance(event, PartStart | PartEnd)] == [0, 0, 1, 1]
    cut = events_of(
        [piece("look", "{", index=0, id="x")], [piece("see", "{}", index=1, id="y")], [piece(None, "}", index=0)]
    )
    assert [event.index for event in cut if isinstance(event, PartStart | PartEnd)] == [0, 1, 0, 1]


def test_bug_62_a_cut_call_ends_with_length() -> None:
    response = folded([piece("look", '{"a', index=0, id="x")], finish="length")
    assert response.finish is not None
    assert response.finish.reason == "length"


def test_a_call_that_never_gets_a_name_is_no_call() -> None:
    events = events_of([piece(None, '{"a":1}', index=0, id="x")])
    assert [event.name for event in events if isinstance(event, OpaqueEvent)] == ["tool_call"]
    response = folded([piece(None, '{"a":1}', index=0, id="x")])
    assert response.parts == ()
    assert response.finish is not None
    assert response.finish.reason == "malformed_call"


def test_custom_tools() -> None:
    entry = {"index": 0, "id": "x", "type": "custom", "custom": {"name": "sh", "input": "l"}}
    call = folded([entry], [{"index": 0, "custom": {"input": "s"}}]).parts[0]
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments, call.is_custom) == ("sh", "ls", True)


def test_bug_17_googles_signature() -> None:
    signed = {"google": {"thought_signature": "sig"}}
    call = folded([piece("look", "{}", index=0, id="x", extra_content=signed)]).parts[0]
    assert isinstance(call, ToolCall)
    assert (call.signature, call.origin) == ("sig", "openai_chat")


def test_bug_36_the_wrapper_of_parallel_calls_is_opened() -> None:
    uses = '{"tool_uses":[{"recipient_name":"functions.a","parameters":{"x":1}},{"recipient_name":"functions.b"}]}'
    parts = folded(
        [piece("multi_tool_use.parallel", uses[:20], index=0, id="x")], [piece(None, uses[20:], index=0)]
    ).parts
    told = [(part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)]
    assert told == [("x_0", "a", '{"x":1}'), ("x_1", "b", "{}")]


def test_the_legacy_form() -> None:
    parser = WIRE.stream_parser(maker="m")
    deltas = [{"name": "look", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ":1}"}]
    chunks = [{"choices": [{"index": 0, "delta": {"function_call": delta}}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "function_call"}]})
    fold = Fold()
    data = b"".join(b"data: " + msgspec.json.encode({"id": "a", **chunk}) + b"\n\n" for chunk in chunks)
    for event in [*parser.feed(data), *parser.finish()]:
        fold.feed(event)
    response = fold.finish()
    whole = {
        "choices": [
            {"message": {"function_call": {"name": "look", "arguments": '{"a":1}'}}, "finish_reason": "function_call"}
        ]
    }
    assert response.parts == WIRE.parse_response({"id": "a", **whole}, maker="m").parts
    assert response.finish is not None
    assert response.finish.reason == "tool_calls"


def test_a_name_on_each_of_many_pieces_costs_no_more_than_its_length() -> None:
    """Each piece looks like an end: how often that is tried is bounded."""
    pieces = [[piece("look", '{"a":{"b":{}}}' if not number else "}", index=0)] for number in range(2000)]
    assert len(folded(*pieces).parts) >= 1
