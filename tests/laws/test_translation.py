"""L3, L4, L6 and L7 over whatever hypothesis thinks of: any request for any upstream, any answer for any client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hub.events import Event, PartDelta, PartEnd, PartStart, ResponseEnd, ResponseStart
from proxy.hub.fold import explode, opened
from proxy.hub.parts import Refusal, Text, Thinking, ToolCall
from proxy.hub.request import Request
from proxy.hub.response import Response
from proxy.wire.base import Wire
from proxy.wire.table import WIRES
from tests.laws import answers as told
from tests.laws.answers import REPLY, folded
from tests.laws.campaign import examples
from tests.laws.comparison import differences
from tests.laws.essence import of_request
from tests.laws.strategies import requests, responses
from tests.laws.targets import ABLE, ALL, Target
from tests.laws.validity import JUDGES
from tests.laws.validity.streams import GRAMMARS

by_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)


def check(request: Request, target: Target) -> None:
    rendered = target.wire.render_request(request, target.profile)
    assert list(JUDGES[target.wire.name](rendered.body, target.profile)) == []
    parsed = target.wire.parse_request(rendered.body, model=request.model, is_stream=request.is_stream)
    after = of_request(parsed, rendered.names)
    assert differences(of_request(request), after, rendered.losses, target) == []


@pytest.mark.parametrize("target", ABLE, ids=lambda target: target.name)
@given(request=requests(is_orderly=True))
@examples(60)
def test_L4_a_request_says_the_same_to_an_able_upstream(target: Target, request: Request) -> None:
    check(request, target)


@by_wire
@given(request=requests(), data=st.data())
@examples(60)
def test_L6_whatever_clients_send_is_put_right_for_every_model(
    wire: Wire, request: Request, data: st.DataObject
) -> None:
    check(request, data.draw(st.sampled_from([target for target in ALL if target.wire is wire])))


@by_wire
@given(response=responses())
@examples(80)
def test_L4_an_answer_says_the_same_to_every_client(wire: Wire, response: Response) -> None:
    rendered = wire.render_response(response, REPLY)
    parsed = wire.parse_response(rendered.body, maker=wire.name)
    assert told.differences(response, parsed, rendered.losses, wire) == []


@by_wire
@given(response=responses(), data=st.data())
@examples(60)
def test_L3_a_stream_says_what_the_whole_answer_says(wire: Wire, response: Response, data: st.DataObject) -> None:
    """However its parts interleave and its deltas are cut."""
    events = data.draw(streamed(response))
    renderer = wire.stream_renderer(REPLY)
    heard = b"".join(renderer.feed(event) for event in events) + renderer.finish()
    assert list(GRAMMARS[wire.name](heard)) == []
    parsed = folded(wire.stream_parser(maker=wire.name), [heard])
    assert told.differences(response, parsed, renderer.losses, wire) == []
    whole = wire.parse_response(wire.render_response(response, REPLY).body, maker=wire.name)
    if response.finish is not None and response.finish.reason != "length":
        assert told.told(parsed) == told.told(whole)


@st.composite
def streamed(draw: st.DrawFn, response: Response) -> list[Event]:
    """The events of `response`, each part's in order, the parts' interleaved; the first deltas may be empty."""
    queues = [list(part_events(draw, index, part)) for index, part in enumerate(response.parts)]
    events: list[Event] = [ResponseStart(id=response.id, model=response.model, created=response.created)]
    begun = 0
    while any(queues):
        ready = [number for number in range(min(begun + 1, len(queues))) if queues[number]]
        number = draw(st.sampled_from(ready))
        begun = max(begun, number + 1)
        events.append(queues[number].pop(0))
    assert response.finish is not None
    return [*events, ResponseEnd(finish=response.finish, usage=response.usage)]


def part_events(draw: st.DrawFn, index: int, part: object) -> list[Event]:
    match part:
        case Text(text=text) | Refusal(text=text):
            pieces = [(0, piece) for piece in cut(draw, text)]
        case ToolCall(arguments=arguments):
            pieces = [(0, piece) for piece in cut(draw, arguments)]
        case Thinking(sections=sections):
            pieces = [(at, piece) for at, section in enumerate(sections) for piece in cut(draw, section)]
        case _:
            pieces = []
    start = PartStart(index, opened(part))  # type: ignore[arg-type]  # a part of the answer
    return [start, *(PartDelta(index, piece, at) for at, piece in pieces), PartEnd(index, part)]  # type: ignore[arg-type]  # as above


def cut(draw: st.DrawFn, text: str) -> list[str]:
    if not text:
        return []
    at = draw(st.integers(0, len(text)))
    return [piece for piece in (text[:at], text[at:]) if piece]


def test_exploding_and_folding_are_inverse() -> None:
    response = Response(id="a", model="m", parts=(Text(text="x"),))
    assert [type(event) for event in explode(response)] == [ResponseStart, PartStart, PartDelta, PartEnd]
