from __future__ import annotations

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
from proxy.hub.fold import Fold, StreamCorrupt, explode, merged, opened
from proxy.hub.parts import Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import Residue
from proxy.hub.response import Finish, Response, Usage

START = ResponseStart(id="1", model="m")
END = ResponseEnd(finish=Finish("stop"))
TEXT = Text(text="")

RESIDUES = st.none() | st.builds(Residue, wire=st.just("w"), fields=st.dictionaries(st.text(max_size=3), st.integers()))
PARTS = st.one_of(
    st.builds(Text, text=st.text(max_size=9), residue=RESIDUES),
    st.builds(Refusal, text=st.text(max_size=9)),
    st.builds(Thinking, sections=st.lists(st.text(max_size=9), max_size=3).map(tuple), signature=st.none() | st.text()),
    st.builds(ToolCall, id=st.text(max_size=5), name=st.text(max_size=5), signature=st.none() | st.text()),
    st.builds(Opaque, wire=st.just("w"), kind=st.just("k"), value=st.integers()),
)
RESPONSES = st.builds(
    Response,
    id=st.text(max_size=5),
    model=st.text(max_size=5),
    created=st.none() | st.integers(),
    parts=st.lists(PARTS, max_size=5).map(tuple),
    finish=st.just(Finish("stop", "end_turn")),
    usage=st.none() | st.builds(Usage, output=st.integers(0, 9)),
    residue=RESIDUES,
)


def fold(*events: Event) -> Fold:
    collected = Fold()
    for event in events:
        collected.feed(event)
    return collected


@given(RESPONSES)
def test_explode_and_fold_are_each_others_inverse(response: Response) -> None:
    assert fold(*explode(response)).finish() == response


@given(RESPONSES)
def test_start_and_deltas_make_the_end(response: Response) -> None:
    """L7: what a client has put together from the deltas is what the part's end says."""
    texts: dict[int, list[str]] = {}
    for event in explode(response):
        if isinstance(event, PartStart):
            assert event.part == opened(event.part)
            texts[event.index] = []
        elif isinstance(event, PartDelta):
            texts[event.index].append(event.text)
        elif isinstance(event, PartEnd):
            assert "".join(texts[event.index]) == written(event.part)


def written(part: Part) -> str:
    match part:
        case Text(text=text) | Refusal(text=text):
            return text
        case Thinking(sections=sections):
            return "".join(sections)
        case ToolCall(arguments=arguments):
            return arguments
        case _:
            return ""


def test_a_call_opens_with_all_but_its_arguments() -> None:
    call = ToolCall(id="1", name="f", arguments='{"a":1}', signature="s", origin="gemini")
    assert opened(call) == ToolCall(id="1", name="f", arguments="", signature="s", origin="gemini")


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((PartStart(0, TEXT),), "PartStart before the start"),
        ((END,), "ResponseEnd before the start"),
        ((START, START), "a second start"),
        ((START, PartStart(0, TEXT), PartStart(0, TEXT)), "part 0 was opened twice"),
        ((START, PartStart(0, TEXT), PartEnd(0, TEXT), PartStart(0, TEXT)), "part 0 was opened twice"),
        ((START, PartDelta(0, "x")), "a delta for part 0, which is not open"),
        ((START, PartStart(0, TEXT), PartEnd(0, TEXT), PartDelta(0, "x")), "a delta for part 0, which is not open"),
        ((START, PartEnd(0, TEXT)), "part 0 ended without a start"),
        ((START, PartStart(3, TEXT), END), "part 3 never ended"),
        ((START, END, PartStart(0, TEXT)), "PartStart after the end"),
        ((START, END, END), "ResponseEnd after the end"),
    ],
)
def test_broken_grammar_is_told(events: tuple[Event, ...], why: str) -> None:
    with pytest.raises(StreamCorrupt, match=why) as caught:
        fold(*events)
    assert caught.value.failure.kind == "stream_corrupt"
    assert why in caught.value.failure.message


@pytest.mark.parametrize(
    "events", [(), (START,), (START, PartStart(0, TEXT)), (START, PartStart(0, TEXT), PartEnd(0, TEXT))]
)
def test_a_stream_that_ends_early_is_no_answer(events: tuple[Event, ...]) -> None:
    with pytest.raises(StreamCorrupt, match="it ended early"):
        fold(*events).finish()


def test_a_failure_is_no_answer() -> None:
    failure = Failure(kind="overloaded", message="Overloaded", status=529)
    collected = fold(START, PartStart(0, TEXT), failure, Heartbeat())
    assert collected.failure is failure
    with pytest.raises(StreamCorrupt, match="it failed: Overloaded"):
        collected.finish()
    with pytest.raises(StreamCorrupt, match="PartDelta after the end"):
        collected.feed(PartDelta(0, "x"))


def test_heartbeats_and_unknown_events_change_nothing() -> None:
    opaque = OpaqueEvent("w", "news", {})
    collected = fold(Heartbeat(), opaque, START, opaque, Heartbeat(), END, Heartbeat())
    assert collected.finish() == Response(id="1", model="m", finish=Finish("stop"))


def test_parts_may_interleave_and_keep_the_order_of_their_indexes() -> None:
    one, two = ToolCall(id="1", name="a", arguments="{}"), ToolCall(id="2", name="b", arguments="{}")
    collected = fold(
        START,
        PartStart(1, opened(two)),
        PartStart(0, opened(one)),
        PartDelta(0, "{"),
        PartDelta(1, "{}"),
        PartDelta(0, "}"),
        PartEnd(1, two),
        PartEnd(0, one),
        END,
    )
    assert collected.finish().parts == (one, two)


def test_the_ends_residue_wins() -> None:
    first = Residue(wire="w", fields={"a": 1, "b": 1}, shape={"s": 1})
    second = Residue(wire="w", fields={"b": 2})
    assert merged(first, second) == Residue(wire="w", fields={"a": 1, "b": 2}, shape={"s": 1})
    assert merged(None, second) is second
    assert merged(first, None) is first
