from __future__ import annotations

import pytest

from auth.credential import Credential
from proxy.dispatch.decision import Candidate, Decision, PassedOver
from proxy.dispatch.refusal import (
    BUSY_SECONDS,
    EXHAUSTED,
    LINES_MAX,
    NO_ACCOUNT,
    PATIENCE_SECONDS,
    exhausted,
    for_client,
    retry_headers,
    spoken,
    together,
    unswitched,
)
from proxy.hub.events import Failure
from proxy.providers import anthropic
from proxy.wire.table import wire_named

UNIX = 1_795_176_000.0


def passed(label: str, why: str, returns_at: float | None = None, **fields: bool) -> PassedOver:
    credential = Credential(id=label, provider="anthropic", label=label)
    candidate = Candidate(anthropic.PROVIDER, credential, "m")
    return PassedOver(candidate=candidate, why=why, returns_at=returns_at, **fields)


def refuse(*passed_over: PassedOver) -> Failure:
    return exhausted(Decision(chosen=None, rule="nobody", passed_over=passed_over, now=100.0), "m", unix=UNIX)


def headers(failure: Failure, wire: str = "openai_chat") -> dict[str, str]:
    return dict(retry_headers(failure, wire))


SPENT = passed("one", "cooling: the 5-hour window is exhausted", 100.0 + 3600, is_quota=True)


def test_each_account_has_its_line_and_the_first_return_is_the_retry_after() -> None:
    failure = refuse(passed("one", "cooling: limited", 112.0), passed("two", "broken: revoked"))
    assert failure.message.splitlines() == [
        "no account can serve m now:",
        "- one: cooling: limited; back in 12 s",
        "- two: broken: revoked",
    ]
    assert (failure.status, failure.kind, failure.retry_after_seconds) == (429, "rate_limit", 12.0)
    assert headers(failure) == {"retry-after": "12"}


def test_a_long_wait_is_a_quota_and_not_worth_retrying() -> None:
    failure = refuse(passed("one", "cooling: limited", 100.0 + 3600))
    assert (failure.status, failure.kind, failure.resets_at) == (429, "quota", None)
    assert headers(failure) == {"retry-after": "3600", "x-should-retry": "false"}


def test_a_spent_window_tells_when_it_will_reset_in_words_that_qwen_code_stops_at() -> None:
    failure = refuse(SPENT, passed("two", "cooling: limited", 100.0 + 7200))
    assert failure.resets_at == UNIX + 3600
    headline = failure.message.splitlines()[0]
    assert headline == "Quota exceeded: no account can serve m now; the first will reset at 2026-11-20T13:00:00Z:"


def test_whoever_has_too_much_to_do_is_worth_asking_again_soon() -> None:
    failure = refuse(passed("one", "busy: 2 of 2 requests are under way", is_busy=True), SPENT)
    assert (failure.status, failure.kind, failure.retry_after_seconds) == (429, "rate_limit", BUSY_SECONDS)


def test_also_when_nobody_says_when_he_comes_back() -> None:
    failure = refuse(passed("one", "busy: 2 of 2 requests are under way", is_busy=True))
    assert (failure.status, failure.retry_after_seconds) == (429, BUSY_SECONDS)


def test_who_is_back_already_is_worth_asking_at_once() -> None:
    failure = refuse(passed("one", "cooling: limited", 95.0))
    assert failure.retry_after_seconds == 0
    assert headers(failure) == {"retry-after": "1"}


def test_patience_lasts_a_minute_and_not_a_moment_longer() -> None:
    just = refuse(passed("one", "cooling: limited", 100.0 + PATIENCE_SECONDS))
    assert (just.kind, headers(just)) == ("rate_limit", {"retry-after": "60"})
    assert for_client(just, OPENCODE) is just
    longer = refuse(passed("one", "cooling: limited", 100.5 + PATIENCE_SECONDS))
    assert (longer.kind, headers(longer)) == ("quota", {"retry-after": "61", "x-should-retry": "false"})
    assert for_client(longer, OPENCODE).status == 402


def test_the_account_that_may_not_be_stood_in_for_says_what_it_waits_for() -> None:
    tired = passed("one", "its weekly window is exhausted", 100.0 + 7200)
    failure = unswitched(tired, now=100.0, unix=UNIX)
    assert (failure.status, failure.kind, failure.code) == (429, "quota", EXHAUSTED)
    assert (failure.retry_after_seconds, failure.resets_at) == (7200.0, UNIX + 7200)
    headline, line = failure.message.splitlines()
    assert "switch-project" in headline
    assert line == "- one: its weekly window is exhausted; back in 2 h"
    assert unswitched(tired, now=8000.0, unix=UNIX).retry_after_seconds == 0
    for_ever = unswitched(passed("one", "its balance is used up"), now=100.0, unix=UNIX)
    assert (for_ever.retry_after_seconds, for_ever.resets_at) == (None, None)


def test_faults_are_503_and_so_is_what_waits_for_a_human() -> None:
    failure = refuse(passed("one", "cooling: fault", 101.2, is_transient=True))
    assert (failure.status, failure.kind) == (503, "unavailable")
    assert headers(failure) == {"retry-after": "2"}
    human = refuse(passed("one", "broken: revoked"))
    assert human.status == 503
    assert headers(human) == {"x-should-retry": "false"}


def test_a_refused_key_is_no_limit_and_no_promise_whenever_it_is_asked_again() -> None:
    one = passed("one", "cooling: its key or login was refused", 100.0 + 90, is_refused=True)
    failure = refuse(one)
    assert (failure.status, failure.kind, failure.code) == (503, "unavailable", NO_ACCOUNT)
    assert failure.message.splitlines()[1] == "- one: cooling: its key or login was refused; asked again in 90 s"
    assert headers(failure) == {"x-should-retry": "false"}


