"""Whatever a client or an upstream sends, it is read, or refused in one of the ways that are agreed upon.

What hypothesis breaks is what the project itself has captured: each field of it may be missing, doubled, of another
type, too deep or too long.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Malformed, ProxyError, RequestError, Untranslatable, UpstreamError
from proxy.hub.events import Event, Failure, ResponseEnd
from proxy.hub.fold import Fold, explode
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Response
from proxy.wire.base import RenderedRequest, Wire, dumps
from proxy.wire.table import WIRES
from tests.laws.answers import REPLY
from tests.laws.campaign import examples
from tests.laws.recordings import Recording, own
from tests.laws.targets import ALL, Target

by_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)

T = TypeVar("T")

DEEP = 200
"""Times two levels: near to what the stack of a request can bear. Deeper JSON is refused when it is read."""


def deep(levels: int) -> JsonValue:
    value: JsonValue = {}
    for _ in range(levels):
        value = {"properties": {"a": value}}
    return value


JUNK: tuple[JsonValue, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        10**30,
        "",
        " ",
        "x",
        "\x00",
        "\ud83d",
        "é" * 300,
        "[" * 5_000,
        "data:,",
        "https://",
    ),
    *(
        [],
        [None],
        ["a"],
        [[]],
        [{}],
        {},
        {"": ""},
        {"type": None},
        {"type": 5},
        {"type": "text"},
        {"type": []},
        {"a": {}},
    ),
    *({"role": "user"}, {"text": 1}, {"name": ""}, deep(60)),
)


def places(value: JsonValue, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))  # type: ignore[index, call-overload]  # the key is its own


@st.composite
def broken(draw: st.DrawFn, body: JsonObject) -> JsonObject:
    """One to three of its fields."""
    value: JsonValue = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        place = value
        for key in way:
            place = place[key]  # type: ignore[index, call-overload]  # the way was found in it
        match draw(st.sampled_from(["junk", "drop", "double", "wrap", "rename"])):
            case "junk":
                place[last] = copy.deepcopy(draw(st.sampled_from(JUNK)))  # type: ignore[index, call-overload]  # as above
            case "drop":
                del place[last]  # type: ignore[arg-type, union-attr]  # as above
            case "double" if isinstance(place, list):
                place.append(copy.deepcopy(place[int(last)]))
            case "rename" if isinstance(place, dict):
                place[draw(st.sampled_from(["type", "id", "name", "content", "role", "x"]))] = place.pop(str(last))
            case _:
                place[last] = [place[last]]  # type: ignore[index, call-overload]  # as above
    assert isinstance(value, dict)
    return value


def bodies(wire: Wire, recordings: list[Recording]) -> st.SearchStrategy[JsonObject]:
    found = [each.request for each in recordings if each.wire is wire and each.request is not None]
    return st.sampled_from(found).flatmap(broken)


def answers(wire: Wire, recordings: list[Recording]) -> st.SearchStrategy[JsonObject]:
    found = [each.body for each in recordings if each.wire is wire and isinstance(each.body, dict)]
    return st.sampled_from(found).flatmap(broken)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def asked(wire: Wire, body: JsonObject) -> Request | None:
    """None: it was refused, with the path to the fault where it is not the whole body."""
    before = copy.deepcopy(body)
    request = outcome(lambda: wire.parse_request(body, model="m"), RequestError)
    if isinstance(request, Request):
        assert equal(body, before), "the client's own JSON was changed"
        return request
    assert isinstance(request, Malformed | Untranslatable)
    assert (request.path or "the body") in request.message
    return None


def outcome(work: Callable[[], T], refusal: type[ProxyError]) -> T | ProxyError:
    """What comes of it, if it is not `refusal`; any other error is a failed test."""
    try:
        return work()
    except refusal as error:
        return error


def equal(one: JsonValue, other: JsonValue) -> bool:
    """NaN is NaN here."""
    return repr(one) == repr(other)


@by_wire
@given(data=st.data())
@examples(100)
def test_a_broken_request_is_read_or_refused_with_its_path(wire: Wire, data: st.DataObject) -> None:
    """And what was read can be said to any upstream, or is refused by it."""
    request = asked(wire, data.draw(bodies(wire, own())))
    if request is None:
        return
    for target in data.draw(st.lists(st.sampled_from(ALL), min_size=2, max_size=4)):
        rendered = told(request, target)
        if rendered is not None:
            assert dumps(rendered.body)
            assert all(loss.why for loss in rendered.losses)


def told(request: Request, target: Target) -> RenderedRequest | None:
    """None: that upstream cannot be told, and the path says why."""
    rendered = outcome(lambda: target.wire.render_request(request, target.profile), Untranslatable)
    if isinstance(rendered, RenderedRequest):
        return rendered
    assert rendered.path
    return None


@by_wire
@given(body=st.dictionaries(st.sampled_from(["model", "messages", "input", "contents", "tools", "x"]), json_values))
@examples(60)
def test_any_json_is_read_or_refused(wire: Wire, body: JsonObject) -> None:
    asked(wire, body)


@by_wire
@pytest.mark.parametrize(
    "make", [lambda: deep(DEEP), lambda: "[" * 100_000, lambda: [[]] * 10_000], ids=["deep", "open", "many"]
)
def test_deep_and_long_json_is_no_trap(wire: Wire, make: object) -> None:
    """As a schema, as arguments, as content."""
    for each in own():
        if each.wire is wire and each.request is not None and "tools" in each.request:
            for path in list(places(each.request)):
                if path[-1] in {"parameters", "input_schema", "arguments", "args", "content", "response", "schema"}:
                    body = copy.deepcopy(each.request)
                    place: JsonValue = body
                    for key in path[:-1]:
                        place = place[key]  # type: ignore[index, call-overload]  # the path was found in it
                    place[path[-1]] = make()  # type: ignore[index, call-overload, operator]  # as above
                    read_and_told(wire, body)


def read_and_told(wire: Wire, body: JsonObject) -> None:
    request = outcome(lambda: wire.parse_request(body, model="m"), RequestError)
    if isinstance(request, Request):
        for target in ALL:
            told(request, target)


@by_wire
@given(data=st.data())
@examples(100)
def test_a_broken_answer_is_read_or_the_upstreams_fault(wire: Wire, data: st.DataObject) -> None:
    body = data.draw(answers(wire, own()))
    response = outcome(lambda: wire.parse_response(body, maker=wire.name), UpstreamError)
    if isinstance(response, Response):
        for client in WIRES:
            assert dumps(client.render_response(response, REPLY).body)
    else:
        assert response.message


@by_wire
@given(data=st.data())
@examples(100)
def test_a_broken_stream_gives_events_or_one_failure(wire: Wire, data: st.DataObject) -> None:
    """The events keep their grammar whatever came, and are told to every client."""
    stream = data.draw(st.sampled_from([each.sse for each in own() if each.wire is wire and each.sse]).flatmap(damaged))
    check_stream(wire, cut(data, stream))


@by_wire
@given(stream=st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@examples(60)
def test_any_bytes_give_one_failure(wire: Wire, stream: bytes) -> None:
    check_stream(wire, [stream])


@st.composite
def damaged(draw: st.DrawFn, stream: bytes) -> bytes:
    """Frames lost, doubled, swapped, with broken JSON in them; bytes changed; the end missing."""
    frames = stream.replace(b"\r\n", b"\n").split(b"\n\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(frames) - 1))
        match draw(st.sampled_from(["lose", "double", "swap", "json", "bytes", "end"])):
            case "lose":
                del frames[at]
            case "double":
                frames.insert(at, frames[at])
            case "swap":
                other = draw(st.integers(0, len(frames) - 1))
                frames[at], frames[other] = frames[other], frames[at]
            case "json":
                frames[at] = draw(broken_frame(frames[at]))
            case "bytes":
                place = draw(st.integers(0, len(frames[at])))
                junk = draw(st.binary(max_size=3))
                frames[at] = frames[at][:place] + junk + frames[at][place + draw(st.integers(0, 5)) :]
            case _:
                del frames[at:]
        if not frames:
            break
    return b"\n\n".join(frames)


@st.composite
def broken_frame(draw: st.DrawFn, frame: bytes) -> bytes:
    head, mark, text = frame.partition(b"data:")
    try:
        value = msgspec.json.decode(text)
    except ValueError:
        return frame
    if not isinstance(value, dict):
        return frame
    return head + mark + b" " + dumps(draw(broken(value))).replace("\ufffd".encode(), rb"\ud83d")  # a half, escaped


def cut(data: st.DataObject, stream: bytes) -> list[bytes]:
    size = data.draw(st.sampled_from([1, 7, 10_000_000]))
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def check_stream(wire: Wire, chunks: list[bytes]) -> None:
    parser = wire.stream_parser(maker=wire.name)
    events: list[Event] = [event for chunk in chunks for event in parser.feed(chunk)]
    events += parser.finish()
    assert parser.feed(b"data: {}\n\n") == []
    assert parser.finish() == []
    ends = [event for event in events if isinstance(event, Failure | ResponseEnd)]
    assert len(ends) == 1
    assert events[-1] is ends[0]
    assert len(events) <= 3 * sum(map(len, chunks)) + 10
    fold = Fold()
    for event in events:
        fold.feed(event)
    if fold.failure is None:
        fold.finish()
    for client in WIRES:
        renderer = client.stream_renderer(REPLY)
        stream = b"".join(renderer.feed(event) for event in events) + renderer.finish()
        heard = client.stream_parser(maker=client.name)
        again = [*heard.feed(stream), *heard.finish()]
        assert isinstance(again[-1], type(events[-1]) | Failure)


@by_wire
@given(
    status=st.integers(0, 700),
    body=st.binary(max_size=300) | json_values.map(lambda v: repr(v).encode("utf-8", "replace")),
)
@examples(80)
def test_any_error_is_an_error(wire: Wire, status: int, body: bytes) -> None:
    failure = wire.parse_error(status, {"Retry-After": "soon"}, body)
    assert failure.message
    assert failure.status >= 400
    for client in WIRES:
        assert dumps(client.render_error(failure))


@by_wire
def test_a_response_without_anything_is_told(wire: Wire) -> None:
    empty = Response(id="", model="")
    assert dumps(wire.render_response(empty, REPLY).body)
    renderer = wire.stream_renderer(REPLY)
    for event in explode(empty):
        renderer.feed(event)
    renderer.finish()
