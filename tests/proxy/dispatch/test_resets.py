"""Every form of "how long" (security.md §5.1), one line each: what a provider says, and when that is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from proxy.dispatch.resets import read_reset
from proxy.hub.events import Failure
from proxy.hub.residue import JsonValue

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


def failure(message: str = "", raw: JsonValue = None) -> Failure:
    return Failure(kind="rate_limit", status=429, message=message, raw=raw)


def seconds(headers: dict[str, str], message: str = "", raw: JsonValue = None) -> float | None:
    reset = read_reset(headers, failure(message, raw), NOW)
    return None if reset is None else round(reset.seconds, 3)


def details(*entries: JsonValue) -> JsonValue:
    return {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": list(entries)}}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, 7),
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "+5"}, 5),
        ({"retry-after": "5, 30, 10"}, 30),
        ({"retry-after": "Fri, 20 Nov 2026 12:01:00 GMT"}, 60),
        ({"retry-after": "Friday, 20-Nov-26 12:01:00 GMT"}, 60),
        ({"retry-after": "Fri Nov 20 12:01:00 2026"}, 60),
        ({"retry-after": "Fri, 20 Nov 2026 12:01:00 GMT", "date": "Fri, 20 Nov 2026 12:00:50 GMT"}, 10),
        ({"retry-after": "Fri, 20 Nov 2026 11:59:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "1e12"}, 31 * DAY * 1.05),
        # OpenAI: a window counts when nothing of it remains
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360),
        ({"x-ratelimit-reset-tokens": "20ms", "x-ratelimit-remaining-tokens": "0"}, 0.02),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s", "x-ratelimit-remaining-tokens": "0"}, 3723.5),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "17"}, None),
        ({"x-ratelimit-reset-tokens": "6m0s"}, None),
        (
            {
                "x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "9s", "x-ratelimit-remaining-tokens": "0",
            },
            9,
        ),
        ({"x-ratelimit-reset": str(int((NOW + 30) * 1000)), "x-ratelimit-remaining": "0"}, 30),
        ({"x-ratelimit-reset": str(NOW + 30), "x-ratelimit-remaining": "0"}, 30),
        # Codex: windows by their minutes; reset-at beats reset-after; full ones only
        (
            {
                "x-codex-primary-used-percent": "100", "x-codex-primary-window-minutes": "300",
                "x-codex-primary-reset-at": str(NOW + HOUR), "x-codex-primary-reset-after-seconds": "5",
            },
            HOUR,
        ),
        ({"x-codex-secondary-used-percent": "100.0", "x-codex-secondary-reset-after-seconds": "77"}, 77),
        ({"x-codex-primary-used-percent": "99", "x-codex-primary-reset-after-seconds": "77"}, None),
        ({"x-codex-bengal-primary-used-percent": "100", "x-codex-bengal-primary-reset-after-seconds": "42"}, 42),
        (
            {
                "x-codex-primary-used-percent": "100", "x-codex-primary-window-minutes": "300",
                "x-codex-primary-reset-after-seconds": "999999",
            },
            5 * HOUR * 1.05,
        ),
        # Anthropic, API and subscription
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-20T12:00:40Z",
            },
            40,
        ),
        (
            {
                "anthropic-ratelimit-tokens-remaining": "3000",
                "anthropic-ratelimit-tokens-reset": "2026-11-20T12:00:40Z",
            },
            None,
        ),
        (
            {
                "anthropic-ratelimit-unified-status": "rejected",
                "anthropic-ratelimit-unified-reset": str(int(NOW + 100)),
                "anthropic-ratelimit-unified-5h-status": "rejected",
                "anthropic-ratelimit-unified-5h-reset": str(int(NOW + 2 * HOUR)),
                "anthropic-ratelimit-unified-7d-status": "allowed_warning",
                "anthropic-ratelimit-unified-7d-reset": str(int(NOW + 3 * DAY)),
            },
            2 * HOUR,
        ),
        (
            {
                "anthropic-ratelimit-unified-5h-status": "rejected",
                "anthropic-ratelimit-unified-5h-reset": str(int(NOW + HOUR)),
                "anthropic-ratelimit-unified-7d-status": "rejected",
                "anthropic-ratelimit-unified-7d-reset": str(int(NOW + 2 * DAY)),
            },
            2 * DAY,
        ),
        (
            {
                "anthropic-ratelimit-unified-status": "rejected",
                "anthropic-ratelimit-unified-reset": str(int(NOW + 100)),
                "retry-after": "7",
            },
            100,
        ),
    ],
)  # fmt: skip
def test_headers(headers: dict[str, str], expected: float | None) -> None:
    assert seconds(headers) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"error": {"type": "usage_limit_reached", "resets_at": NOW + HOUR, "resets_in_seconds": 30}}, HOUR),
        ({"error": {"type": "usage_limit_reached", "resets_in_seconds": 90}}, 90),
        ({"error": {"resets_at": NOW - 5}}, None),
        ({"error": {"resets_at": True}}, None),
        (details({"retryDelay": "36s"}), 36),
        (details({"retryDelay": "34.07s"}), 34.07),
        (details({"retryDelay": "900ms"}), 0.9),
        (details({"metadata": {"quotaResetDelay": "2h39m"}}), 2 * HOUR + 39 * 60),
        (details({"metadata": {"quotaResetTimeStamp": "2026-11-20T12:05:00Z"}}), 300),
        (details({"violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]}), 60),
        (details({"violations": [{"quotaId": "RequestsPerMinute"}]}, {"retryDelay": "12s"}), 12),
        (details({"violations": [{"quotaId": "ConcurrentRequestsPerProject"}]}), None),
        (details({"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}, {"retryDelay": "36s"}), 20 * HOUR),
    ],
)
def test_bodies(raw: JsonValue, expected: float | None) -> None:
    assert seconds({}, raw=raw) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Rate limit reached. Please try again in 1.5s. Visit …", 1.5),
        ("Please try again in 6m0s.", 360),
        ("Please try again in 28ms.", 0.028),
        ("Please retry in 36.4s.", 36.4),
        ("Individual quota reached. Resets in 2h39m", 2 * HOUR + 39 * 60),
        ("retry after 20 seconds", 20),
        ("try again in 3 days", 3 * DAY),
        ("Try again in 250 milliseconds.", 0.25),
        ("TRY AGAIN IN 3 MINUTES", 180),
        ("You can try again in about 5 hours", 5 * HOUR),
        ("too many requests", None),
        ("the limit is 5 requests per 10 seconds", None),
    ],
)
def test_text_is_read_last(message: str, expected: float | None) -> None:
    assert seconds({}, message) == (None if expected is None else pytest.approx(expected))
    assert seconds({"retry-after": "7"}, message) == 7


def test_window_and_scope_come_with_it() -> None:
    weekly = read_reset(
        {
            "anthropic-ratelimit-unified-7d_opus-status": "rejected",
            "anthropic-ratelimit-unified-7d_opus-reset": str(int(NOW + DAY)),
        },
        failure(),
        NOW,
    )
    assert weekly is not None
    assert (weekly.window, weekly.is_model_only) == ("weekly", True)
    daily = read_reset({}, failure(raw=details({"violations": [{"quotaId": "RequestsPerDay"}]})), NOW)
    assert daily is not None
    assert (daily.window, daily.is_model_only) == ("daily", True)
    for told in ({"retryDelay": "36s"}, {"violations": [{"quotaId": "RequestsPerMinute"}]}):
        short = read_reset({}, failure(raw=details(told)), NOW)
        assert short is not None
        assert (short.window, short.is_model_only) == ("", True)


def test_a_keys_window_and_retry_after_are_both_plain_hints_the_later_counts() -> None:
    full = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6s"}
    assert seconds({**full, "retry-after": "20"}) == 20
    assert seconds({**full, "retry-after": "2"}) == 6
    subscription = {"x-codex-primary-used-percent": "100", "x-codex-primary-reset-after-seconds": "77"}
    assert seconds({**subscription, "retry-after": "20"}) == 77
    assert seconds({**subscription, "retry-after": "200"}) == 77


def test_a_full_window_that_does_not_say_when_it_is_reset_says_nothing() -> None:
    for full in (
        {"x-codex-primary-used-percent": "100", "x-codex-primary-window-minutes": "300"},
        {"x-ratelimit-remaining-requests": "0"},
        {"anthropic-ratelimit-unified-5h-status": "rejected"},
    ):
        assert seconds(full) is None
        assert seconds({**full, "retry-after": "9"}) == 9
        assert seconds(full, "Please try again in 3s.") == 3


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "9s"}, ""),
        ({"x-ratelimit-remaining-tokens-hour": "0", "x-ratelimit-reset-tokens-hour": "9s"}, "hour tokens"),
        ({"x-ratelimit-remaining-tokens-day": "0", "x-ratelimit-reset-tokens-day": "9s"}, "daily tokens"),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9s"}, ""),
        ({"x-codex-primary-used-percent": "100", "x-codex-primary-reset-after-seconds": "9"}, ""),
        (
            {
                "x-codex-primary-used-percent": "100", "x-codex-primary-reset-after-seconds": "9",
                "x-codex-primary-window-minutes": "15",
            },
            "15-minute",
        ),
    ],
)  # fmt: skip
def test_a_window_is_named_where_it_is_no_burst(headers: dict[str, str], name: str) -> None:
    reset = read_reset(headers, failure(), NOW)
    assert reset is not None
    assert reset.window == name


def test_the_nameless_claim_of_a_subscription_is_the_accounts() -> None:
    claim = "anthropic-ratelimit-unified"
    told = {f"{claim}-status": "rejected", f"{claim}-reset": str(int(NOW + HOUR))}
    overage = {f"{claim}-overage-status": "rejected", f"{claim}-overage-reset": str(int(NOW + 2 * HOUR))}
    for headers in (told, {**told, **overage}):
        reset = read_reset(headers, failure(), NOW)
        assert reset is not None
        assert (reset.seconds, reset.is_model_only) == (HOUR, False)


def test_a_rejection_of_overage_alone_is_the_models() -> None:
    reset = read_reset(
        {
            "anthropic-ratelimit-unified-overage-status": "rejected",
            "anthropic-ratelimit-unified-overage-reset": str(int(NOW + HOUR)),
        },
        failure(),
        NOW,
    )
    assert reset is not None
    assert reset.is_model_only
