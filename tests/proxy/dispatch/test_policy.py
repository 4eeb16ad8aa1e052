from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from auth.book import PROVEN_MIN, Record
from auth.credential import Credential
from auth.pool import Pool
from auth.quota import DAY, HOUR, Window, window_name
from auth.standing import ALL_MODELS, Setback
from proxy.dispatch.decision import Candidate, Decision
from proxy.dispatch.inquiry import Tie
from proxy.dispatch.policy import Ask, Strategy, commit, decide
from proxy.providers import anthropic, openai
from proxy.providers.base import Provider


def candidate(name: str, model: str = "m", provider: Provider = anthropic.PROVIDER, **fields: Any) -> Candidate:
    siblings = fields.pop("siblings", 1)
    return Candidate(provider, Credential(id=name, provider=provider.name, label=name, **fields), model, siblings)


def ask(strategy: Strategy = "round-robin", **fields: Any) -> Ask:
    return Ask(group="m", strategy=strategy, **fields)


def serve(candidates: Sequence[Candidate], pool: Pool, asked: Ask, now: float = 0.0) -> str:
    decision = decide(candidates, pool, asked, now)
    commit(decision, candidates, pool, asked)
    assert decision.chosen is not None
    return decision.chosen.credential.id


def bench(pool: Pool, name: str, seconds: float | None = 60.0, *, is_transient: bool = False) -> None:
    lease = pool.lend((name, "m"), 0.0)
    setback = Setback(model=ALL_MODELS, why="why", seconds=seconds, is_stated=True, is_transient=is_transient)
    pool.fail(lease, setback, 0.0)
    pool.give_back(lease)


def names(decision: Decision) -> list[tuple[str, str]]:
    return [(each.candidate.credential.id, each.why) for each in decision.passed_over]


ABC = [candidate("a"), candidate("b"), candidate("c")]


def test_deciding_changes_nothing() -> None:
    pool = Pool()
    assert [decide(ABC, pool, ask(), 0.0).chosen for _ in range(3)] == [ABC[0]] * 3


def test_three_hundred_requests_over_three_accounts_are_a_hundred_each() -> None:
    pool = Pool()
    assert Counter(serve(ABC, pool, ask()) for _ in range(300)) == {"a": 100, "b": 100, "c": 100}


def test_it_stays_fair_while_an_account_is_away() -> None:
    pool = Pool()
    served = Counter(serve(ABC, pool, ask()) for _ in range(90))
    bench(pool, "b", 10.0)
    away = Counter(serve(ABC, pool, ask(), 1.0) for _ in range(90))
    for _ in range(PROVEN_MIN):
        pool.succeed(pool.lend(("b", "m"), 100.0))
    back = Counter(serve(ABC, pool, ask(), 100.0) for _ in range(90))
    assert served == {"a": 30, "b": 30, "c": 30}
    assert away == {"a": 45, "c": 45}
    assert max(back.values()) - min(back.values()) <= 2


def test_models_take_turns_of_their_own() -> None:
    pool = Pool()
    assert [serve(ABC, pool, Ask(group="one")), serve(ABC, pool, Ask(group="two"))] == ["a", "a"]


def test_an_alias_of_several_models_takes_one_accounts_share() -> None:
    """Two upstream models behind one name with one key: the key next to it still gets half."""
    pool = Pool()
    pooled = [candidate("a", "m1", siblings=2), candidate("a", "m2", siblings=2), candidate("b", "m1")]
    served: Counter[tuple[str, str]] = Counter()
    for _ in range(80):
        decision = decide(pooled, pool, ask(), 0.0)
        commit(decision, pooled, pool, ask())
        assert decision.chosen is not None
        served[decision.chosen.key] += 1
    assert served == {("a", "m1"): 20, ("a", "m2"): 20, ("b", "m1"): 40}


