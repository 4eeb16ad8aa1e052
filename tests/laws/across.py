"""From any client to any upstream and back, beginning with what is meant: a `Request` or a `Response`.

What is meant is first written in the speaker's own wire and read from it, so that it has the speaker's residue and
habits.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.hub.events import Event
from proxy.hub.fold import explode
from proxy.hub.loss import Loss
from proxy.hub.parts import Part, Text
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Request
from proxy.hub.residue import JsonObject
from proxy.hub.response import Response
from proxy.wire.base import RenderedRequest, Reply, Wire, dumps
from proxy.wire.table import WIRES
from tests.laws.answers import REPLY, folded
from tests.laws.targets import able

PAIRS = tuple((client, upstream) for client in WIRES for upstream in WIRES if client is not upstream)
by_pair = pytest.mark.parametrize(
    ("client", "upstream"), PAIRS, ids=[f"{client.name}-{upstream.name}" for client, upstream in PAIRS]
)
by_client = pytest.mark.parametrize("client", WIRES, ids=lambda wire: wire.name)
by_upstream = pytest.mark.parametrize("upstream", WIRES, ids=lambda wire: wire.name)


def asked(*parts: Part, **more: object) -> Request:
    """One turn of the user's."""
    return Request(model="m", messages=(Message(role="user", parts=parts or (Text(text="Go."),)),), **more)  # type: ignore[arg-type]  # fields are given by name


def spoken(request: Request, client: Wire) -> Request:
    """As a client of that wire asks it."""
    return client.parse_request(client.render_request(request, able(client)).body, model="m")


def sent(request: Request, client: Wire, upstream: Wire, profile: Profile | None = None) -> RenderedRequest:
    return upstream.render_request(spoken(request, client), profile or able(upstream))


def received(rendered: RenderedRequest, upstream: Wire) -> Request:
    """What the upstream reads."""
    return upstream.parse_request(rendered.body, model="m")


def reply(request: Request | None = None) -> Reply:
    return Reply(model=REPLY.model, request_id=REPLY.request_id, created=REPLY.created, request=request)


def answered(response: Response, upstream: Wire) -> Response:
    """As an upstream of that wire answers it."""
    return upstream.parse_response(upstream.render_response(response, REPLY).body, maker=upstream.name)


def told(
    response: Response, upstream: Wire, client: Wire, request: Request | None = None
) -> tuple[JsonObject, tuple[Loss, ...]]:
    """The client's body."""
    rendered = client.render_response(answered(response, upstream), reply(request))
    return rendered.body, rendered.losses


def heard(response: Response, upstream: Wire, client: Wire, request: Request | None = None) -> Response:
    return client.parse_response(told(response, upstream, client, request)[0], maker=client.name)


def streamed(response: Response, upstream: Wire, client: Wire, request: Request | None = None) -> bytes:
    """The client's stream of what came as the upstream's."""
    writer, reader = upstream.stream_renderer(REPLY), upstream.stream_parser(maker=upstream.name)
    data = b"".join(writer.feed(event) for event in explode(response)) + writer.finish()
    return rendered_events([*reader.feed(data), *reader.finish()], client, request)


def rendered_events(events: list[Event], client: Wire, request: Request | None = None) -> bytes:
    renderer = client.stream_renderer(reply(request))
    return b"".join(renderer.feed(event) for event in events) + renderer.finish()


def followed(data: bytes, client: Wire) -> Response:
    """What the client makes of a stream."""
    return folded(client.stream_parser(maker=client.name), [data])


def both(response: Response, upstream: Wire, client: Wire, request: Request | None = None) -> Iterator[Response]:
    """Whole and streamed."""
    yield heard(response, upstream, client, request)
    yield followed(streamed(response, upstream, client, request), client)


def text_of(value: object) -> str:
    return dumps(value).decode()
