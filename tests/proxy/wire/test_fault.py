from __future__ import annotations

import msgspec
import pytest

from proxy.errors import Kind
from proxy.hub.events import Failure
from proxy.hub.residue import JsonValue
from proxy.wire.fault import TEXT_CHARS_MAX, fault_of, plain_text, read_fault


def read(status: int, value: JsonValue, headers: dict[str, str] | None = None) -> Failure:
    return read_fault(status, headers or {}, msgspec.json.encode(value))


ENVELOPES: list[tuple[int, JsonValue, Kind, str]] = [
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}, "invalid_request", "bad"),
    (
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        "overloaded",
        "Overloaded",
    ),
    (402, {"type": "error", "error": {"type": "billing_error", "message": "no credit"}}, "quota", "no credit"),
    (413, {"type": "error", "error": {"type": "request_too_large", "message": "big"}}, "too_large", "big"),
    (
        401,
        {"error": {"message": "Incorrect key", "type": "invalid_request_error", "code": "invalid_api_key"}},
        "authentication",
        "Incorrect key",
    ),
    (
        400,
        {"error": {"message": "no such model", "code": "model_not_found", "param": "model"}},
        "not_found",
        "no such model",
    ),
    (429, {"error": {"message": "slow", "type": "rate_limit_error"}}, "rate_limit", "slow"),
    (429, {"error": {"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}}, "quota", "pay"),
    (429, {"error": {"type": "usage_limit_reached", "message": "later", "resets_in_seconds": 60}}, "quota", "later"),
    (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}, "context_length", "too long"),
    (503, {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, "overloaded", "busy"),
    (403, {"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}, "permission", "no"),
    (
        400,
        [{"error": {"code": 400, "message": "in a list", "status": "INVALID_ARGUMENT"}}],
        "invalid_request",
        "in a list",
    ),
    (
        400,
        {
            "error": {
                "code": 400,
                "message": "bad key",
                "status": "INVALID_ARGUMENT",
                "details": [{"reason": "API_KEY_INVALID"}],
            }
        },
        "authentication",
        "bad key",
    ),
    (
        400,
        {"code": "invalid-argument", "error": "Incorrect API key provided"},
        "authentication",
        "Incorrect API key provided",
    ),
    (
        422,
        {"detail": [{"loc": ["body"], "msg": "Field required", "type": "missing"}]},
        "invalid_request",
        "Field required",
    ),
    (404, {"detail": "Not Found"}, "not_found", "Not Found"),
    (500, {"message": "oops"}, "server", "oops"),
    (418, {"what": "ever"}, "invalid_request", "the upstream answered with status 418 and no explanation"),
    (
        500,
        {"error": {"message": '{"error": {"message": "inside", "code": 429, "status": "RESOURCE_EXHAUSTED"}}'}},
        "rate_limit",
        "inside",
    ),
    (
        500,
        {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "failed"}}},
        "server",
        "failed",
    ),
]


@pytest.mark.parametrize(("status", "value", "kind", "message"), ENVELOPES)
def test_every_envelope_is_read(status: int, value: JsonValue, kind: Kind, message: str) -> None:
    failure = read(status, value)
    assert (failure.kind, failure.message, failure.status) == (kind, message, status)
    assert failure.raw == value


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 214000 tokens > 200000 maximum",
        "This model's maximum context length is 128000 tokens.",
        "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
        "Your input exceeds the context window of this model.",
    ],
)
def test_an_overflow_is_known_by_its_words(message: str) -> None:
    assert read(400, {"error": {"type": "invalid_request_error", "message": message}}).kind == "context_length"


def test_words_of_overflow_in_another_error_are_just_words() -> None:
    assert read(429, {"error": {"type": "rate_limit_error", "message": "context window of 5 h"}}).kind == "rate_limit"


def test_code_type_and_path_are_kept() -> None:
    failure = read(
        400, {"error": {"message": "m", "type": "invalid_request_error", "code": "bad", "param": "messages[3]"}}
    )
    assert (failure.code, failure.type, failure.path) == ("bad", "invalid_request_error", "messages[3]")
    failure = read(429, {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}})
    assert (failure.code, failure.type) == (None, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the upstream answered with status 502 and no explanation"),
        (b"<html><head><title>502 Bad &amp; Gateway</title></head><body><h1>x</h1></body></html>", "502 Bad & Gateway"),
        (b"<html><style>a{}</style><h1>Sorry</h1>\n<p>try  later</p></html>", "Sorry try later"),
        (b"upstream connect error", "upstream connect error"),
        (b'"just a string"', "just a string"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"42", "42"),
        (b"[" * 100_000, "[" * TEXT_CHARS_MAX + "…"),
    ],
)
def test_what_is_no_envelope_is_quoted(body: bytes, message: str) -> None:
    failure = read_fault(502, {}, body)
    assert (failure.kind, failure.message, failure.raw) == ("unavailable", message, None)


@pytest.mark.parametrize(
    ("headers", "value", "seconds"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, {}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, {}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, {}, None),
        ({"retry-after": "soon"}, {}, None),
        ({"retry-after": "-4"}, {}, None),
        ({"retry-after": "inf"}, {}, None),
        ({}, {"error": {"message": "m", "resets_in_seconds": 3600}}, 3600.0),
        ({}, {"error": {"message": "m", "details": [{"@type": "RetryInfo", "retryDelay": "12.5s"}]}}, 12.5),
        ({}, {"error": {"message": "Please try again in 20s."}}, 20.0),
        ({}, {"error": {"message": "Please try again in 1m30.5s."}}, 90.5),
        ({}, {"error": {"message": "Please try again in 120ms."}}, 0.12),
        ({}, {"error": {"message": "Please try again in 2h5m."}}, 7500.0),
        ({}, {"error": {"message": "Please try again in a moment."}}, None),
        ({"retry-after": "1"}, {"error": {"message": "Please try again in 20s."}}, 1.0),
    ],
)
def test_when_to_come_back(headers: dict[str, str], value: JsonValue, seconds: float | None) -> None:
    assert read(429, value, headers).retry_after_seconds == seconds


def test_a_daily_limit_is_a_quota() -> None:
    violation = {
        "@type": "QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
    }
    details: JsonValue = [violation]  # type: ignore[list-item]
    value: JsonValue = {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details}}
    assert read(429, value).kind == "quota"


def test_the_request_id_comes_from_headers_or_body() -> None:
    assert read(500, {}, {"Request-Id": "req_1"}).request_id == "req_1"
    assert read(500, {"type": "error", "error": {"message": "m"}, "request_id": "req_2"}).request_id == "req_2"


def test_inside_a_success_the_kind_tells_the_status() -> None:
    assert fault_of({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}).status == 529
    assert fault_of({"error": {"code": 429, "message": "m"}}).status == 429
    assert read(200, {"error": {"type": "rate_limit_error", "message": "m"}}).status == 429
    assert fault_of({"error": {"message": "m"}}).status == 500


def test_quotes_are_short() -> None:
    assert len(plain_text("x" * 10_000)) == TEXT_CHARS_MAX + 1