def test_weights() -> None:
    weighted = [candidate("a", weight=3), candidate("b", weight=1)]
    pool = Pool()
    assert Counter(serve(weighted, pool, ask("weighted-round-robin")) for _ in range(400)) == {"a": 300, "b": 100}
    assert Counter(serve(weighted, Pool(), ask()) for _ in range(4)) == {"a": 4}  # each pool is fresh
    pool = Pool()
    assert Counter(serve(weighted, pool, ask()) for _ in range(400)) == {"a": 200, "b": 200}


def test_fill_first_stays_with_the_first_that_is_ready() -> None:
    pool = Pool()
    assert {serve(ABC, pool, ask("fill-first")) for _ in range(10)} == {"a"}
    bench(pool, "a")
    assert {serve(ABC, pool, ask("fill-first"), 1.0) for _ in range(10)} == {"b"}


def test_lower_priority_serves_only_when_no_higher_is_ready() -> None:
    tiers = [candidate("high-1", priority=5), candidate("high-2", priority=5), candidate("low")]
    pool = Pool()
    assert {serve(tiers, pool, ask()) for _ in range(10)} == {"high-1", "high-2"}
    bench(pool, "high-1")
    bench(pool, "high-2")
    assert serve(tiers, pool, ask(), 1.0) == "low"


@pytest.mark.parametrize("strategy", ["round-robin", "weighted-round-robin", "fill-first", "quota-aware"])
def test_no_policy_lends_what_cools(strategy: Strategy) -> None:
    pool = Pool()
    bench(pool, "a")
    bench(pool, "c")
    assert {serve(ABC, pool, ask(strategy), 1.0) for _ in range(6)} == {"b"}


def test_nobody_ready_names_everybody_and_when_the_first_returns() -> None:
    pool = Pool()
    for name, seconds in (("a", 60.0), ("b", 30.0), ("c", None)):
        bench(pool, name, seconds)
    decision = decide(ABC, pool, ask(), 1.0)
    assert decision.chosen is None
    assert names(decision) == [("a", "cooling: why"), ("b", "cooling: why"), ("c", "broken: why")]
    assert decision.returns_at == 30.0


def test_what_was_tried_is_not_tried_again() -> None:
    decision = decide(ABC, Pool(), ask(tried={("a", "m"), ("b", "m")}, is_first=False), 0.0)
    assert decision.chosen is ABC[2]
    assert names(decision) == [("a", "tried in this request"), ("b", "tried in this request")]


def test_the_last_candidate_is_never_benched_for_a_transient_fault() -> None:
    alone = [candidate("a")]
    pool = Pool()
    bench(pool, "a", is_transient=True)
    assert decide(alone, pool, ask(), 1.0).chosen is alone[0]
    assert decide(alone, pool, ask(is_first=False), 1.0).chosen is None


def test_neither_is_the_last_that_limits_have_left() -> None:
    pool = Pool()
    bench(pool, "a", 3600.0)
    bench(pool, "b", is_transient=True)
    decision = decide(ABC[:2], pool, ask(), 1.0)
    assert (decision.chosen, decision.rule) == (ABC[1], "last-resort")


def test_but_for_a_limit_it_is() -> None:
    pool = Pool()
    bench(pool, "a")
    assert decide([candidate("a")], pool, ask(), 1.0).chosen is None


def test_at_most_half_of_a_pool_is_benched_for_transient_faults() -> None:
    many = [candidate(name) for name in "abcdef"]
    pool = Pool()
    for name, seconds in zip("abcde", (50.0, 40.0, 30.0, 20.0, 10.0), strict=True):
        bench(pool, name, seconds, is_transient=True)
    assert {serve(many, pool, ask(), 1.0) for _ in range(12)} == {"f", "e", "d"}
    assert {serve(many, pool, ask(is_first=False), 1.0) for _ in range(12)} == {"f"}


def test_an_overloaded_provider_comes_after_the_others_but_before_nobody() -> None:
    both = [candidate("a", priority=9), candidate("b", provider=openai.PROVIDER)]
    pool = Pool()
    setback = Setback(model="m", why="overloaded", seconds=10.0, is_transient=True)
    pool.fail_shared(pool.lend(("a", "m"), 0.0), "anthropic", setback, 0.0, 0.9)
    assert serve(both, pool, ask(), 1.0) == "b"
    assert serve(both[:1], pool, ask(is_first=False), 1.0) == "a"


