from __future__ import annotations

from multidict import CIMultiDict

from auth.credential import Credential
from proxy.dispatch.answer_headers import (
    DECISION_CHARACTERS_MAX,
    LOSSES_CHARACTERS_MAX,
    decision_line,
    losses_line,
    own,
    passed,
    sendable,
)
from proxy.dispatch.decision import Candidate, Decision, PassedOver
from proxy.dispatch.inquiry import AttemptRecord, Report
from proxy.hub.loss import Loss
from proxy.providers import anthropic


def candidate(label: str) -> Candidate:
    return Candidate(anthropic.PROVIDER, Credential(id=label, provider="anthropic", label=label), "m")


def test_limits_of_one_account_are_not_passed_on() -> None:
    upstream = CIMultiDict({
        "Request-Id": "req_1", "x-ratelimit-remaining-requests": "3", "anthropic-ratelimit-unified-status": "allowed",
        "x-codex-primary-used-percent": "99", "set-cookie": "a=b", "openai-processing-ms": "7",
        "x-codex-turn-state": "s", "x-reasoning-included": "true", "x-models-etag": "e",
    })  # fmt: skip
    assert dict(passed(upstream)) == {
        "request-id": "req_1", "openai-processing-ms": "7", "x-codex-turn-state": "s", "x-reasoning-included": "true",
    }  # fmt: skip


def test_our_own() -> None:
    attempt = AttemptRecord(provider="anthropic", credential="c", model="m")
    report = Report(
        request_id="r",
        model_asked="alias",
        model_served="m",
        provider="anthropic",
        account="Jürgen's key\r\nX: y",
        attempts=[attempt, attempt],
        losses=(Loss("messages[0].content[0]", "cache mark", "no room"),),
    )
    assert dict(own(report)) == {
        "x-proxy-model": "m",
        "x-proxy-provider": "anthropic",
        "x-proxy-account": "J?rgen's key??X: y",
        "x-proxy-attempts": "2",
        "x-proxy-losses": "1: messages[0].content[0]: cache mark",
    }


def test_losses_are_counted_and_bounded() -> None:
    line = losses_line([Loss(f"messages[{n}].content[0].cache_control", "cache mark", "w") for n in range(500)])
    assert line.startswith("500: messages[0]")
    assert len(line) == LOSSES_CHARACTERS_MAX
    assert line.endswith("...")


def test_whatever_a_header_cannot_hold_is_a_question_mark() -> None:
    everything = "".join(map(chr, range(0x180))) + "\u2028\U0001f600"
    assert sendable(everything) == "".join(each if " " <= each <= "~" else "?" for each in everything)
    for each in everything:
        assert sendable(each) == (each if " " <= each <= "~" else "?")


def test_decisions() -> None:
    cooling = PassedOver(candidate=candidate("key 1"), why="cooling: limited", returns_at=112.0)
    tried = PassedOver(candidate=candidate("key 3"), why="tried in this request")
    decision = Decision(chosen=candidate("key 2"), rule="round-robin", passed_over=(cooling, tried), now=100.0)
    assert decision_line(decision) == (
        "round-robin: key 2; passed over: key 1 (cooling: limited, 12 s), key 3 (tried in this request)"
    )
    nobody = Decision(chosen=None, rule="nobody", passed_over=(cooling,) * 200, now=100.0)
    assert decision_line(nobody).startswith("nobody; passed over: key 1")
    assert len(decision_line(nobody)) == DECISION_CHARACTERS_MAX
