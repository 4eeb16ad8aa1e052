"""What is kept of decisions."""

from __future__ import annotations

from auth.credential import Credential
from proxy.dispatch.decision import NAMED_MAX, RECENT_MAX, Candidate, Decision, PassedOver, Recent
from proxy.providers import openai

CANDIDATE = Candidate(openai.PROVIDER, Credential(id="a", provider="openai", label="a"), "m")


def decision(passed_over: int) -> Decision:
    each = PassedOver(candidate=CANDIDATE, why="cooling")
    return Decision(chosen=None, rule="nobody", passed_over=(each,) * passed_over, now=1.0)


def kept(recent: Recent) -> list[str]:
    return [request_id for request_id, _ in recent]


def test_the_last_ones_are_kept() -> None:
    recent = Recent()
    for number in range(RECENT_MAX + 10):
        recent.append((f"{number}", decision(1)))
    assert kept(recent) == [f"{number}" for number in range(10, RECENT_MAX + 10)]


def test_fewer_where_each_names_a_thousand_and_more_again_afterwards() -> None:
    recent = Recent()
    for number in range(100):
        recent.append((f"{number}", decision(1000)))
    most = NAMED_MAX // 1000
    assert kept(recent) == [f"{number}" for number in range(100 - most, 100)]
    for number in range(RECENT_MAX):
        recent.append((f"small {number}", decision(2)))
    assert kept(recent) == [f"small {number}" for number in range(RECENT_MAX)]


def test_the_last_one_is_kept_however_many_it_names() -> None:
    recent = Recent()
    for number in range(3):
        recent.append((f"{number}", decision(NAMED_MAX + 1)))
    assert kept(recent) == ["2"]
    recent.append(("3", decision(0)))
    assert kept(recent) == ["3"]