def test_a_probing_account_is_left_alone_meanwhile() -> None:
    pool = Pool()
    bench(pool, "a", 10.0)
    first = decide(ABC[:1], pool, ask(), 20.0)
    commit(first, ABC[:1], pool, ask())
    second = decide(ABC[:1], pool, ask(), 20.0)
    assert second.chosen is None
    assert names(second) == [("a", "probing: why")]


def test_explaining_names_the_ready_ones_too() -> None:
    tiers = [candidate("a", priority=1), candidate("b", priority=1), candidate("c")]
    decision = decide(tiers, Pool(), ask(wants_all=True), 0.0)
    assert names(decision) == [("b", "ready: not its turn"), ("c", "ready: of lower priority")]


class TestTies:
    def test_a_soft_one_is_kept_while_its_account_is_ready(self) -> None:
        pool = Pool()
        tied = ask(tie=Tie("b"))
        assert [serve(ABC, pool, tied) for _ in range(3)] == ["b", "b", "b"]
        assert decide(ABC, pool, tied, 0.0).rule == "affinity"
        bench(pool, "b")
        assert serve(ABC, pool, tied, 1.0) in {"a", "c"}

    def test_a_soft_one_does_not_outrank_priority(self) -> None:
        ranked = [candidate("high", priority=1), candidate("low")]
        assert serve(ranked, Pool(), ask(tie=Tie("low"))) == "high"

    def test_a_hard_one_leaves_no_choice(self) -> None:
        pool = Pool()
        ranked = [candidate("high", priority=1), candidate("low")]
        tied = ask(tie=Tie("low", is_hard=True))
        assert serve(ranked, pool, tied) == "low"
        assert decide(ranked, pool, tied, 0.0).rule == "bound"
        bench(pool, "low")
        nobody = decide(ranked, pool, tied, 1.0)
        assert nobody.chosen is None
        assert [name for name, _ in names(nobody)] == ["low"]


# Limits of their own


def test_who_has_all_it_may_is_passed_over_until_one_comes_back() -> None:
    both = [candidate("a", concurrency=2), candidate("b", concurrency=1)]
    pool = Pool()
    leases = [commit(decide(both, pool, ask(), 0.0), both, pool, ask()) for _ in range(3)]
    decision = decide(both, pool, ask(), 0.0)
    assert (decision.chosen, decision.is_busy, decision.returns_at) == (None, True, None)
    assert names(decision) == [
        ("a", "busy: 2 of 2 requests are under way"),
        ("b", "busy: 1 of 1 requests are under way"),
    ]
    pool.give_back(leases[1])
    assert decide(both, pool, ask(), 0.0).chosen is both[1]


def window(used: float, *, slot: str = "5h", resets_at: float = 3600.0, **fields: Any) -> Window:
    name = window_name(fields.setdefault("seconds", 5 * HOUR))
    return Window(slot=slot, name=name, read_at=0.0, source=slot, used=used, resets_at=resets_at, **fields)


def test_a_full_window_comes_after_the_others_but_before_nobody() -> None:
    """Told on a 200: the provider goes on, for money."""
    both = [candidate("a", priority=9), candidate("b")]
    pool = Pool()
    pool.read("a", [window(0.4, is_rejected=True)], 0.0)
    assert {serve(both, pool, ask()) for _ in range(4)} == {"b"}
    assert names(decide(both, pool, ask(), 0.0)) == [("a", "spent: its 5-hour window is full")]
    assert serve(both[:1], pool, ask(is_first=False)) == "a"
    assert serve(both, pool, ask(), 3600.0) == "a"


def test_the_owners_reserve_is_left_alone() -> None:
    kept = candidate("a", reserve_percent=20)
    pool = Pool()
    pool.read("a", [window(0.79)], 0.0, most=0.8)
    assert decide([kept], pool, ask(), 0.0).chosen is kept
    pool.read("a", [window(0.8)], 0.0, most=0.8)
    decision = decide([kept], pool, ask(), 0.0)
    assert (decision.chosen, decision.returns_at) == (None, 3600.0)
    assert names(decision) == [("a", "reserved: 20 % of its 5-hour window are kept for its owner")]
    assert decide([kept], pool, ask(), 3600.0).chosen is kept


