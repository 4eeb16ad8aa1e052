from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.errors import Kind, NoCandidate, Untranslatable
from proxy.hub.events import Failure
from proxy.wire.openai_chat import WIRE


def parsed(status: int, body: object, **headers: str) -> Failure:
    return WIRE.parse_error(status, headers, msgspec.json.encode(body))


def test_every_recorded_error_keeps_its_words(recordings: list[Any]) -> None:
    bodies = [each.body for each in recordings if each.body and each.body.get("error")]
    assert len(bodies) > 10
    for body in bodies:
        failure = parsed(400, body)
        assert failure.message == body["error"]["message"]
        rendered: Any = WIRE.render_error(failure)["error"]
        assert {key: rendered[key] for key in body["error"]} == body["error"]
        assert {"type", "param", "code"} <= rendered.keys()


def test_our_own_error_says_where() -> None:
    failure = Failure.of(Untranslatable("no hosted tool like that", path="tools[1]"))
    assert WIRE.render_error(failure) == {
        "error": {
            "message": "no hosted tool like that",
            "type": "invalid_request_error",
            "param": "tools[1]",
            "code": None,
        }
    }
    assert WIRE.render_error(Failure.of(NoCandidate("all cool", code="pool_exhausted"))) == {
        "error": {"message": "all cool", "type": "server_error", "param": None, "code": "pool_exhausted"}
    }


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
            "context_length",
            {"type": "invalid_request_error", "code": "context_length_exceeded"},
        ),
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            "overloaded",
            {"type": "server_error", "code": "server_is_overloaded"},
        ),
        (
            429,
            {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}},
            "rate_limit",
            {"type": "rate_limit_error", "code": "rate_limit_exceeded"},
        ),
        (
            404,
            {"type": "error", "error": {"type": "not_found_error", "message": "model: x"}},
            "not_found",
            {"type": "not_found_error", "code": "model_not_found"},
        ),
    ],
    ids=str,
)
def test_another_wires_error_in_this_wires_words(status: int, body: Any, kind: Kind, told: dict[str, str]) -> None:
    failure = parsed(status, body)
    assert failure.kind == kind
    assert WIRE.render_error(failure) == {"error": {"message": body["error"]["message"], "param": None, **told}}


def test_a_page_of_html() -> None:
    failure = WIRE.parse_error(502, {}, b"<html><title>502 Bad Gateway</title></html>")
    assert WIRE.render_error(failure)["error"] == {
        "message": "502 Bad Gateway",
        "type": "server_error",
        "param": None,
        "code": None,
    }


def test_when_to_come_again() -> None:
    assert parsed(429, {"error": {"message": "slow"}}, **{"Retry-After": "7"}).retry_after_seconds == 7