def test_beside_a_refused_key_the_others_say_when_to_come_back() -> None:
    refused = passed("one", "cooling: its key or login was refused", 101.0, is_refused=True)
    fault = refuse(refused, passed("two", "cooling: fault", 112.0, is_transient=True))
    assert (fault.status, headers(fault)) == (503, {"retry-after": "12"})
    limited = refuse(refused, SPENT)
    assert (limited.status, limited.kind, limited.retry_after_seconds) == (429, "quota", 3600.0)
    assert limited.resets_at == UNIX + 3600


def test_many_accounts_are_not_all_listed() -> None:
    failure = refuse(*(passed(f"account {n}", "broken") for n in range(LINES_MAX + 5)))
    assert failure.message.splitlines()[-1] == "- and 5 more"
    all_of_them = refuse(*(passed(f"account {n}", "broken") for n in range(LINES_MAX)))
    assert all_of_them.message.splitlines()[-1] == f"- account {LINES_MAX - 1}: broken"


def test_other_failures_say_only_what_they_know() -> None:
    assert headers(Failure(kind="server", status=500, message="m")) == {}
    limited = Failure(kind="rate_limit", status=429, message="m", retry_after_seconds=0.2)
    assert headers(limited) == {"retry-after": "1"}


def test_the_failures_of_a_chain_are_told_together() -> None:
    failure = together([refuse(SPENT), refuse(passed("two", "cooling: limited", 120.0))])
    assert (failure.kind, failure.retry_after_seconds) == ("quota", 20.0)
    assert [line for line in failure.message.splitlines() if line.startswith("- ")] == [
        "- one: cooling: the 5-hour window is exhausted; back in 1 h",
        "- two: cooling: limited; back in 20 s",
    ]


def test_one_of_a_chain_that_knows_no_time_takes_none_from_the_others() -> None:
    human = refuse(passed("one", "broken: revoked"))
    assert together([human, refuse(SPENT)]).retry_after_seconds == 3600
    assert together([human, human]).retry_after_seconds is None


# As each client wants it (official-clis.md §3.6)


@pytest.mark.parametrize(("hours", "claim"), [(1, "five_hour"), (5, "five_hour"), (6, "seven_day"), (100, "seven_day")])
def test_claude_code_hears_of_a_spent_pool_as_of_a_spent_account(hours: int, claim: str) -> None:
    failure = refuse(passed("one", "spent", 100.0 + hours * 3600, is_quota=True))
    assert headers(failure, "anthropic") == {
        "retry-after": str(hours * 3600),
        "x-should-retry": "false",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(int(UNIX) + hours * 3600),
        "anthropic-ratelimit-unified-representative-claim": claim,
    }


def test_codex_hears_that_the_limit_is_reached_and_until_when() -> None:
    body = wire_named("openai_responses").render_error(refuse(SPENT))
    assert body["error"] == {
        "message": refuse(SPENT).message,
        "type": "usage_limit_reached",
        "param": None,
        "code": "accounts_exhausted",
        "resets_in_seconds": 3600,
        "resets_at": int(UNIX) + 3600,
    }


@pytest.mark.parametrize(
    ("passed_over", "reason", "delay"),
    [
        (SPENT, "QUOTA_EXHAUSTED", "3600s"),
        (passed("one", "cooling: limited", 130.0), "RATE_LIMIT_EXCEEDED", "30s"),
    ],
)
def test_gemini_cli_waits_for_seconds_and_gives_up_for_hours(passed_over: PassedOver, reason: str, delay: str) -> None:
    error = wire_named("gemini").render_error(refuse(passed_over))["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["details"] == [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "cloudcode-pa.googleapis.com",
        },
    ]
    assert "exhausted your capacity" not in str(error["message"])  # it would sleep for hours


OPENCODE = {"user-agent": "opencode/1.4.2 ai-sdk/6"}


def test_opencode_is_told_no_hours_as_it_would_sleep_them() -> None:
    told = for_client(refuse(passed("one", "cooling: it is rate limited", 7300.0)), OPENCODE)
    assert (told.status, told.retry_after_seconds) == (402, None)
    assert told.message.endswith("(in 2 h)")
    assert "rate limit" not in told.message
    assert dict(retry_headers(told, "openai_chat")) == {"x-should-retry": "false"}


def test_opencode_is_told_what_an_upstream_said_without_the_hours() -> None:
    upstream = Failure(kind="rate_limit", status=429, message="one\ntwo", retry_after_seconds=7200.0)
    told = for_client(upstream, OPENCODE)
    assert (told.status, told.message, told.retry_after_seconds) == (429, "one\ntwo", None)
    ours = for_client(refuse(SPENT), OPENCODE)
    assert ours.message.startswith("Quota exceeded: no account can serve m now; the first will reset at 2026-11-20T13")


def test_opencode_waits_for_seconds_like_everybody() -> None:
    failure = refuse(passed("one", "cooling: limited", 130.0))
    assert for_client(failure, OPENCODE) is failure
    assert for_client(refuse(passed("one", "cooling: limited", 7300.0)), {"user-agent": "Python/3"}).status == 429


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.1, "1 s"), (119.0, "119 s"), (120.0, "2 min"), (121.0, "3 min"), (300.0, "5 min"), (3540.0, "59 min"),
        (3600.0, "1 h"), (9540.0, "2 h 39 min"), (90_000.0, "25 h"), (172_800.0, "2 d"), (190_000.0, "2 d 4 h"),
    ],
)  # fmt: skip
def test_durations_are_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