def test_a_window_of_other_models_is_no_obstacle() -> None:
    pool = Pool()
    pool.read("a", [window(1.0, models="*opus*")], 0.0)
    assert decide(ABC[:1], pool, ask(), 0.0).passed_over == ()


# What is known by hearsay


def remembered(until: float | None) -> Pool:
    pool = Pool()
    pool.remember([(("a", ALL_MODELS), Record(until=until, why="the weekly window is full"))])
    return pool


@pytest.mark.parametrize("until", [4 * DAY, None])
def test_before_a_client_is_turned_away_a_memory_is_tried(until: float | None) -> None:
    pool = remembered(until)
    assert serve(ABC[:2], pool, ask()) == "b"
    decision = decide(ABC[:1], pool, ask(), 0.0)
    assert (decision.chosen, decision.rule) == (ABC[0], "last-resort")
    lease = commit(decision, ABC[:1], pool, ask())
    pool.fail(lease, Setback(model=ALL_MODELS, why="still full", seconds=3 * DAY, is_stated=True), 1.0)
    assert decide(ABC[:1], pool, ask(), 2.0).chosen is None


def test_a_transient_fault_is_tried_before_a_memory() -> None:
    pool = remembered(5.0)
    bench(pool, "b", 30.0, is_transient=True)
    assert serve(ABC[:2], pool, ask(), 1.0) == "b"


# quota-aware


def test_what_expires_first_is_spent_first() -> None:
    pool = Pool()
    pool.read("a", [window(0.2, slot="7d", seconds=7 * DAY, resets_at=6 * DAY)], 0.0)
    pool.read("b", [window(0.2, slot="7d", seconds=7 * DAY, resets_at=1 * DAY)], 0.0)
    decision = decide(ABC, pool, ask("quota-aware", wants_all=True), 0.0)
    assert (decision.chosen, decision.rule) == (ABC[1], "quota-aware")
    assert names(decision) == [
        ("a", "ready: scores 0.91, the chosen 1.49"),
        ("c", "ready: scores 0.50, the chosen 1.49"),
    ]


def test_equals_take_turns() -> None:
    pool = Pool()
    counts: Counter[str] = Counter()
    for _ in range(90):
        decision = decide(ABC, pool, ask("quota-aware"), 0.0)
        pool.give_back(commit(decision, ABC, pool, ask("quota-aware")))
        assert decision.chosen is not None
        counts[decision.chosen.credential.id] += 1
    assert counts == {"a": 30, "b": 30, "c": 30}


def test_a_burst_is_spread_although_readings_come_late() -> None:
    pool = Pool()
    for name, used in (("a", 0.1), ("b", 0.3), ("c", 0.6)):
        pool.read(name, [window(used, resets_at=5 * HOUR)], 0.0)
    counts = Counter(serve(ABC, pool, ask("quota-aware")) for _ in range(30))
    assert counts["a"] > counts["b"] > counts["c"] > 0


# Ties name the model, too


def test_a_tie_may_name_one_of_an_aliass_models() -> None:
    pooled = [candidate("a", "m1", siblings=2), candidate("a", "m2", siblings=2)]
    decision = decide(pooled, Pool(), ask(tie=Tie("a", model="m2")), 0.0)
    assert (decision.chosen, decision.rule) == (pooled[1], "affinity")


def test_a_last_resort_keeps_to_its_limit() -> None:
    alone = [candidate("a", concurrency=1)]
    pool = Pool()
    bench(pool, "a", 30.0, is_transient=True)
    assert not pool.is_calm
    lease = commit(decide(alone, pool, ask(), 1.0), alone, pool, ask())
    assert names(decide(alone, pool, ask(), 1.0)) == [("a", "busy: 1 of 1 requests are under way")]
    pool.give_back(lease)
    assert decide(alone, pool, ask(), 1.0).chosen is alone[0]


