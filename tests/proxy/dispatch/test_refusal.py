from __future__ import annotations

import pytest

from auth.credential import Credential
from proxy.dispatch.decision import Candidate, Decision, PassedOver
from proxy.dispatch.refusal import LINES_MAX, exhausted, retry_headers, spoken
from proxy.hub.events import Failure
from proxy.providers import anthropic


def passed(label: str, why: str, returns_at: float | None = None, *, is_transient: bool = False) -> PassedOver:
    credential = Credential(id=label, provider="anthropic", label=label)
    candidate = Candidate(anthropic.PROVIDER, credential, "m")
    return PassedOver(candidate=candidate, why=why, returns_at=returns_at, is_transient=is_transient)


def refuse(*passed_over: PassedOver) -> Failure:
    return exhausted(Decision(chosen=None, rule="nobody", passed_over=passed_over, now=100.0), "m")


def test_each_account_has_its_line_and_the_first_return_is_the_retry_after() -> None:
    failure = refuse(passed("one", "cooling: limited", 112.0), passed("two", "broken: revoked"))
    assert failure.message.splitlines() == [
        "no account can serve m now:",
        "- one: cooling: limited; back in 12 s",
        "- two: broken: revoked",
    ]
    assert (failure.status, failure.kind, failure.retry_after_seconds) == (429, "rate_limit", 12.0)
    assert retry_headers(failure) == (("retry-after", "12"),)


def test_a_long_wait_is_a_quota_and_not_worth_retrying() -> None:
    failure = refuse(passed("one", "cooling: limited", 100.0 + 3600))
    assert (failure.status, failure.kind) == (429, "quota")
    assert retry_headers(failure) == (("retry-after", "3600"), ("x-should-retry", "false"))


def test_faults_are_503_and_so_is_what_waits_for_a_human() -> None:
    failure = refuse(passed("one", "cooling: fault", 101.2, is_transient=True))
    assert (failure.status, failure.kind) == (503, "unavailable")
    assert retry_headers(failure) == (("retry-after", "2"),)
    human = refuse(passed("one", "broken: revoked"))
    assert human.status == 503
    assert retry_headers(human) == (("x-should-retry", "false"),)


def test_many_accounts_are_not_all_listed() -> None:
    failure = refuse(*(passed(f"account {n}", "broken") for n in range(LINES_MAX + 5)))
    assert failure.message.splitlines()[-1] == "- and 5 more"


def test_other_failures_say_only_what_they_know() -> None:
    assert retry_headers(Failure(kind="server", status=500, message="m")) == ()
    limited = Failure(kind="rate_limit", status=429, message="m", retry_after_seconds=0.2)
    assert retry_headers(limited) == (("retry-after", "1"),)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.1, "1 s"), (119.0, "119 s"), (121.0, "3 min"), (300.0, "5 min"), (3600.0, "1 h"), (9540.0, "2 h 39 min"),
        (172_800.0, "2 d"), (190_000.0, "2 d 4 h"),
    ],
)  # fmt: skip
def test_durations_are_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
