"""L1, L2, L3, L5 and L7 at home: what a wire reads it writes again, over everything that was recorded."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from proxy.hub.events import Event, PartDelta, PartEnd, PartStart
from proxy.hub.fold import Fold, StreamCorrupt
from proxy.hub.parts import Refusal, Text, Thinking, ToolCall
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject
from proxy.hub.response import Response
from proxy.wire.base import Reply, Wire
from proxy.wire.table import WIRES
from tests.laws.answers import folded, told
from tests.laws.recordings import Asked, Recording, answers, cli_requests, pairs, requests, streams
from tests.laws.targets import able

by_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
CUTS_OF_LARGE = 12
SMALL_BYTES = 3_000


def of_wire(wire: Wire, recordings: list[Recording]) -> list[Recording]:
    found = [each for each in recordings if each.wire is wire]
    return found or pytest.skip(f"nothing recorded of {wire.name}")


@by_wire
def test_L1_an_answer_comes_back_as_it_was(wire: Wire) -> None:
    changed = {}
    for each in of_wire(wire, answers()):
        body = as_object(each.body)
        response = each.parsed_response()
        reply = Reply(model=response.model, request_id="request-1", created=response.created or 0)
        if wire.render_response(response, reply).body != body:
            changed[each.name] = response
    assert changed == {}


@by_wire
def test_L2_a_request_comes_back_as_it_was(wire: Wire) -> None:
    changed = []
    profile = replace(able(wire), replays_reasoning_text=True)
    found: list[Recording | Asked] = [
        *of_wire(wire, requests()),
        *(each for each in cli_requests() if each.wire is wire),
    ]
    for each in found:
        request = parsed(each)
        body = as_object(each.request if isinstance(each, Recording) else each.body)
        rendered = wire.render_request(request, profile)
        if wire.name != "gemini":
            body = {"model": request.model, **body}
        if rendered.body != body or rendered.losses:
            changed.append((each.name, rendered.losses))
    assert changed == []


def parsed(each: Recording | Asked) -> Request:
    return each.parsed_request() if isinstance(each, Recording) else each.parsed()


def as_object(value: object) -> JsonObject:
    assert isinstance(value, dict)
    return value


def events_of(recording: Recording, chunks: list[bytes] | None = None) -> list[Event]:
    parser = recording.wire.stream_parser(maker=recording.wire.name)
    events = [event for chunk in chunks or [recording.sse] for event in parser.feed(chunk)]
    return events + parser.finish()


@by_wire
def test_L3_and_L7_every_stream_keeps_the_grammar(wire: Wire) -> None:
    """Folding breaks only where the stream itself tells of a failure; the deltas are the part, where it has its own."""
    broken = {}
    for each in of_wire(wire, streams()):
        fold = Fold()
        events = events_of(each)
        try:
            for event in events:
                fold.feed(event)
            if fold.failure is None:
                fold.finish()
        except StreamCorrupt as error:
            broken[each.name] = str(error)
        for index, deltas, part in untold(events):
            if not contradicts(deltas, part):
                broken[each.name] = f"part {index}: {deltas[:80]!r} was told of {part[:80]!r}"
    assert broken == {}


def test_L3_a_stream_and_its_whole_answer_are_one() -> None:
    """Over the pairs that the project has captured; signatures included."""
    failures = {}
    found = pairs()
    for whole, streamed in found:
        response = whole.parsed_response()
        folded_ = folded(streamed.wire.stream_parser(maker=whole.wire.name), [streamed.sse])
        if (told(folded_), signed(folded_)) != (told(response), signed(response)):
            failures[whole.name] = (told(folded_), signed(folded_), told(response), signed(response))
    assert failures == {}
    assert {whole.wire for whole, _ in found} == set(WIRES)


def signed(response: Response) -> list[str]:
    return [
        part.signature for part in response.parts if isinstance(part, Text | Thinking | ToolCall) and part.signature
    ]


def contradicts(deltas: str, part: str) -> bool:
    """The upstream said one thing in deltas and another at the end: no parser can make that one."""
    return bool(deltas) and not part.startswith(deltas)


def untold(events: list[Event]) -> list[tuple[int, str, str]]:
    """Index, deltas and part of each part whose deltas are not what it holds."""
    deltas: dict[int, dict[int, list[str]]] = {}
    found = []
    for event in events:
        match event:
            case PartStart(index=index):
                deltas[index] = {}
            case PartDelta(index=index, text=text, section=section):
                deltas[index].setdefault(section, []).append(text)
            case PartEnd(index=index, part=part):
                said = "".join("".join(texts) for _, texts in sorted(deltas[index].items()))
                if (whole := text_of(part)) is not None and said != whole:
                    found.append((index, said, whole))
            case _:
                pass
    return found


def text_of(part: object) -> str | None:
    match part:
        case Text(text=text) | Refusal(text=text):
            return text
        case ToolCall(arguments=arguments):
            return arguments
        case Thinking(sections=sections):
            return "".join(sections)
        case _:
            return None


@by_wire
def test_L5_cuts_change_nothing(wire: Wire) -> None:
    """Small streams are cut at every byte, once each and into single bytes; large ones at random places."""
    changed = []
    chosen = random.Random(5)  # noqa: S311 - places to cut at, the same each time
    for each in of_wire(wire, streams()):
        whole = events_of(each)
        for chunks in cut(each.sse, chosen):
            if events_of(each, chunks) != whole:
                changed.append((each.name, [len(chunk) for chunk in chunks][:9]))
                break
    assert changed == []


def cut(data: bytes, chosen: random.Random) -> list[list[bytes]]:
    if len(data) <= SMALL_BYTES:
        step = max(1, len(data) // 150)
        return [
            *([data[:at], data[at:]] for at in range(1, len(data), step)),
            [data[at : at + 1] for at in range(len(data))],
        ]
    places = sorted({chosen.randrange(1, len(data)) for _ in range(CUTS_OF_LARGE)})
    bounds = [0, *places, len(data)]
    return [[data[start:end] for start, end in itertools.pairwise(bounds)]]
