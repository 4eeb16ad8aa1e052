"""L4 and L6: what is rendered into any wire and parsed back says the same, but for what a Loss names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from proxy.hub.fold import Fold, explode
from proxy.hub.profile import ALL_EFFORTS, Profile
from proxy.hub.request import Request
from proxy.hub.response import Response
from proxy.wire.base import Reply, Wire
from proxy.wire.table import WIRES
from tests.laws.essence import differences, of_request, of_response
from tests.laws.strategies import requests, responses

by_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
REPLY = Reply(model="a-model", request_id="request-1", created=1_700_000_000)


def able(wire: Wire) -> Profile:
    """An upstream model that can do whatever its wire can say."""
    return Profile(
        maker=wire.name,
        efforts=ALL_EFFORTS,
        has_mid_system=True,
        has_cache_marks=True,
        media=frozenset({"image", "document", "audio", "video"}),
        max_output_tokens=32_000,
        extras=frozenset({"verbosity", "service_tier", "cache_key", "metadata", "user", "parallel_switch"}),
    )


@by_wire
@given(request=requests())
@settings(max_examples=60)
def test_a_request_says_the_same_in_every_wire(wire: Wire, request: Request) -> None:
    rendered = wire.render_request(request, able(wire))
    parsed = wire.parse_request(rendered.body, model=request.model, is_stream=request.is_stream)
    before, after = of_request(request), of_request(parsed)
    if before["max_output_tokens"] is None:
        after["max_output_tokens"] = None  # Anthropic's has no "as much as you like": the model's most is sent
    assert differences(before, after, rendered.losses) == {}


@by_wire
@given(request=requests())
@settings(max_examples=30)
def test_the_same_request_gives_the_same_bytes(wire: Wire, request: Request) -> None:
    first = wire.render_request(request, able(wire)).body
    assert list(first) == list(wire.render_request(request, able(wire)).body)
    assert first == wire.render_request(request, able(wire)).body


@by_wire
@given(response=responses())
@settings(max_examples=60)
def test_an_answer_says_the_same_in_every_wire(wire: Wire, response: Response) -> None:
    rendered = wire.render_response(response, REPLY)
    parsed = wire.parse_response(rendered.body, maker=wire.name)
    assert differences(of_response(response), of_response(parsed), rendered.losses) == {}


@by_wire
@given(response=responses())
@settings(max_examples=60)
def test_a_stream_says_what_the_whole_answer_says(wire: Wire, response: Response) -> None:
    """L3 and L7, through the wire's own bytes."""
    renderer = wire.stream_renderer(REPLY)
    data = b"".join(renderer.feed(event) for event in explode(response)) + renderer.finish()
    parser = wire.stream_parser(maker=wire.name)
    fold = Fold()
    for event in [*parser.feed(data), *parser.finish()]:
        fold.feed(event)
    folded = fold.finish()
    whole = wire.parse_response(wire.render_response(response, REPLY).body, maker=wire.name)
    assert of_response(folded) == of_response(whole)
    assert differences(of_response(response), of_response(folded), tuple(renderer.losses)) == {}
