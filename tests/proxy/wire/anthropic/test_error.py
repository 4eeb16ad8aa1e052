from __future__ import annotations

import pytest

from proxy.errors import Kind, Malformed
from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject
from proxy.wire.anthropic import WIRE

OVERFLOW = "prompt is too long: 214000 tokens > 200000 maximum"


def rendered(kind: Kind, message: str = "Sorry", status: int = 500, path: str | None = None) -> JsonObject:
    return WIRE.render_error(Failure(kind=kind, message=message, status=status, path=path))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("invalid_request", "invalid_request_error"),
        ("authentication", "authentication_error"),
        ("permission", "permission_error"),
        ("not_found", "not_found_error"),
        ("too_large", "request_too_large"),
        ("rate_limit", "rate_limit_error"),
        ("quota", "rate_limit_error"),
        ("overloaded", "overloaded_error"),
        ("timeout", "timeout_error"),
        ("unavailable", "api_error"),
        ("server", "api_error"),
        ("stream_corrupt", "api_error"),
    ],
)
def test_each_kind_has_its_word(kind: Kind, word: str) -> None:
    assert rendered(kind) == {"type": "error", "error": {"type": word, "message": "Sorry"}}


def test_what_must_be_paid_for() -> None:
    assert rendered("quota", status=402)["error"] == {"type": "billing_error", "message": "Sorry"}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (OVERFLOW, OVERFLOW),
        ("Your input exceeds the context window.", "prompt is too long: Your input exceeds the context window."),
    ],
)
def test_an_overflow_has_the_words_on_which_clients_compact(message: str, told: str) -> None:
    assert rendered("context_length", message, 400)["error"] == {"type": "invalid_request_error", "message": told}


def test_the_path_stands_in_the_message_once() -> None:
    assert rendered("invalid_request", "too hot", path="temperature")["error"] == {
        "type": "invalid_request_error",
        "message": "temperature: too hot",
    }
    fault = Failure.of(Malformed("messages[0].role must be user", path="messages[0].role"))
    assert WIRE.render_error(fault)["error"] == {
        "type": "invalid_request_error",
        "message": "messages[0].role must be user",
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}',
        b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 2 > 1"}}',
        b'{"type":"error","error":{"type":"not_found_error","message":"model: x"},"request_id":"req_1"}',
    ],
)
def test_its_own_errors_come_back_as_they_were(body: bytes) -> None:
    failure = WIRE.parse_error(529 if b"overloaded" in body else 404 if b"not_found" in body else 400, {}, body)
    assert WIRE.render_error(failure) == failure.raw


def test_another_wires_error_keeps_its_message() -> None:
    body = b'{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}'
    failure = WIRE.parse_error(429, {"Retry-After": "3", "x-request-id": "req_9"}, body)
    assert failure.retry_after_seconds == 3
    assert WIRE.render_error(failure) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "Rate limit reached"},
        "request_id": "req_9",
    }
