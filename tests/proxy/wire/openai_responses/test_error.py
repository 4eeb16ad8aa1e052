from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from proxy.errors import Kind
from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject
from proxy.wire.openai_responses import WIRE
from proxy.wire.openai_responses.error import render_error_frame, stream_error
from tests.proxy.wire.openai_responses.told import inner


def failure(kind: Kind, **more: object) -> Failure:
    return Failure(**{"kind": kind, "message": "Too bad.", "status": 400, **more})  # type: ignore[arg-type]  # named above


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_its_words(kind: Kind) -> None:
    error = inner(WIRE.render_error(failure(kind)), "error")
    assert isinstance(error, dict)
    assert error.keys() >= {"message", "type", "param", "code"}
    assert stream_error(failure(kind))["code"]


def test_the_place_and_the_text_of_a_fault() -> None:
    body = WIRE.render_error(failure("invalid_request", path="input[0].content", code="bad_thing", type="odd"))
    assert body == {
        "error": {
            "message": "Too bad.",
            "type": "invalid_request_error",
            "param": "input[0].content",
            "code": "bad_thing",
        }
    }


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (
            400,
            {"error": {"message": "Too long", "type": "invalid_request_error", "code": "context_length_exceeded"}},
            "context_length",
            "context_length_exceeded",
        ),
        (
            401,
            {"error": {"message": "Bad key", "type": "invalid_request_error", "code": "invalid_api_key"}},
            "authentication",
            "invalid_api_key",
        ),
        (
            429,
            {"error": {"message": "Pay", "type": "insufficient_quota", "code": "insufficient_quota"}},
            "quota",
            "insufficient_quota",
        ),
        (
            400,
            {"code": "invalid-argument", "error": "Incorrect API key provided. Go away."},
            "authentication",
            "invalid-argument",
        ),
        (503, {"error": {"message": "Busy", "code": "server_is_overloaded"}}, "overloaded", "server_is_overloaded"),
    ],
)
def test_errors_there_and_back(status: int, body: JsonObject, kind: Kind, code: str) -> None:
    parsed = WIRE.parse_error(status, {}, msgspec.json.encode(body))
    assert (parsed.kind, parsed.status) == (kind, status)
    error = inner(WIRE.render_error(parsed), "error")
    assert isinstance(error, dict)
    assert (error["message"], error["code"]) == (parsed.message, code)


def test_recorded_errors_keep_their_text(recorded: list[tuple[str, JsonObject]]) -> None:
    seen = 0
    for name, exchange in recorded:
        status, body = inner(exchange, "response", "status"), inner(exchange, "response", "body")
        if isinstance(status, int) and status >= 400 and isinstance(body, dict):
            seen += 1
            error = inner(WIRE.render_error(WIRE.parse_error(status, {}, msgspec.json.encode(body))), "error")
            assert isinstance(error, dict)
            assert str(error["message"]) in str(body), name
    assert seen


def test_another_wires_error_in_our_words() -> None:
    body = b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}'
    error = inner(WIRE.render_error(WIRE.parse_error(400, {}, body)), "error")
    assert error == {
        "message": "prompt is too long: 9 > 8",
        "type": "invalid_request_error",
        "param": None,
        "code": "context_length_exceeded",
    }


def test_an_exhausted_account_is_told_as_the_codex_cli_knows_it() -> None:
    error = inner(WIRE.render_error(failure("quota", retry_after_seconds=3600.4)), "error")
    assert isinstance(error, dict)
    assert (error["type"], error["resets_in_seconds"]) == ("usage_limit_reached", 3600)


def test_the_time_to_wait_stands_in_the_text_of_a_stream() -> None:
    told = stream_error(failure("rate_limit", retry_after_seconds=2.5))
    assert told == {"code": "rate_limit_exceeded", "message": "Too bad. Please try again in 2.5s."}
    known = failure("rate_limit", message="Please try again in 1s.", retry_after_seconds=1.0)
    assert stream_error(known)["message"] == "Please try again in 1s."


def test_a_frame_has_the_status() -> None:
    frame = render_error_frame(failure("overloaded", status=529))
    assert (frame["type"], frame["status"]) == ("error", 529)
    assert inner(frame, "error", "code") == "server_is_overloaded"