def test_who_is_passed_over_only_because_it_is_not_his_turn_is_named_on_demand_alone() -> None:
    assert decide(ABC, Pool(), Ask(group="m"), 0.0).passed_over == ()
    assert len(decide(ABC, Pool(), Ask(group="m", wants_all=True), 0.0).passed_over) == 2


def test_a_readmitted_one_keeps_its_priority() -> None:
    ranked = [candidate("a", priority=2), candidate("b", priority=2), candidate("low")]
    pool = Pool()
    bench(pool, "a", 30.0, is_transient=True)
    bench(pool, "b", 60.0, is_transient=True)
    assert [serve(ranked, pool, ask(), 1.0) for _ in range(2)] == ["a", "a"]


def test_weights_count_from_one_and_only_where_they_are_asked_for() -> None:
    both = [candidate("a", weight=1), candidate("b", weight=2), candidate("c", weight=0)]
    pool = Pool()
    assert Counter(serve(both[:2], pool, ask("weighted-round-robin")) for _ in range(300)) == {"a": 100, "b": 200}
    pool = Pool()
    assert Counter(serve(both, pool, ask()) for _ in range(300)) == {"a": 100, "b": 100, "c": 100}


def test_of_an_overloaded_provider_each_candidate_is_named_with_the_reason() -> None:
    pool = Pool()
    lease = pool.lend(ABC[0].key, 0.0, shared=ABC[0].shared)
    setback = Setback(model=ALL_MODELS, why="overloaded", seconds=9.0, is_stated=True, is_transient=True)
    pool.fail_shared(lease, ABC[0].shared[0], setback, 0.0)
    decision = decide(ABC, pool, ask(), 1.0)
    assert decision.chosen is ABC[0]
    assert names(decision) == [("b", "cooling: overloaded"), ("c", "cooling: overloaded")]


def test_a_reserve_of_one_window_is_not_taken_for_that_of_another() -> None:
    kept = candidate("a", reserve_percent=20)
    pool = Pool()
    pool.read("a", [window(0.9, slot="7d_opus", models="*opus*"), window(0.5)], 0.0, most=0.8)
    assert decide([kept], pool, ask(), 0.0).chosen is kept


def test_full_and_reserved_windows_are_quota() -> None:
    both = [candidate("spent"), candidate("reserved", reserve_percent=20), candidate("c")]
    pool = Pool()
    for name, most in (("spent", 1.0), ("reserved", 0.8)):
        pool.read(name, [window(1.0)], 0.0, most=most)
    assert [(each.is_quota, each.is_busy) for each in decide(both, pool, ask(), 0.0).passed_over] == [(True, False)] * 2


def test_of_memories_the_one_that_ends_first_is_tried_first() -> None:
    pool = Pool()
    for name, until in (("a", None), ("b", 90.0), ("c", 50.0)):
        pool.remember([((name, ALL_MODELS), Record(until=until, why="full"))])
    assert decide(ABC, pool, ask(), 1.0).chosen is ABC[2]
    assert decide(ABC[:2], pool, ask(), 1.0).chosen is ABC[1]


def test_the_owners_reserve_is_no_headroom() -> None:
    both = [candidate("a", reserve_percent=40), candidate("b")]
    pool = Pool()
    for name, most in (("a", 0.6), ("b", 1.0)):
        pool.read(name, [window(0.3)], 0.0, most=most)
    decision = decide(both, pool, ask("quota-aware", wants_all=True), 0.0)
    assert decision.chosen is both[1]
    assert names(decision) == [("a", "ready: scores 0.54, the chosen 1.26")]


def test_of_equals_the_one_that_served_of_late_is_warm() -> None:
    pool = Pool()
    for name in "abc":
        pool.read(name, [window(0.2, resets_at=20_000.0)], 9_000.0)
    lease = pool.lend(ABC[1].key, 9_900.0)
    pool.succeed(lease)
    pool.give_back(lease)
    assert decide(ABC, pool, ask("quota-aware"), 10_000.0).chosen is ABC[1]
