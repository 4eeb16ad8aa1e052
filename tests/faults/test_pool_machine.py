"""The pool and the policy against a small model of both, over every sequence of events that chance comes upon.

``make faults`` takes 50,000 steps and more (PROXY_POOL_STEPS); the suite takes fewer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from auth.book import PROBE_SECONDS_MAX
from auth.credential import Credential
from auth.pool import Lease, Pool
from auth.quota import Window
from auth.standing import ALL_MODELS, GUESS_SECONDS_MAX, READY, TRANSIENT_SECONDS_MAX, Setback
from proxy.dispatch.decision import Candidate
from proxy.dispatch.inquiry import Tie
from proxy.dispatch.policy import Ask, Strategy, commit, decide
from proxy.providers import anthropic, openai

STEPS = int(os.environ.get("PROXY_POOL_STEPS", "4000"))
STEPS_OF_ONE = 50
NAMES = ("a", "b", "c", "d")
CAPS = {"a": 0, "b": 2, "c": 0, "d": 1}
RESERVES = {"a": 0, "b": 0, "c": 25, "d": 0}
PRIORITIES = {"a": 1, "b": 1, "c": 1, "d": 0}
_ONE, _TWO = (replace(each, models=(), endpoints={}) for each in (anthropic.PROVIDER, openai.PROVIDER))
PROVIDERS = {"a": _ONE, "b": _ONE, "c": _TWO, "d": _TWO}
MODELS = ("m1", "m2")
STRATEGIES: tuple[Strategy, ...] = ("round-robin", "weighted-round-robin", "fill-first", "quota-aware")


def candidate(name: str, model: str) -> Candidate:
    provider = PROVIDERS[name]
    return Candidate(
        provider,
        Credential(
            id=name, provider=provider.name, label=name, priority=PRIORITIES[name], concurrency=CAPS[name],
            reserve_percent=RESERVES[name],
        ),
        model,
    )  # fmt: skip


CANDIDATES = {model: [candidate(name, model) for name in NAMES] for model in MODELS}


@dataclass
class Hold:
    """What the model knows to stand against a key: until when at least, None for ever."""

    until: float | None
    is_transient: bool
    since: int


class Machine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.pool = Pool()
        self.now = 100.0
        self.serial = 0
        self.leases: list[tuple[Lease, str]] = []
        self.holds: dict[tuple[str, str], Hold] = {}
        self.disabled: set[str] = set()
        self.reserved: dict[str, float] = {}

    # what the model says

    def holds_of(self, name: str, model: str) -> list[Hold]:
        return [self.holds[key] for key in ((name, model), (name, ALL_MODELS)) if key in self.holds]

    def is_held(self, name: str, model: str) -> bool:
        """Must not be lent, whatever else."""
        if name in self.disabled or self.now < self.reserved.get(name, 0.0):
            return True
        if CAPS[name] and sum(lease.key[0] == name for lease, _ in self.leases) >= CAPS[name]:
            return True
        return any(
            not hold.is_transient and (hold.until is None or self.now < hold.until)
            for hold in self.holds_of(name, model)
        )

    def is_free(self, name: str, model: str) -> bool:
        """Nothing at all stands against it, nor did lately."""
        return not (self.is_held(name, model) or self.holds_of(name, model))

    # what happens

    @rule(seconds=st.floats(0.01, 90.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), before=st.floats(0.01, 5.0))
    def a_cooldown_almost_ends(self, data: st.DataObject, before: float) -> None:
        hold = self.holds[data.draw(st.sampled_from(sorted(self.holds)))]
        self.now = max(self.now, (hold.until or 0.0) - before)

    @rule(model=st.sampled_from(MODELS), times=st.integers(2, 8))
    def many_ask(self, model: str, times: int) -> None:
        for _ in range(times):
            self.ask(model, "round-robin", None, set())

    @rule(
        model=st.sampled_from(MODELS),
        strategy=st.sampled_from(STRATEGIES),
        tie=st.sampled_from([None, *(Tie(name) for name in NAMES), Tie("a", is_hard=True), Tie("d", is_hard=True)]),
        tried=st.sets(st.sampled_from(NAMES), max_size=2),
    )
    def ask(self, model: str, strategy: Strategy, tie: Tie | None, tried: set[str]) -> None:
        keys = {(name, model) for name in tried}
        ask = Ask(group=model, strategy=strategy, tie=tie, tried=keys, is_first=not tried, wants_all=True)
        candidates = CANDIDATES[model]
        decision = decide(candidates, self.pool, ask, self.now)
        assert decide(candidates, self.pool, ask, self.now) == decision, "deciding changes nothing"
        allowed = [each for each in NAMES if tie is None or not tie.is_hard or each == tie.credential]
        named = [each.candidate.credential.id for each in decision.passed_over]
        chosen = decision.chosen
        everybody = sorted([*named, *([chosen.credential.id] if chosen else [])])
        assert everybody == sorted(allowed), "everybody has a reason or is chosen"
        if chosen is None:
            free = [name for name in allowed if name not in tried and self.is_free(name, model)]
            assert not free, f"nobody starves: {free}"
            return
        name = chosen.credential.id
        assert name in allowed
        assert name not in tried
        assert not self.is_held(name, model), f"{name} was lent while it must not be: {decision}"
        better = [
            each
            for each in allowed
            if each not in tried and PRIORITIES[each] > PRIORITIES[name] and self.is_free(each, model)
        ]
        assert all(self.is_crowded(each, model) for each in better), "lower only when no higher is ready"
        self.leases.append((commit(decision, candidates, self.pool, ask), PROVIDERS[name].name))
        self.serial = self.leases[-1][0].serial

    def is_crowded(self, name: str, model: str) -> bool:
        """Its provider is overloaded, or a window of its is full: it comes after the others."""
        return (
            self.pool.overload([PROVIDERS[name].name], model, self.now) is not READY
            or self.pool.quotas.beyond(name, model, self.now, 1.0) is not None
        )

    def take(self, data: st.DataObject) -> tuple[Lease, str]:
        return self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        seconds=st.one_of(st.none(), st.floats(0.5, 7200.0)),
        is_stated=st.booleans(),
        is_transient=st.booleans(),
        of_all=st.booleans(),
        chance=st.floats(0.0, 0.999),
    )
    def fail(self, data: st.DataObject, **what: Any) -> None:
        lease, _ = self.take(data)
        name, model = lease.key
        seconds, is_transient = what["seconds"], what["is_transient"] and what["seconds"] is not None
        scope = ALL_MODELS if what["of_all"] else model
        setback = Setback(model=scope, why="w", seconds=seconds, is_stated=what["is_stated"], is_transient=is_transient)
        book = self.pool._accounts  # what the operator has disabled is not what is asked here
        held = book.pages.get(name, {}).get(scope)  # of that scope alone: the worst of all may be another
        before = held.until if held is not None and held.until is not None else 0.0
        standing = self.pool.fail(lease, setback, self.now, what["chance"])
        self.pool.give_back(lease)
        if standing.until is not None:
            limit = TRANSIENT_SECONDS_MAX if is_transient else GUESS_SECONDS_MAX
            assert what["is_stated"] or standing.until - self.now <= max(limit, before - self.now) + 1e-6
        after = book.pages[name][scope].until
        assert after is None or after >= before - 1e-6 or before <= self.now, "never shortened"
        # A late failure of a wave whose cooldown is over changes nothing.
        until = self.now if standing.state == "ready" else standing.until
        self.holds[name, scope] = Hold(until, standing.is_transient, self.serial)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def overload(self, data: st.DataObject) -> None:
        lease, provider = self.take(data)
        setback = Setback(model=lease.key[1], why="overloaded", seconds=2.0, is_transient=True)
        self.pool.fail_shared(lease, provider, setback, self.now, 0.5)
        self.pool.give_back(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        lease, _ = self.take(data)
        self.pool.succeed(lease)
        self.pool.give_back(lease)
        for key in (lease.key, (lease.key[0], ALL_MODELS)):
            hold = self.holds.get(key)
            if hold is not None and hold.until is not None and lease.serial > hold.since:
                hold.until = min(hold.until, self.now)  # from now on a slow start
                if hold.is_transient:
                    del self.holds[key]

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), times=st.integers(1, 3))
    def go_away(self, data: st.DataObject, times: int) -> None:
        lease, _ = self.take(data)
        for _ in range(times):
            self.pool.give_back(lease)

    @rule(name=st.sampled_from(NAMES), used=st.floats(0.0, 1.3), seconds=st.floats(1.0, 3600.0))
    def read(self, name: str, used: float, seconds: float) -> None:
        most = 1 - RESERVES[name] / 100
        until = self.now + seconds
        window = Window(slot="5h", name="5-hour", read_at=self.now, source="s", used=used, resets_at=until)
        self.pool.read(name, [window], self.now, most=most)
        self.reserved.pop(name, None)
        if RESERVES[name] and used >= most:
            self.reserved[name] = until

    @rule(name=st.sampled_from(NAMES))
    def switch(self, name: str) -> None:
        if name in self.disabled:
            self.disabled.discard(name)
            self.pool.enable(name)
        else:
            self.disabled.add(name)
            self.pool.disable(name)

    @rule(name=st.sampled_from(NAMES))
    def operator_ends_it(self, name: str) -> None:
        self.pool.reset(name)
        for key in [key for key in self.holds if key[0] == name]:
            del self.holds[key]
        self.reserved.pop(name, None)

    @rule(gone=st.sampled_from(NAMES))
    def reload(self, gone: str) -> None:
        """An account goes, and comes again: nothing is known of it then but what is under way."""
        self.pool.retain(set(NAMES) - {gone})
        for key in [key for key in self.holds if key[0] == gone]:
            del self.holds[key]
        self.reserved.pop(gone, None)
        self.disabled.discard(gone)

    # what always holds

    @invariant()
    def counts_are_true(self) -> None:
        for name in NAMES:
            under_way = sum(lease.key[0] == name for lease, _ in self.leases)
            assert self.pool.in_flight(name) == under_way
            assert not CAPS[name] or under_way <= CAPS[name]

    @invariant()
    def nobody_is_held_for_ever_by_what_is_under_way(self) -> None:
        """At most the cooldowns and a probe's time stand in anybody's way."""
        for name in NAMES:
            for model in MODELS:
                untils = [hold.until for hold in self.holds_of(name, model)]
                if name in self.disabled or None in untils:
                    continue
                free_at = max([self.now, *(until for until in untils if until is not None)]) + PROBE_SECONDS_MAX + 0.001
                assert self.pool.standing((name, model), free_at) is READY

    @invariant()
    def probes_are_few(self) -> None:
        for _, record in self.pool.cooldowns():
            recent = [at for at in record.unproven.values() if self.now - at < PROBE_SECONDS_MAX]
            assert record.is_transient or len(recent) <= record.proven + 1


class FairMachine(RuleBasedStateMachine):
    """Requests come and go at any time, accounts too: of those that are ready all the while, none is ever more than one
    turn ahead of another.
    """

    @initialize(size=st.integers(2, 6))
    def begin(self, size: int) -> None:
        self.pool = Pool()
        self.everybody = [
            Candidate(anthropic.PROVIDER, Credential(id=f"a{n}", provider="anthropic", label=f"a{n}"), "m")
            for n in range(size)
        ]
        self.here = list(self.everybody)
        self.away: set[str] = set()
        self.served: dict[str, int] = {}
        self.leases: list[Lease] = []
        self.count_anew()

    def count_anew(self) -> None:
        self.served = {each.credential.id: 0 for each in self.here if each.credential.id not in self.away}

    @rule(times=st.integers(1, 9))
    def requests_come(self, times: int) -> None:
        ask = Ask(group="m")
        for _ in range(times):
            decision = decide(self.here, self.pool, ask, 0.0)
            if decision.chosen is None:
                assert not self.served
                return
            self.served[decision.chosen.credential.id] += 1
            self.leases.append(commit(decision, self.here, self.pool, ask))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def one_ends(self, data: st.DataObject) -> None:
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.pool.succeed(lease)
        self.pool.give_back(lease)

    @rule(data=st.data())
    def one_rests_or_returns(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([each.credential.id for each in self.everybody]))
        (self.pool.enable if name in self.away else self.pool.disable)(name)
        self.away ^= {name}
        self.count_anew()

    @rule(data=st.data())
    def a_reload(self, data: st.DataObject) -> None:
        kept = data.draw(st.sets(st.sampled_from(range(len(self.everybody))), min_size=1))
        self.here = [each for number, each in enumerate(self.everybody) if number in kept]
        self.pool.retain({each.credential.id for each in self.here})
        self.away &= {each.credential.id for each in self.here}
        self.count_anew()

    @invariant()
    def it_is_fair_within_one(self) -> None:
        assert not self.served or max(self.served.values()) - min(self.served.values()) <= 1


_SETTINGS = settings(
    max_examples=max(1, STEPS // STEPS_OF_ONE),
    stateful_step_count=STEPS_OF_ONE,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestMachine = Machine.TestCase
TestMachine.settings = _SETTINGS
TestFairMachine = FairMachine.TestCase
TestFairMachine.settings = _SETTINGS
