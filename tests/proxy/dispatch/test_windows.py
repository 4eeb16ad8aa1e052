"""Usage windows in the vendors' own headers and bodies, one line each: what is told, and what we know then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from auth.quota import DAY, HOUR, MINUTE, Window
from proxy.dispatch.windows import Moment, read_quota_failures, read_windows
from proxy.hub.events import Failure

UNIX = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC).timestamp()
MOMENT = Moment(now=1000.0, unix=UNIX, model="claude-opus-5")


def read(headers: dict[str, str]) -> dict[str, Window]:
    return {window.slot: window for window in read_windows(headers, MOMENT)}


UNIFIED = {
    "anthropic-ratelimit-unified-status": "allowed_warning",
    "anthropic-ratelimit-unified-reset": str(int(UNIX + HOUR)),
    "anthropic-ratelimit-unified-representative-claim": "five_hour",
    "anthropic-ratelimit-unified-5h-status": "allowed_warning",
    "anthropic-ratelimit-unified-5h-utilization": "0.8125",
    "anthropic-ratelimit-unified-5h-reset": str(int(UNIX + HOUR)),
    "anthropic-ratelimit-unified-7d-status": "allowed",
    "anthropic-ratelimit-unified-7d-utilization": "0.5",
    "anthropic-ratelimit-unified-7d-reset": str(int(UNIX + 3 * DAY)),
    "anthropic-ratelimit-unified-7d_opus-status": "rejected",
    "anthropic-ratelimit-unified-7d_opus-reset": str(int(UNIX + 2 * DAY)),
    "anthropic-ratelimit-unified-7d_oi-status": "allowed",
    "anthropic-ratelimit-unified-overage-status": "rejected",
    "anthropic-ratelimit-unified-overage-disabled-reason": "org_level_disabled",
}


def test_a_claude_subscription() -> None:
    """Overage that is switched off is no window that is full."""
    windows = read(UNIFIED)
    assert {slot.removeprefix("anthropic-ratelimit-unified-") for slot in windows} == {"5h", "7d", "7d_opus", "7d_oi"}
    five = windows["anthropic-ratelimit-unified-5h"]
    assert (five.name, five.used, five.resets_at, five.models) == ("5-hour", 0.8125, 1000.0 + HOUR, "*")
    assert (five.read_at, five.seconds, five.is_full) == (1000.0, 5 * HOUR, False)
    opus = windows["anthropic-ratelimit-unified-7d_opus"]
    assert (opus.name, opus.used, opus.is_rejected, opus.models) == ("weekly", None, True, "*opus*")
    assert windows["anthropic-ratelimit-unified-7d_oi"].models == "claude-opus-5"


def test_headers_are_read_in_any_case() -> None:
    assert read({name.upper(): value for name, value in UNIFIED.items()}).keys() == read(UNIFIED).keys()


def test_an_anthropic_key() -> None:
    windows = read({
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-20T12:00:30Z",
        "anthropic-ratelimit-input-tokens-limit": "400000",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-20T12:01:00+00:00",
        "retry-after": "60",
    })  # fmt: skip
    requests = windows["anthropic-ratelimit-requests"]
    assert (requests.name, requests.used, requests.seconds) == ("requests", pytest.approx(0.02), None)
    assert (requests.resets_at, requests.models) == (1030.0, "claude-opus-5")
    tokens = windows["anthropic-ratelimit-input-tokens"]
    assert (tokens.name, tokens.is_full, tokens.resets_at) == ("input tokens", True, 1060.0)


@pytest.mark.parametrize(
    ("headers", "slot", "name", "used", "resets_in", "seconds"),
    [
        (
            {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499",
             "x-ratelimit-reset-requests": "120ms"},
            "x-ratelimit-requests", "requests", 0.002, 0.12, None,
        ),
        (
            {"x-ratelimit-limit-tokens": "30000", "x-ratelimit-remaining-tokens": "0",
             "x-ratelimit-reset-tokens": "6m0s"},
            "x-ratelimit-tokens", "tokens", 1.0, 360.0, None,
        ),
        (
            {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "5",
             "x-ratelimit-reset": str(int((UNIX + 30) * 1000))},
            "x-ratelimit", "requests", 0.75, 30.0, None,
        ),
        (
            {"x-ratelimit-limit-requests-day": "14400", "x-ratelimit-remaining-requests-day": "7200",
             "x-ratelimit-reset-requests-day": "3600.5"},
            "x-ratelimit-requests-day", "daily requests", 0.5, 3600.5, DAY,
        ),
        (
            {"x-ratelimit-limit-tokens-minute": "60000", "x-ratelimit-remaining-tokens-minute": "60000",
             "x-ratelimit-reset-tokens-minute": "12"},
            "x-ratelimit-tokens-minute", "minute tokens", 0.0, 12.0, MINUTE,
        ),
        ({"x-ratelimit-remaining-requests": "7"}, "x-ratelimit-requests", "requests", None, None, None),
    ],
    ids=["OpenAI", "used up", "OpenRouter", "Cerebras a day", "Cerebras a minute", "no limit told"],
)  # fmt: skip
def test_a_key_of_openai_and_its_likes(
    headers: dict[str, str], slot: str, name: str, used: float | None, resets_in: float | None, seconds: float | None
) -> None:
    window = read(headers)[slot]
    assert (window.name, window.seconds, window.models) == (name, seconds, "claude-opus-5")
    assert window.used == (None if used is None else pytest.approx(used))
    assert window.resets_at == (None if resets_in is None else pytest.approx(1000.0 + resets_in))


def test_a_chatgpt_account() -> None:
    """Called by its minutes, not by its slot: free plans have one window, of a month, and tell it as the primary."""
    windows = read({
        "x-codex-primary-used-percent": "12.5",
        "x-codex-primary-window-minutes": "300",
        "x-codex-primary-reset-at": str(int(UNIX + HOUR)),
        "x-codex-primary-reset-after-seconds": "5",
        "x-codex-secondary-used-percent": "100",
        "x-codex-secondary-window-minutes": "43200",
        "x-codex-secondary-reset-after-seconds": "86400",
        "x-codex-bengal-primary-used-percent": "3",
        "x-codex-credits-has-credits": "false",
    })  # fmt: skip
    primary, secondary = windows["x-codex-primary"], windows["x-codex-secondary"]
    assert (primary.name, primary.used, primary.resets_at) == ("5-hour", 0.125, 1000.0 + HOUR)
    assert (secondary.name, secondary.is_full, secondary.resets_at) == ("monthly", True, 1000.0 + DAY)
    named = windows["x-codex-bengal-primary"]
    assert (named.name, named.models, named.resets_at) == ("bengal-primary", "claude-opus-5", None)


@pytest.mark.parametrize(
    ("quota", "name", "seconds"),
    [
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "daily", 20 * HOUR),
        ("GenerateContentInputTokensPerModelPerMinute", "minute", MINUTE),
    ],
)
def test_a_google_project(quota: str, name: str, seconds: float) -> None:
    detail: Any = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]}
    failure = Failure(kind="rate_limit", status=429, message="m", raw={"error": {"details": [detail]}})
    [window] = read_quota_failures(failure, MOMENT)
    assert (window.slot, window.name, window.is_full) == (quota, name, True)
    assert (window.resets_at, window.models) == (1000.0 + seconds, "claude-opus-5")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/event-stream", "request-id": "req_1"},
        {
            "x-codex-turn-state": "opaque",
            "x-ratelimit-reset-requests": "1s",
            "anthropic-ratelimit-unified-fallback": "x",
        },
    ],
)
def test_most_answers_tell_nothing(headers: dict[str, str]) -> None:
    assert read(headers) == {}


@pytest.mark.parametrize("value", ["", "NaN", "inf", "-3", "soon", "1e400"])
def test_nonsense_is_unknown(value: str) -> None:
    window = read({
        "x-codex-primary-used-percent": value,
        "x-codex-primary-window-minutes": value,
        "x-codex-primary-reset-at": value,
        "x-codex-primary-reset-after-seconds": value,
    })["x-codex-primary"]  # fmt: skip
    assert window.used in {None, 0.0}
    assert window.seconds is None
    assert window.resets_at in {None, 1000.0}
    assert not window.is_full


def test_what_exceeds_its_window_is_cut_to_it() -> None:
    far = {
        "anthropic-ratelimit-unified-5h-status": "allowed",
        "anthropic-ratelimit-unified-5h-reset": str(int(UNIX + 90 * DAY)),
    }
    assert read(far)["anthropic-ratelimit-unified-5h"].resets_at == 1000.0 + 5 * HOUR * 1.05
