from __future__ import annotations

import pytest

from proxy.dispatch.refusal import retry_headers
from proxy.server.limit_words import budget_header, limit_headers, over_budget, over_limit, unpriced
from proxy.server.meters import Excess, Reading
from proxy.server.spending import Amount, Balance

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("excess", "message"),
    [
        (
            Excess(kind="key", what="requests", limit=60, wait=11.2),
            "rate limit: this client key may make 60 requests a minute, and has; try again in 12 s",
        ),
        (
            Excess(kind="ip", what="tokens", limit=1000, wait=5.0),
            "rate limit: this address may use 1000 tokens a minute, and 70 more do not fit now; try again in 5 s",
        ),
        (
            Excess(kind="session", what="concurrency", limit=2, wait=2.0),
            "rate limit: this conversation may have 2 requests under way at a time, and has; try again in 2 s",
        ),
        (
            Excess(kind="key", what="tokens", limit=50, wait=None),
            (
                "this request is believed to take 70 tokens, and this client key may use 50 a minute: "
                "ask for less, or raise tokens-per-minute"
            ),
        ),
    ],
)
def test_a_refusal_says_which_limit_it_was_and_when_it_ends(excess: Excess, message: str) -> None:
    failure = over_limit(excess, 70)
    assert failure.message == message
    assert (failure.status, failure.kind, failure.code) == (429, "rate_limit", "client_rate_limit")
    assert failure.retry_after_seconds == excess.wait


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        (
            Balance(per="day", unit="tokens", limit=1000, used=1000, resets_at=NOW + 3600),
            (
                "Quota exceeded: this client key's budget of 1000 tokens a day is used up; "
                "it will reset at 2027-01-15T09:00:00Z"
            ),
        ),
        (
            Balance(per="month", unit="dollars", limit=12.5, used=12.0, resets_at=NOW + 3600),
            (
                "Quota exceeded: this client key's budget of $12.5 a month has $0.5 left, and this request is believed "
                "to take $0.7500; it will reset at 2027-01-15T09:00:00Z"
            ),
        ),
        (
            Balance(per="week", unit="quota", limit=20, used=21.5, resets_at=None),
            "Quota exceeded: this client key's budget of 20 % of its accounts' windows a week is used up",
        ),
    ],
)
def test_a_budget_that_is_used_up_says_so(balance: Balance, message: str) -> None:
    failure = over_budget(balance, Amount(70, 0.75), NOW)
    assert failure.message == message
    assert (failure.status, failure.kind, failure.code) == (429, "quota", "client_budget_exhausted")
    assert (failure.retry_after_seconds, failure.resets_at) == (
        (3600.0, NOW + 3600) if balance.resets_at is not None else (None, None)
    )


def test_nobody_is_sent_away_for_longer_than_they_wait() -> None:
    longest = over_limit(Excess(kind="key", what="requests", limit=60, wait=60.9), 0)
    assert dict(retry_headers(longest, "anthropic")) == {"retry-after": "60"}


def test_sdks_are_told_when_there_is_no_point_in_trying_again() -> None:
    soon = over_limit(Excess(kind="key", what="requests", limit=60, wait=11.2), 0)
    assert [*retry_headers(soon, "openai_chat")] == [("retry-after", "12")]
    never = over_limit(Excess(kind="key", what="tokens", limit=60, wait=None), 70)
    assert [*retry_headers(never, "openai_chat")] == [("x-should-retry", "false")]
    later = over_budget(Balance(per="day", unit="tokens", limit=1, used=1, resets_at=NOW + 90_000), Amount(), NOW)
    assert dict(retry_headers(later, "anthropic")) == {
        "retry-after": "90000",
        "x-should-retry": "false",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": "1800090000",
        "anthropic-ratelimit-unified-representative-claim": "seven_day",
    }


READINGS = [
    Reading(what="requests", limit=60, remaining=59, reset=61.0),
    Reading(what="tokens", limit=1000, remaining=200, reset=12.2),
    Reading(what="requests", limit=10, remaining=3, reset=0.4),
]


def test_each_format_has_its_headers_for_the_tightest_limit() -> None:
    assert dict(limit_headers(READINGS, "openai_responses", NOW)) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "200",
        "x-ratelimit-reset-tokens": "13s",
    }
    assert dict(limit_headers(READINGS[:1], "anthropic", NOW)) == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "59",
        "anthropic-ratelimit-requests-reset": "2027-01-15T08:01:01Z",
    }
    assert dict(limit_headers(READINGS[:1], "gemini", NOW))["x-ratelimit-reset-requests"] == "1m1s"


def test_budgets_are_told_in_one_line() -> None:
    balances = [
        Balance(per="day", unit="tokens", limit=1000, used=120, resets_at=NOW),
        Balance(per="month", unit="dollars", limit=12.5, used=0.25, resets_at=NOW),
        Balance(per="week", unit="quota", limit=20, used=3.14159, resets_at=None),
    ]
    assert budget_header(balances) == (
        "x-proxy-budget",
        "day tokens 120/1000, month dollars 0.25/12.5, week quota 3.1416/20",
    )


def test_a_model_without_a_price_is_named() -> None:
    failure = unpriced("openai", "gpt-9")
    assert "prices.yaml has no price for gpt-9 of openai" in failure.message
    assert (failure.status, failure.code) == (400, "model_unpriced")
