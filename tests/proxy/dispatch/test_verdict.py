"""What failures mean: one line a row. The bodies are written after what providers send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import environ
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.config.error_rules import ErrorRule
from proxy.dispatch.decision import Verdict
from proxy.dispatch.verdict import RULED_SECONDS, judge
from proxy.errors import Broken, Silent, Unreachable
from proxy.hub.events import Failure
from proxy.wire.table import wire_named

NOW = 1_795_000_000.0


def verdict(wire: str, status: int, body: object, headers: Mapping[str, str] | None = None) -> Verdict:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    failure = wire_named(wire).parse_error(status, headers or {}, data)
    return judge(wire, failure, headers or {}, NOW)


def anthropic(kind: str, message: str = "m") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def openai(message: str = "m", kind: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def google(code: int, status: str, message: str = "m", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


@pytest.mark.parametrize(
    ("wire", "status", "body"),
    [
        ("anthropic", 400, anthropic("invalid_request_error", "messages: at least one message is required")),
        ("anthropic", 400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        ("anthropic", 404, anthropic("not_found_error", "model: claude-nope")),
        ("anthropic", 413, anthropic("request_too_large")),
        ("openai_chat", 400, openai("too long", "invalid_request_error", "context_length_exceeded")),
        ("openai_chat", 404, openai("no such model", "invalid_request_error", "model_not_found")),
        ("openai_chat", 409, openai("conflict")),
        ("openai_chat", 422, {"detail": [{"msg": "field required", "loc": ["body"]}]}),
        ("openai_responses", 400, openai("gone", "invalid_request_error", "previous_response_not_found")),
        ("openai_responses", 400, openai("no", "invalid_request_error", "cyber_policy")),
        ("openai_responses", 403, openai("no", "invalid_request_error", "content_policy_violation")),
        ("gemini", 400, google(400, "INVALID_ARGUMENT", "Please use a valid role: user, model.")),
        ("gemini", 400, google(400, "INVALID_ARGUMENT", "The input exceeds the maximum number of tokens")),
        ("gemini", 404, google(404, "NOT_FOUND")),
        ("openai_chat", 418, b"what?"),
    ],
)
def test_the_clients_own_fault_stops_and_cools_nobody(wire: str, status: int, body: object) -> None:
    told = verdict(wire, status, body)
    assert (told.action, told.scope) == ("stop", "none")


@pytest.mark.parametrize(
    ("wire", "status", "body", "headers", "scope", "seconds", "is_stated"),
    [
        # burst: the model, for seconds
        ("anthropic", 429, anthropic("rate_limit_error"), {"retry-after": "7"}, "model", 7, True),
        ("anthropic", 429, anthropic("rate_limit_error"), {}, "model", 1, False),
        ("openai_chat", 429, openai("Please try again in 1.5s", "requests"), {}, "model", 1.5, True),
        ("openai_chat", 429, b"", {}, "model", 1, False),
        ("gemini", 429, google(429, "RESOURCE_EXHAUSTED", "m", {"retryDelay": "36s"}), {}, "model", 36, True),
        (
            "gemini", 429,
            google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing",
                   {"violations": [{"quotaId": "InputTokensPerModelPerMinute"}]}, {"retryDelay": "48s"}),
            {}, "model", 48, True,
        ),
        # windows: the account, or the model where the provider says so
        (
            "anthropic", 429, anthropic("rate_limit_error"),
            {"anthropic-ratelimit-unified-5h-status": "rejected",
             "anthropic-ratelimit-unified-5h-reset": str(int(NOW + 3600))},
            "credential", 3600, True,
        ),
        (
            "anthropic", 429, anthropic("rate_limit_error"),
            {"anthropic-ratelimit-unified-7d_opus-status": "rejected",
             "anthropic-ratelimit-unified-7d_opus-reset": str(int(NOW + 3600))},
            "model", 3600, True,
        ),
        (
            "openai_responses", 429,
            {"error": {"type": "usage_limit_reached", "message": "m", "resets_in_seconds": 1800}},
            {}, "credential", 1800, True,
        ),
        ("openai_responses", 429, openai("m", "usage_limit_reached"), {}, "credential", 300, False),
        # balance and budget: the account, asked again ever more rarely
        ("openai_chat", 429, openai("quota", "insufficient_quota", "insufficient_quota"), {}, "credential", 300, False),
        ("openai_responses", 429, openai("m", "x", "organization_spend_limit_exceeded"), {}, "credential", 300, False),
        ("openai_chat", 402, openai("Insufficient credits"), {}, "credential", 300, False),
        ("anthropic", 400, anthropic("invalid_request_error", "Your credit balance is too low to access the API"), {},
         "credential", 300, False),
        # keys
        ("anthropic", 401, anthropic("authentication_error", "invalid x-api-key"), {}, "credential", 120, False),
        ("openai_chat", 401, openai("Incorrect API key", "x", "invalid_api_key"), {}, "credential", 120, False),
        (
            "gemini", 400,
            google(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"}),
            {}, "credential", 120, False,
        ),
        ("gemini", 400, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), {},
         "credential", 300, False),
        ("openai_chat", 403, openai("no access to this model"), {}, "model", 120, False),
    ],
)  # fmt: skip
def test_limits_and_refusals_of_accounts(
    wire: str, status: int, body: object, headers: dict[str, str], scope: str, seconds: float, is_stated: bool
) -> None:
    told = verdict(wire, status, body, headers)
    assert (told.action, told.scope, told.is_transient) == ("retry", scope, False)
    assert told.cooldown_seconds == pytest.approx(seconds)
    assert told.is_stated is is_stated


@pytest.mark.parametrize(
    ("wire", "status", "body"),
    [
        ("anthropic", 529, anthropic("overloaded_error", "Overloaded")),
        ("anthropic", 200, anthropic("overloaded_error", "Overloaded")),
        ("openai_responses", 503, openai("busy", "server_error", "server_is_overloaded")),
        ("gemini", 503, google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")),
        ("gemini", 429, google(429, "RESOURCE_EXHAUSTED", "m", {"reason": "MODEL_CAPACITY_EXHAUSTED"})),
        ("gemini", 429, google(429, "RESOURCE_EXHAUSTED", "You have exhausted your capacity on this model.")),
    ],
)
def test_overload_is_the_providers_and_benches_no_account(wire: str, status: int, body: object) -> None:
    told = verdict(wire, status, body)
    assert (told.action, told.scope, told.is_transient) == ("retry", "provider", True)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520, 524, 599])
@pytest.mark.parametrize("wire", ["anthropic", "openai_chat", "openai_responses", "gemini"])
def test_faults_of_servers_are_transient(wire: str, status: int) -> None:
    told = verdict(wire, status, b"<html><title>Bad Gateway</title></html>")
    assert (told.action, told.is_transient, told.cooldown_seconds) == ("retry", True, 1.0)


@pytest.mark.parametrize("error", [Unreachable("refused"), Silent("no head"), Broken("cut")])
def test_faults_of_connections_are_transient(error: Unreachable | Silent | Broken) -> None:
    told = judge("anthropic", Failure.of(error), {}, NOW)
    assert (told.action, told.is_transient) == ("retry", True)


def test_a_503_may_say_when_to_come_back() -> None:
    told = verdict("openai_chat", 503, openai("maintenance"), {"retry-after": "30"})
    assert (told.cooldown_seconds, told.is_stated, told.is_transient) == (30.0, True, True)


@pytest.mark.parametrize(
    ("wire", "status", "body"),
    [
        ("openai_chat", 401, openai("deactivated", "invalid_request_error", "account_deactivated")),
        ("anthropic", 403, anthropic("permission_error", "This organization has been disabled.")),
        ("gemini", 403, google(403, "PERMISSION_DENIED", "m", {"reason": "VALIDATION_REQUIRED"})),
    ],
)
def test_what_needs_a_human_is_not_asked_again(wire: str, status: int, body: object) -> None:
    told = verdict(wire, status, body)
    assert (told.action, told.scope, told.cooldown_seconds) == ("retry", "credential", None)


def test_a_quota_per_day_lasts_the_day_whatever_retry_info_says() -> None:
    body = google(
        429, "RESOURCE_EXHAUSTED", "m",
        {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}, {"retryDelay": "36s"},
    )  # fmt: skip
    told = verdict("gemini", 429, body)
    assert told.scope == "model"
    assert told.cooldown_seconds is not None
    assert told.cooldown_seconds > 3600
    assert told.why == "the daily window is exhausted"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, anthropic("invalid_request_error", "You have reached your specified API usage limits.")),
        (429, {"error": {"type": "x", "message": "m", "details": {"error_code": "enforced_spend_limit_reached"}}}),
    ],
)  # fmt: skip
def test_anthropics_spending_limits_last_until_the_month_ends(status: int, body: object) -> None:
    told = verdict("anthropic", status, body)
    assert (told.action, told.scope, told.is_stated) == ("retry", "credential", True)
    assert told.cooldown_seconds is not None
    assert told.cooldown_seconds > 86400


def test_what_nobody_would_believe_is_cut_and_shown() -> None:
    told = verdict("openai_chat", 429, openai("slow down"), {"retry-after": "1e12"})
    assert told.cooldown_seconds == pytest.approx(31 * 86400 * 1.05)
    assert told.why == "it is rate limited (retry-after said 1000000000000 s, cut)"
    body = google(429, "RESOURCE_EXHAUSTED", "m", {"retryDelay": "99999999s"})
    assert verdict("gemini", 429, body).why == "it is rate limited (retryDelay said 99999999 s, cut)"


def test_an_empty_answer_cools_nobody() -> None:
    failure = Failure(kind="stream_corrupt", status=502, code="empty_answer", message="nothing")
    told = judge("gemini", failure, {}, NOW)
    assert (told.action, told.scope) == ("retry", "none")


def recorded_errors() -> Iterator[tuple[Path, dict[str, Any]]]:
    folder = Path(environ.get("PROXY_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data")) / "cassettes"
    for path in folder.glob("*/*/*.json"):
        recording = msgspec.json.decode(path.read_bytes())
        if recording["response"]["status"] >= 400:
            yield path, recording


FORMATS = {"openai-chat": "openai_chat", "openai-responses": "openai_responses"}


def test_recorded_errors() -> None:
    """No recorded 400, 404 or 422 cools an account, unless it speaks of keys or money; no 401 or 429 stops."""
    found = list(recorded_errors())
    if not found:
        pytest.skip("the recordings are not here")
    wrong = []
    for path, recording in found:
        wire = FORMATS.get(recording["format"], recording["format"].partition("-")[0])
        answer = recording["response"]
        told = verdict(wire, answer["status"], answer["body"], answer["headers"])
        text = str(answer["body"]).lower()
        is_accounts = answer["status"] in {401, 429} or "api key" in text or "insufficient_quota" in text
        if (told.action == "retry") is not is_accounts:
            wrong.append((path.name, answer["status"], told))
    assert wrong == []


# Each row, by its status and its words


def meant(
    status: int, message: str = "m", *, code: str | None = None, wire: str = "openai_chat", **headers: str
) -> str:
    failure = Failure(kind="invalid_request", status=status, message=message, code=code)
    return judge(wire, failure, headers, NOW).why


@pytest.mark.parametrize(
    ("statuses", "message", "why"),
    [
        ((400, 403, 404), "No such file: f-1", "it does not have the file"),
        ((400, 401, 403), "Your organization was suspended", "the account is disabled or its login was revoked"),
        ((402,), "m", "its balance or spending limit is used up"),
        ((400, 403, 429), "Your credit balance is too low", "its balance or spending limit is used up"),
        ((401,), "m", "its key or login was refused"),
        ((529,), "m", "the provider is overloaded"),
        ((429, 500, 503), "We are at capacity", "the provider is overloaded"),
        ((429,), "m", "it is rate limited"),
        ((403,), "m", "it is not permitted to use this model or region"),
        ((408, 504, 524), "m", "it took too long"),
        ((500, 501, 502, 503, 505, 525, 530, 599), "m", "the provider failed"),
        ((400, 404, 405, 409, 413, 415, 422, 430, 499, 600), "m", "the request is at fault"),
        ((404, 422), "Your credit balance is too low", "the request is at fault"),
        ((402,), "We are at capacity", "its balance or spending limit is used up"),
        ((422,), "We are at capacity", "the request is at fault"),
        ((402, 404), "Your organization was suspended", None),
    ],
)
def test_each_status_has_its_row(statuses: tuple[int, ...], message: str, why: str | None) -> None:
    broken = "the account is disabled or its login was revoked"
    found = {status: meant(status, message) for status in statuses}
    if why is None:
        assert broken not in found.values()
    else:
        assert found == dict.fromkeys(statuses, why)


@pytest.mark.parametrize(
    ("wire", "status", "message", "code", "why"),
    [
        ("gemini", 400, "API key expired. Renew it.", None, "its key or login was refused"),
        ("gemini", 400, "User location is not supported", None, "the provider does not serve its region"),
        ("gemini", 404, "User location is not supported", None, "the request is at fault"),
        (
            "openai_responses",
            403,
            "m",
            "unsupported_country_region_territory",
            "the provider does not serve its region",
        ),
        ("openai_responses", 400, "m", "unsupported_country_region_territory", "the request is at fault"),
        ("anthropic", 400, "You have exceeded your API usage limit", None, "its usage limit is reached"),
        ("anthropic", 404, "You have exceeded your API usage limit", None, "the request is at fault"),
        ("openai_chat", 429, "m", "quota_exhausted", "its quota is exhausted"),
        ("openai_chat", 200, "m", "stream_corrupt", "its answer was broken"),
        ("openai_chat", 502, "m", "unreachable", "it cannot be reached"),
    ],
)
def test_each_wires_own_words(wire: str, status: int, message: str, code: str | None, why: str) -> None:
    assert meant(status, message, code=code, wire=wire) == why


@pytest.mark.parametrize(
    ("status", "code", "headers", "flags"),
    [
        # is_stated, is_transient, is_quota, is_refused, window
        (429, None, {}, (False, False, False, False, "")),
        (429, None, {"retry-after": "7"}, (True, False, False, False, "")),
        (429, None, {"retry-after": "900"}, (True, False, False, False, "")),
        (429, None, {"retry-after": "901"}, (True, False, True, False, "?")),
        (429, "usage_limit_reached", {}, (False, False, True, False, "?")),
        (429, "usage_limit_reached", {"retry-after": "7"}, (True, False, True, False, "?")),
        (402, None, {}, (False, False, True, False, "")),
        (401, None, {}, (False, False, False, True, "")),
        (403, None, {}, (False, False, False, True, "")),
        (403, "token_revoked", {}, (False, False, False, True, "")),
        (500, None, {}, (False, True, False, False, "")),
        (503, None, {"retry-after": "900"}, (True, True, False, False, "")),
        (503, None, {"retry-after": "901"}, (False, True, False, False, "")),
        (529, None, {}, (False, True, False, False, "")),
    ],
)
def test_what_kind_of_a_setback_it_is(
    status: int, code: str | None, headers: dict[str, str], flags: tuple[bool, bool, bool, bool, str]
) -> None:
    failure = Failure(kind="invalid_request", status=status, message="m", code=code)
    told = judge("openai_chat", failure, headers, NOW)
    assert (told.is_stated, told.is_transient, told.is_quota, told.is_refused, told.window) == flags


def test_a_rejected_window_is_named_and_its_reading_may_end_it() -> None:
    headers = {
        "anthropic-ratelimit-unified-5h-status": "rejected",
        "anthropic-ratelimit-unified-5h-reset": str(int(NOW + 600)),
    }
    told = verdict("anthropic", 429, anthropic("rate_limit_error"), headers)
    assert (told.is_quota, told.is_stated, told.why) == (True, True, "the 5-hour window is exhausted")
    assert told.window
    assert told.window != "?"


@pytest.mark.parametrize(
    ("status", "code", "scope", "seconds"),
    [
        (529, None, "provider", 2.0),
        (502, "unreachable", "address", 1.0),
        (500, None, "model", 1.0),
        (429, None, "model", 1.0),
        (429, "usage_limit_reached", "credential", 300.0),
        (402, None, "credential", 300.0),
        (401, None, "credential", 120.0),
        (403, None, "model", 120.0),
        (403, "unsupported_country_region_territory", "credential", 300.0),
    ],
)
def test_the_first_guess_where_nobody_said_how_long(status: int, code: str | None, scope: str, seconds: float) -> None:
    told = judge("openai_responses", Failure(kind="x", status=status, message="m", code=code), {}, NOW)
    assert (told.scope, told.cooldown_seconds) == (scope, seconds)


def test_a_fault_of_hours_is_not_believed() -> None:
    told = judge("openai_chat", Failure(kind="x", status=503, message="m"), {"retry-after": "901"}, NOW)
    assert (told.cooldown_seconds, told.is_stated) == (1.0, False)


def test_a_429_that_a_wire_calls_a_quota_is_a_window() -> None:
    assert judge("gemini", Failure(kind="quota", status=429, message="m"), {}, NOW).why == "its quota is exhausted"


def test_a_spending_limit_is_a_quota() -> None:
    body = anthropic("invalid_request_error", "You have reached your specified API usage limits.")
    assert verdict("anthropic", 400, body).is_quota


@pytest.mark.parametrize("nest", [lambda inner: {"x": inner}, lambda inner: [inner]], ids=["objects", "lists"])
def test_words_are_looked_for_eight_levels_deep_and_no_deeper(nest: Any) -> None:
    def told(depth: int) -> str:
        raw: Any = {"code": "overloaded_error"}
        for _ in range(depth):
            raw = nest(raw)
        failure = Failure(kind="invalid_request", status=400, message="m", raw={"error": raw})
        return judge("openai_chat", failure, {}, NOW).why

    assert told(6) == "the provider is overloaded"
    assert told(7) == told(5_000) == "the request is at fault"


RULES = (
    ErrorRule(status=400, match=("Context",), action="continue"),
    ErrorRule(status=400, match_regexr=(r"tokens > \d+",), action="stop-and-cooldown"),
    ErrorRule(status=529, action="stop"),
    ErrorRule(status=429, action="continue-and-cooldown"),
)


@pytest.mark.parametrize(
    ("status", "message", "headers", "wanted"),
    [
        (400, "the CONTEXT is full", {}, ("retry", "none", None)),
        (400, "210 tokens > 200 maximum", {}, ("stop", "model", RULED_SECONDS)),
        (400, "something else", {}, ("stop", "none", None)),
        (529, "overloaded", {}, ("stop", "none", None)),
        (429, "slow", {"retry-after": "7"}, ("retry", "model", 7.0)),
        (429, "slow", {}, ("retry", "model", RULED_SECONDS)),
    ],
)
def test_what_the_operator_says_comes_first(
    status: int, message: str, headers: dict[str, str], wanted: tuple[str, str, float | None]
) -> None:
    failure = wire_named("anthropic").parse_error(status, headers, msgspec.json.encode(anthropic("x", message)))
    found = judge("anthropic", failure, headers, NOW, rules=RULES)
    assert (found.action, found.scope, found.cooldown_seconds) == wanted


def test_a_rule_looks_into_all_that_was_said() -> None:
    body = {"error": {"message": "m", "type": "t", "details": [{"reason": "deep inside"}]}}
    failure = wire_named("openai_chat").parse_error(500, {}, msgspec.json.encode(body))
    rule = ErrorRule(status=500, match=("deep inside",), action="stop")
    assert judge("openai_chat", failure, {}, NOW, rules=[rule]).action == "stop"
