"""L4 and L6 over everything that was recorded: any wire's request, answer and stream in any other's words.

Each test loops over all recordings and tells all that fail.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from proxy.errors import Kind, Untranslatable
from proxy.hub.events import Event, Failure
from proxy.hub.fold import Fold, explode
from proxy.hub.request import Request
from proxy.hub.response import Response
from proxy.wire.base import Wire
from proxy.wire.table import WIRES
from tests.laws import answers as told
from tests.laws.answers import REPLY, folded
from tests.laws.comparison import differences
from tests.laws.essence import of_request
from tests.laws.recordings import answers, cli_requests, errors, requests, streams
from tests.laws.targets import ALL, Target, crossing
from tests.laws.test_home import contradicts, untold
from tests.laws.validity import JUDGES
from tests.laws.validity.streams import GRAMMARS

by_client = pytest.mark.parametrize("client", WIRES, ids=lambda wire: wire.name)
MAY_BE_REFUSED = ("tools[", "n")
"""Hosted tools, and several answers at once; and what only a server of the client's wire keeps."""


@by_client
def test_L4_and_L6_requests(client: Wire) -> None:
    """What an upstream of another wire gets says what the client said, but for what a Loss names; and it is what that
    upstream takes.
    """
    named = [(each.name, each.parsed_request()) for each in requests() if each.wire is client]
    named += [(each.name, each.parsed()) for each in cli_requests() if each.wire is client]
    failures = {}
    for name, request in named:
        before = of_request(request)
        for target in crossing(client, ALL):
            try:
                rendered = target.wire.render_request(request, target.profile)
            except Untranslatable as refusal:
                found = [] if may_refuse(refusal, request) else [f"refused: {refusal.message}"]
            else:
                parsed = target.wire.parse_request(rendered.body, model=request.model, is_stream=request.is_stream)
                found = differences(before, of_request(parsed, rendered.names), rendered.losses, target)
                found += JUDGES[target.wire.name](rendered.body, target.profile)
            if found:
                failures[f"{name} → {target.name}"] = found
    assert failures == {}


def may_refuse(refusal: Untranslatable, request: Request) -> bool:
    states = {thing.kind for thing in request.state}
    at = {str(thing.residue.shape.get("at")) for thing in request.state if thing.residue is not None}
    return str(refusal.path).startswith(MAY_BE_REFUSED) or refusal.path in states | at


@by_client
def test_L4_and_L6_answers(client: Wire) -> None:
    """What a client of another wire gets of a whole answer, whole and as a stream."""
    failures = {}
    for each in answers():
        response = each.parsed_response()
        if each.wire is client or response.finish is None:  # an answer that is still being made in the background
            continue
        rendered = client.render_response(response, REPLY)
        parsed = client.parse_response(rendered.body, maker=client.name)
        found = told.differences(response, parsed, rendered.losses, client)
        found += as_stream(explode(response), response, client)
        if found:
            failures[each.name] = found
    assert failures == {}


@by_client
def test_L4_and_L6_streams(client: Wire) -> None:
    """A stream of one wire, told in another's, says what the upstream said; and it keeps the client's grammar."""
    failures = {}
    for each in streams():
        if each.wire is client:
            continue
        parser = each.wire.stream_parser(maker=each.wire.name)
        events = [*parser.feed(each.sse), *parser.finish()]
        response = response_of(events)
        if any(contradicts(deltas, part) for _, deltas, part in untold(events)):
            continue
        found = as_stream(events, response, client)
        if found:
            failures[each.name] = found
    assert failures == {}


def response_of(events: Iterable[Event]) -> Response | None:
    fold = Fold()
    for event in events:
        fold.feed(event)
    return None if fold.failure is not None else fold.finish()


def as_stream(events: Iterable[Event], response: Response | None, client: Wire) -> list[str]:
    """`response` None: the stream fails, and the client's must, too."""
    renderer = client.stream_renderer(REPLY)
    data = b"".join(renderer.feed(event) for event in events) + renderer.finish()
    found = list(GRAMMARS[client.name](data))
    parser = client.stream_parser(maker=client.name)
    heard = [*parser.feed(data), *parser.finish()]
    if response is None:
        return found if isinstance(heard[-1], Failure) else [*found, "the failure was not told"]
    parsed = folded(client.stream_parser(maker=client.name), [data])
    return [*found, *told.differences(response, parsed, renderer.losses, client)]


_HEARD_AS: dict[tuple[str, Kind], Kind] = {("anthropic", "quota"): "rate_limit"}
"""Kinds that a client's wire has no word for."""


@by_client
def test_errors_keep_their_meaning(client: Wire) -> None:
    """Every recorded error, in the client's envelope: the text, and the kind that clients act upon."""
    failures = {}
    for each in errors():
        body = each.body if isinstance(each.body, str) else told.canonical(each.body)
        failure = each.wire.parse_error(each.status, each.headers, body.encode())
        rendered = client.render_error(failure)
        heard = client.parse_error(failure.status, {}, told.canonical(rendered).encode())
        kinds = {failure.kind, _HEARD_AS.get((client.name, failure.kind))}
        if failure.message not in heard.message or heard.kind not in kinds or heard.status != failure.status:
            failures[each.name] = (failure, rendered, heard)
    assert failures == {}


def test_there_is_a_target_for_every_wire() -> None:
    assert {target.wire.name for target in ALL} == {wire.name for wire in WIRES}
    assert len({target.name for target in ALL}) == len(ALL)
    assert all(isinstance(target, Target) for target in ALL)
