from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.dispatch.splice import joined
from proxy.errors import Malformed
from proxy.server.creation import Creation, Steering, mark_of, read_message, said_lane


async def creation(**fields: Any) -> Creation:
    event = await read_message(msgspec.json.encode({"type": "response.create", "model": "m", **fields}))
    assert isinstance(event, Creation)
    return event


async def refusal(message: bytes | dict[str, Any]) -> Malformed:
    with pytest.raises(Malformed) as raised:
        await read_message(message if isinstance(message, bytes) else msgspec.json.encode(message))
    return raised.value


async def test_a_creation_is_a_request_without_its_envelope() -> None:
    data = b'{"type":"response.create","stream_id":"a","model":"m","generate":true,"input":[ 1.0 ],"background":false}'
    event = await read_message(data)
    assert isinstance(event, Creation)
    assert joined(event.fields) == b'{"model":"m","input":[ 1.0 ],"stream":true}'
    assert (event.model, event.lane, event.is_prewarm, event.size) == ("m", "a", False, len(data))


async def test_codex_says_that_it_wants_a_stream() -> None:
    event = await creation(stream=True)
    assert joined(event.fields) == b'{"model":"m","stream":true}'


@pytest.mark.parametrize("fields", [{"generate": False}, {"prompt_cache_options": {"ttl": "30m", "prewarm": True}}])
async def test_a_prewarm_generates_nothing(fields: dict[str, Any]) -> None:
    assert (await creation(**fields)).is_prewarm


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"type": "response.create"}, "model"),
        ({"type": "response.create", "model": 1}, "model"),
        ({"type": "response.create", "model": "m", "generate": "no"}, "generate"),
        ({"type": "response.create", "model": "m", "background": True}, "background"),
        ({"type": "response.create", "model": "m", "stream_id": 1}, "stream_id"),
        ({"type": "response.create", "model": "m", "stream_id": "x" * 300}, "stream_id"),
        ({"type": "response.cancel"}, "type"),
        ({"type": None}, "type"),
        ({"model": "m"}, "type"),
    ],
)
async def test_a_refusal_names_the_place(message: dict[str, Any], path: str) -> None:
    assert (await refusal(message)).path == path


@pytest.mark.parametrize("message", [b"", b"{", b"[]", b'"x"', b"nope", b'{"type":"response.create"} x'])
async def test_what_is_no_json_object_is_refused(message: bytes) -> None:
    assert (await refusal(message)).code == "invalid_json"


async def test_a_name_that_stands_twice_is_refused() -> None:
    """We would route by one of them, and the provider might read the other."""
    assert (await refusal(b'{"type":"response.create","model":"a","model":"b"}')).code == "invalid_json"


async def test_a_steering_is_told_apart() -> None:
    event = await read_message(b'{"type":"response.steer","previous_response_id":"r","input":"faster"}')
    assert event == Steering(previous="r", input="faster")


def test_the_mark_of_a_lane_ends_its_events() -> None:
    assert mark_of(None) == b"}"
    assert msgspec.json.decode(b'{"type":"x"' + mark_of('a"}')) == {"type": "x", "stream_id": 'a"}'}


@pytest.mark.parametrize(
    ("data", "lane"), [(b'{"stream_id":"a"}', "a"), (b'{"stream_id":1}', None), (b"nope", None), (b"{}", None)]
)
def test_the_lane_of_what_is_refused_is_told_as_far_as_it_can_be_read(data: bytes, lane: str | None) -> None:
    assert said_lane(data) == lane
