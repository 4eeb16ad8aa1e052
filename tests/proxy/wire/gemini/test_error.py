from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.errors import Malformed, NoCandidate
from proxy.hub.events import Failure
from proxy.wire.gemini import WIRE
from tests.proxy.wire.gemini.conftest import Recording


def read(status: int, body: Any, **headers: str) -> Failure:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return WIRE.parse_error(status, headers, data)


def google(code: int, message: str, status: str, *details: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def exhausted(*details: Any) -> dict[str, Any]:
    return google(429, "m", "RESOURCE_EXHAUSTED", *details)


class TestParse:
    @pytest.mark.parametrize(
        ("status", "body", "kind", "seconds"),
        [
            (429, exhausted({"@type": "x.RetryInfo", "retryDelay": "48s"}), "rate_limit", 48),
            (429, exhausted({"violations": [{"quotaId": "RequestsPerDayPerProject"}]}), "quota", None),
            (429, exhausted({"reason": "QUOTA_EXHAUSTED", "metadata": {"quotaResetDelay": "12h30m"}}), "quota", 45000),
            (429, exhausted({"metadata": {"quotaResetDelay": "539.5ms"}}), "rate_limit", 0.5395),
            (429, exhausted({"reason": "MODEL_CAPACITY_EXHAUSTED"}), "overloaded", None),
            (429, google(429, "Please retry in 12.3s.", "RESOURCE_EXHAUSTED"), "rate_limit", 12.3),
            (400, google(400, "no", "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}), "authentication", None),
            (400, google(400, "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                         "INVALID_ARGUMENT"), "context_length", None),
            (400, google(400, "bad", "INVALID_ARGUMENT"), "invalid_request", None),
            (403, google(403, "m", "PERMISSION_DENIED"), "permission", None),
            (404, google(404, "m", "NOT_FOUND"), "not_found", None),
            (500, google(500, "m", "INTERNAL"), "server", None),
            (503, google(503, "The model is overloaded.", "UNAVAILABLE"), "overloaded", None),
            (504, google(504, "m", "DEADLINE_EXCEEDED"), "timeout", None),
            (429, [google(429, "m", "RESOURCE_EXHAUSTED")], "rate_limit", None),
        ],
    )  # fmt: skip
    def test_googles_own(self, status: int, body: Any, kind: str, seconds: float | None) -> None:
        failure = read(status, body)
        assert (failure.kind, failure.status, failure.retry_after_seconds) == (kind, status, seconds)

    @pytest.mark.parametrize(
        ("status", "body", "message"),
        [
            (502, b"<html><title>502 Bad Gateway</title></html>", "502 Bad Gateway"),
            (500, b"", "the upstream answered with status 500 and no explanation"),
            (400, {"error": {"message": "from openai", "type": "invalid_request_error"}}, "from openai"),
            (529, {"type": "error", "error": {"type": "overloaded_error", "message": "anthropic"}}, "anthropic"),
            (400, {"error": {"code": 400, "message": '{"error": {"message": "inside"}}'}}, "inside"),
        ],
    )  # fmt: skip
    def test_others(self, status: int, body: Any, message: str) -> None:
        assert read(status, body).message == message

    def test_headers(self) -> None:
        assert read(429, {}, **{"Retry-After": "7"}).retry_after_seconds == 7


class TestRender:
    def test_a_recorded_error_comes_out_as_it_came_in(self, recordings: list[Recording]) -> None:
        failed = [recording for recording in recordings if recording.status >= 400]
        assert failed
        for recording in failed:
            assert WIRE.render_error(read(recording.status, recording.body)) == recording.body

    @pytest.mark.parametrize(
        ("kind", "status", "word"),
        [
            ("invalid_request", 400, "INVALID_ARGUMENT"), ("authentication", 401, "UNAUTHENTICATED"),
            ("permission", 403, "PERMISSION_DENIED"), ("not_found", 404, "NOT_FOUND"),
            ("too_large", 413, "INVALID_ARGUMENT"),
            ("rate_limit", 429, "RESOURCE_EXHAUSTED"), ("quota", 429, "RESOURCE_EXHAUSTED"),
            ("overloaded", 529, "UNAVAILABLE"), ("timeout", 504, "DEADLINE_EXCEEDED"),
            ("unavailable", 503, "UNAVAILABLE"),
            ("server", 500, "INTERNAL"), ("stream_corrupt", 502, "INTERNAL"),
        ],
    )  # fmt: skip
    def test_defect_22_googles_envelope(self, kind: Any, status: int, word: str) -> None:
        body = WIRE.render_error(Failure(kind=kind, message="text", status=status, type="overloaded_error"))
        assert body == {"error": {"code": status, "message": "text", "status": word}}

    def test_a_prompt_that_is_too_long_is_told_in_googles_words_too(self) -> None:
        failure = Failure(kind="context_length", message="prompt is too long: 9 tokens > 8 maximum", status=400)
        error: Any = WIRE.render_error(failure)["error"]
        assert "exceeds the maximum number of tokens" in error["message"]
        assert "prompt is too long: 9 tokens > 8 maximum" in error["message"]

    def test_the_path_stands_in_the_details(self) -> None:
        failure = Failure.of(Malformed("contents is required", path="contents"))
        error: Any = WIRE.render_error(failure)["error"]
        assert error["details"] == [{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "contents", "description": "contents is required"}],
        }]  # fmt: skip

    @pytest.mark.parametrize(("seconds", "delay"), [(7, "7s"), (0.25, "0.25s"), (100000.0, "100000s"), (0.00001, "0s")])
    def test_when_to_come_back(self, seconds: float, delay: str) -> None:
        error: Any = WIRE.render_error(
            Failure.of(NoCandidate("wait", code="all_cooling", retry_after_seconds=seconds))
        )["error"]
        assert error["details"] == [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ALL_COOLING"},
        ]

    def test_another_status_than_the_upstreams_is_told_in_its_own_words(self) -> None:
        failure = Failure(kind="unavailable", message="m", status=503, raw=google(429, "m", "RESOURCE_EXHAUSTED"))
        assert WIRE.render_error(failure) == {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}
