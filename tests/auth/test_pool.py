from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from auth.book import MODELS_MAX, PROBE_SECONDS_MAX, PROVEN_MIN, RECOVERY_SECONDS_MAX, Record
from auth.memory import render, restore
from auth.pool import DOUBTFUL_MAX, Lease, Pool
from auth.quota import Window
from auth.standing import (
    ALL_MODELS,
    GUESS_SECONDS_MAX,
    READY,
    STATED_SECONDS_MAX,
    TRANSIENT_SECONDS_MAX,
    UNNAMED,
    Setback,
    cooldown_seconds,
)

KEY = ("account-1", "model-a")
OTHER_MODEL = ("account-1", "model-b")


def limited(seconds: float = 60.0, model: str = "model-a") -> Setback:
    return Setback(model=model, why="limited", seconds=seconds, is_stated=True)


def guessed(seconds: float = 1.0, model: str = "model-a") -> Setback:
    return Setback(model=model, why="limited", seconds=seconds)


def fault(seconds: float = 1.0) -> Setback:
    return Setback(model="model-a", why="fault", seconds=seconds, is_transient=True)


def test_a_fresh_credential_is_ready() -> None:
    assert Pool().standing(KEY, 0.0) is READY


def test_stated_limit_cools_the_model_until_then_and_no_longer() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(60.0), 5.0)
    assert pool.standing(KEY, 64.9).state == "cooling"
    assert pool.standing(KEY, 64.9).until == 65.0
    assert pool.standing(OTHER_MODEL, 6.0) is READY
    assert pool.standing(KEY, 65.0) is READY


def test_a_setback_of_the_whole_credential_holds_for_each_model() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(60.0, ALL_MODELS), 0.0)
    assert pool.standing(OTHER_MODEL, 1.0).state == "cooling"


def test_the_worse_of_model_and_credential_counts() -> None:
    pool = Pool()
    lease = pool.lend(KEY, 0.0)
    pool.fail(lease, limited(10.0), 0.0)
    pool.fail(lease, limited(60.0, ALL_MODELS), 0.0)
    assert pool.standing(KEY, 1.0).until == 60.0


def test_after_the_cooldown_one_request_probes() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(10.0), 0.0)
    probe = pool.lend(KEY, 10.0)
    assert pool.standing(KEY, 10.0).state == "probing"
    pool.succeed(probe)
    assert pool.standing(KEY, 10.0) is READY


def test_a_probe_that_is_given_back_unfinished_leaves_room_for_the_next() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(10.0), 0.0)
    pool.give_back(pool.lend(KEY, 10.0))
    assert pool.standing(KEY, 10.0) is READY


def test_a_probe_that_hangs_does_not_block_for_ever() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(10.0), 0.0)
    pool.lend(KEY, 10.0)
    assert pool.standing(KEY, 10.0 + PROBE_SECONDS_MAX) is READY


def test_guesses_double_with_each_failed_probe_up_to_the_limit() -> None:
    pool = Pool()
    now, waits = 0.0, []
    for _ in range(14):
        until = pool.fail(pool.lend(KEY, now), guessed(1.0), now, chance=1.0).until
        assert until is not None
        waits.append(until - now)
        now = until
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == GUESS_SECONDS_MAX


def test_transient_faults_are_short() -> None:
    pool = Pool()
    now = 0.0
    for _ in range(14):
        until = pool.fail(pool.lend(KEY, now), fault(1.0), now, chance=1.0).until
        assert until is not None
        assert until - now <= TRANSIENT_SECONDS_MAX
        now = until


def test_twelve_simultaneous_failures_are_one_step() -> None:
    pool = Pool()
    leases = [pool.lend(KEY, 0.0) for _ in range(12)]
    untils = {pool.fail(lease, guessed(1.0), 0.0, chance=1.0).until for lease in leases}
    assert untils == {1.0}


def test_late_failures_of_the_same_wave_do_not_grow_it() -> None:
    pool = Pool()
    first, late = pool.lend(KEY, 0.0), pool.lend(KEY, 0.0)
    pool.fail(first, guessed(1.0), 0.0, chance=1.0)
    assert pool.fail(late, guessed(1.0), 0.9, chance=1.0).until == 1.0


def test_the_upstreams_word_may_prolong_within_a_wave() -> None:
    pool = Pool()
    first, late = pool.lend(KEY, 0.0), pool.lend(KEY, 0.0)
    pool.fail(first, guessed(1.0), 0.0)
    assert pool.fail(late, limited(30.0), 1.0).until == 31.0


def test_a_cooldown_is_never_shortened() -> None:
    pool = Pool()
    first, second = pool.lend(KEY, 0.0), pool.lend(KEY, 0.0)
    pool.fail(first, limited(100.0), 0.0)
    assert pool.fail(second, limited(5.0), 1.0).until == 100.0


def test_an_old_success_does_not_end_a_newer_cooldown() -> None:
    pool = Pool()
    slow = pool.lend(KEY, 0.0)
    pool.fail(pool.lend(KEY, 1.0), limited(60.0), 2.0)
    pool.succeed(slow)
    assert pool.standing(KEY, 3.0).state == "cooling"


def test_a_success_during_the_cooldown_ends_it() -> None:
    """The last candidate may be tried while it cools; when it serves, the hypothesis was wrong."""
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), fault(30.0), 0.0)
    pool.succeed(pool.lend(KEY, 1.0))
    assert pool.standing(KEY, 1.0) is READY


def test_growth_is_forgotten_after_a_quiet_time() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), guessed(1.0), 0.0, chance=1.0)
    later = 1.0 + GUESS_SECONDS_MAX + 1
    until = pool.fail(pool.lend(KEY, later), guessed(1.0), later, chance=1.0).until
    assert until == later + 1.0


def test_absurd_times_are_bounded() -> None:
    pool = Pool()
    until = pool.fail(pool.lend(KEY, 0.0), limited(1e9), 0.0).until
    assert until == STATED_SECONDS_MAX


@pytest.mark.parametrize(("seconds", "most"), [(60.0, 63.0), (600.0, 630.0), (18_000.0, 18_030.0)])
def test_stated_times_get_a_little_jitter(seconds: float, most: float) -> None:
    pool = Pool()
    until = pool.fail(pool.lend(KEY, 0.0), limited(seconds), 0.0, chance=0.999).until
    assert until is not None
    assert seconds < until <= most


def test_what_is_told_in_seconds_is_obeyed_to_the_second() -> None:
    pool = Pool()
    assert pool.fail(pool.lend(KEY, 0.0), limited(7.0), 0.0, chance=0.999).until == 7.0


def test_broken_stays_until_somebody_acts() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), Setback(model=ALL_MODELS, why="revoked", seconds=None), 0.0)
    assert pool.standing(KEY, 1e9).state == "broken"
    pool.succeed(pool.lend(KEY, 1.0))
    pool.fail(pool.lend(KEY, 1.0), limited(1.0, ALL_MODELS), 1.0)
    assert pool.standing(KEY, 1e9).state == "broken"
    pool.reset("account-1")
    assert pool.standing(KEY, 1e9) is READY


def test_the_operator_disables_and_enables() -> None:
    pool = Pool()
    pool.disable("account-1")
    assert pool.standing(KEY, 0.0).state == "disabled"
    assert [(key, each.state) for key, each in pool.standings(0.0)] == [(("account-1", ALL_MODELS), "disabled")]
    pool.enable("account-1")
    assert pool.standing(KEY, 0.0) is READY


def test_an_overloaded_provider_benches_no_account() -> None:
    pool = Pool()
    lease = pool.lend(KEY, 0.0)
    pool.fail_shared(lease, "vendor", fault(2.0), 0.0, chance=1.0)
    assert pool.standing(KEY, 0.5) is READY
    assert pool.overload(["other", "vendor"], "model-a", 0.5).state == "cooling"
    probe = pool.lend(KEY, 3.0, shared=("vendor",))
    assert pool.overload(["vendor"], "model-a", 3.0).state == "probing"
    pool.succeed(probe)
    assert pool.overload(["vendor"], "model-a", 3.0) is READY


def test_a_reload_keeps_the_state_of_those_who_stay() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(60.0), 0.0)
    pool.fail(pool.lend(("gone", "m"), 0.0), limited(60.0, "m"), 0.0)
    pool.retain({"account-1"})
    assert pool.standing(KEY, 1.0).state == "cooling"
    assert pool.standing(("gone", "m"), 1.0) is READY


def test_giving_back_twice_counts_once() -> None:
    pool = Pool()
    one, two = pool.lend(KEY, 0.0), pool.lend(OTHER_MODEL, 0.0)
    assert pool.in_flight("account-1") == 2
    pool.give_back(one)
    pool.give_back(one)
    assert pool.in_flight("account-1") == 1
    pool.give_back(two)
    assert pool.in_flight("account-1") == 0


def test_doubt_is_a_fault_since_it_last_served() -> None:
    pool = Pool()
    limited = Setback(model="m", why="limited", seconds=2.0, is_stated=True)
    failed = Setback(model="m", why="failed", seconds=1.0, is_transient=True)
    overloaded = Setback(model="m", why="overloaded", seconds=1.0, is_transient=True)

    def lend(name: str, model: str = "m") -> Lease:
        return pool.lend((name, model), 0.0, shared=("provider", "address"))

    pool.fail(lend("limited"), limited, 0.0)
    pool.fail(lend("failed"), failed, 0.0)
    pool.fail_shared(lend("overloaded"), "provider", overloaded, 0.0)
    names = ("limited", "failed", "overloaded", "other")
    assert [name for name in names if pool.is_doubtful((name, "m"), "address", 99.0)] == ["failed", "overloaded"]
    assert not pool.is_doubtful(("failed", "another model"), "address", 99.0)
    pool.succeed(lend("failed", "another model"))
    assert pool.is_doubtful(("failed", "m"), "address", 99.0)
    pool.succeed(lend("failed"))
    assert not pool.is_doubtful(("failed", "m"), "address", 99.0)
    pool.reset("overloaded")
    assert not pool.is_doubtful(("overloaded", "m"), "address", 99.0)


def test_a_refused_key_stays_so_whatever_shorter_limit_comes_and_over_a_restart() -> None:
    pool = Pool()
    refused = Setback(model=ALL_MODELS, why="refused", seconds=600.0, is_refused=True)
    pool.fail(pool.lend(KEY, 0.0), refused, 0.0)
    burst = Setback(model=ALL_MODELS, why="limited", seconds=5.0, is_stated=True)
    pool.fail(pool.lend(KEY, 0.0), burst, 0.0)
    assert pool.standing(KEY, 1.0).is_refused
    after = Pool()
    restore(after, render(pool, 1.0, 1000.0), 1.0, 1000.0)
    assert after.standing(KEY, 1.0).is_refused


def test_who_is_refused_is_so_from_the_second_time_until_it_serves() -> None:
    pool = Pool()
    refused = Setback(model=ALL_MODELS, why="its key was refused", seconds=60.0, is_refused=True)
    for lease in [pool.lend(KEY, 0.0), pool.lend(KEY, 0.0)]:
        pool.fail(lease, refused, 1.0)
    assert pool.refused() == set(), "one wave, which may be a fault of the provider's"
    pool.fail(pool.lend(KEY, 100.0), refused, 100.0)
    assert pool.refused() == {"account-1"}
    assert pool.standing(KEY, 5000.0) is READY, "it may be asked, and is not believed"
    pool.fail(pool.lend(KEY, 5000.0), refused, 5000.0)
    assert pool.refused() == {"account-1"}, "however long nobody has asked it"
    pool.succeed(pool.lend(KEY, 6000.0))
    assert pool.refused() == set()
    pool.fail(pool.lend(OTHER_MODEL, 6001.0), guessed(model=ALL_MODELS), 6001.0)
    pool.fail(pool.lend(OTHER_MODEL, 6100.0), guessed(model=ALL_MODELS), 6100.0)
    assert pool.refused() == set()


def test_nobody_at_an_address_out_of_reach_is_beyond_doubt() -> None:
    pool = Pool()
    unreachable = Setback(model=ALL_MODELS, why="unreachable", seconds=1.0, is_transient=True)
    pool.fail_shared(pool.lend(("one", "m"), 0.0, shared=("there",)), "there", unreachable, 0.0)
    assert pool.is_doubtful(("two", "m"), "there", 0.1)
    assert not pool.is_doubtful(("two", "m"), "here", 0.1)
    assert not pool.is_doubtful(("two", "m"), "there", 9.0)
    assert pool.is_doubtful(("one", "m"), "there", 9.0)


def test_doubts_are_bounded_and_end_with_the_account() -> None:
    pool = Pool()
    failed = Setback(model="m", why="failed", seconds=1.0, is_transient=True)
    for number in range(DOUBTFUL_MAX + 1):
        lease = pool.lend(("one", f"m{number}"), 0.0)
        pool.fail(lease, failed, 0.0)
        pool.give_back(lease)
    assert not pool.is_doubtful(("one", "m0"), "there", 0.0)
    assert pool.is_doubtful(("one", "m1"), "there", 0.0)
    pool.retain({"one"})
    assert pool.is_doubtful(("one", "m1"), "there", 0.0)
    pool.retain(set())
    assert not pool.is_doubtful(("one", "m1"), "there", 0.0)


def test_what_is_held_against_one_credential_is_bounded() -> None:
    pool = Pool()
    for number in range(MODELS_MAX + 50):
        pool.fail(pool.lend(("a", f"m-{number}"), 0.0), limited(1e6, f"m-{number}"), float(number))
    assert len(list(pool.standings(300.0))) == MODELS_MAX
    assert pool.standing(("a", "m-0"), 300.0) is READY
    assert pool.standing(("a", f"m-{MODELS_MAX + 49}"), 300.0).state == "cooling"


def test_a_pool_without_trouble_is_calm_again() -> None:
    pool = Pool()
    assert pool.is_calm
    pool.fail(pool.lend(KEY, 0.0), limited(1.0), 0.0)
    pool.fail_shared(pool.lend(KEY, 0.0), "vendor", fault(), 0.0)
    assert not pool.is_calm
    assert not pool.is_clear("account-1", [])
    assert not pool.is_clear("other", ["an address", "vendor"])
    assert pool.is_clear("other", ["other"])
    for _ in range(PROVEN_MIN):
        pool.succeed(pool.lend(KEY, 2.0, shared=("vendor",)))
    assert pool.is_calm


# The way back is a slow start


def under_way(pool: Pool, now: float) -> int:
    """So many can be lent at once."""
    count = 0
    while pool.standing(KEY, now) is READY and count < 100:
        pool.lend(KEY, now)
        count += 1
    return count


def test_after_a_limit_one_then_two_then_four_at_once() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(10.0), 0.0)
    rounds = []
    for _ in range(7):
        leases = []
        while pool.standing(KEY, 10.0) is READY and len(leases) < 100:
            leases.append(pool.lend(KEY, 10.0))
        rounds.append(len(leases))
        for lease in leases:
            pool.succeed(lease)
            pool.give_back(lease)
    assert rounds == [1, 2, 4, 8, 16, 32, 64]
    assert under_way(pool, 10.0) == 100


def test_a_failure_on_the_way_back_begins_anew() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(10.0), 0.0)
    for _ in range(3):
        pool.succeed(pool.lend(KEY, 10.0))
    pool.fail(pool.lend(KEY, 10.0), limited(10.0), 10.0)
    assert pool.standing(KEY, 11.0).state == "cooling"
    assert under_way(pool, 20.0) == 1


def test_a_success_forgets_the_growth() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), guessed(1.0), 0.0, chance=1.0)
    pool.fail(pool.lend(KEY, 1.0), guessed(1.0), 1.0, chance=1.0)
    pool.succeed(pool.lend(KEY, 3.0))
    assert pool.fail(pool.lend(KEY, 3.0), guessed(1.0), 3.0, chance=1.0).until == 4.0


def test_the_way_back_ends_by_itself() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(10.0), 0.0)
    pool.succeed(pool.lend(KEY, 10.0))
    pool.lend(KEY, 10.0 + RECOVERY_SECONDS_MAX)
    assert pool.is_calm


def test_after_a_transient_fault_one_success_is_enough() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), fault(1.0), 0.0)
    pool.succeed(pool.lend(KEY, 2.0))
    assert pool.is_calm


def test_five_hundred_who_wait_at_a_reset_send_one_probe() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), limited(3600.0), 0.0, chance=0.5)
    until = pool.standing(KEY, 1.0).until
    assert until is not None
    sent = 0
    for _ in range(500):
        if pool.standing(KEY, until) is READY:
            pool.lend(KEY, until)
            sent += 1
    assert sent == 1


def test_another_token_is_not_what_its_predecessor_was() -> None:
    pool = Pool()
    refused = Setback(model=ALL_MODELS, why="its key or login was refused", seconds=120.0, is_refused=True)
    revoked = Setback(model=ALL_MODELS, why="its login was revoked", seconds=None, is_refused=True)
    quota = Setback(model="model-b", why="the window is full", seconds=300.0, is_quota=True)
    for setback in (refused, revoked):
        pool.fail(pool.lend(KEY, 0.0), setback, 0.0)
        pool.fail(pool.lend(OTHER_MODEL, 0.0), quota, 0.0)
        pool.renew(KEY[0])
        assert pool.standing(KEY, 1.0) is READY
        assert pool.standing(OTHER_MODEL, 1.0).is_quota
    revision = pool.revision
    pool.renew(KEY[0])
    pool.renew("nobody")
    assert pool.revision == revision


# Fresher readings


def reading(slot: str = "5h", used: float | None = 0.2, **fields: Any) -> Window:
    return Window(slot=slot, name="5-hour", read_at=10.0, source="test", used=used, **fields)


def windowed(window: str = "5h", model: str = ALL_MODELS) -> Setback:
    return Setback(model=model, why="full", seconds=3600.0, is_stated=True, window=window)


def test_a_fresher_reading_with_room_ends_the_cooldown_and_one_probe_goes_first() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), windowed(), 0.0)
    pool.read("account-1", [reading()], 10.0)
    assert under_way(pool, 10.0) == 1


@pytest.mark.parametrize(
    ("window", "told"),
    [
        ("5h", [reading(used=1.0)]),
        ("5h", [reading(is_rejected=True)]),
        ("5h", [reading("7d")]),
        ("", [reading()]),
        (UNNAMED, [reading(), reading("7d", used=1.0)]),
        (UNNAMED, []),
    ],
)
def test_what_shows_no_room_in_that_window_ends_nothing(window: str, told: list[Window]) -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), windowed(window), 0.0)
    pool.read("account-1", told, 10.0)
    assert pool.standing(KEY, 11.0).state == "cooling"


def test_room_in_every_window_ends_the_cooldown_of_one_that_was_not_named() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), windowed(UNNAMED), 0.0)
    pool.read("account-1", [reading(), reading("7d", used=0.9)], 10.0)
    assert pool.standing(KEY, 11.0) is READY


@pytest.mark.parametrize("others", [0, 3], ids=["alone", "among others"])
def test_a_survey_that_began_before_the_refusal_is_no_fresher_reading(others: int) -> None:
    pool = Pool()
    lease = pool.lend(KEY, 0.0)
    before = pool.mark()
    for number in range(others):
        pool.lend((f"account-{number + 2}", "model"), 0.5)
    pool.fail(lease, windowed(), 1.0)
    pool.read("account-1", [reading()], 2.0, asked=before)
    assert pool.standing(KEY, 2.0).state == "cooling"
    pool.read("account-1", [reading()], 4.0, asked=pool.mark())
    assert pool.standing(KEY, 4.0) is READY


def test_the_answer_to_an_older_request_is_no_fresher_reading() -> None:
    pool = Pool()
    slow = pool.lend(KEY, 0.0)
    pool.fail(pool.lend(KEY, 1.0), windowed(), 2.0)
    pool.read("account-1", [reading()], 3.0, lease=slow)
    assert pool.standing(KEY, 3.0).state == "cooling"
    pool.read("account-1", [reading()], 4.0, lease=pool.lend(OTHER_MODEL, 4.0))
    assert pool.standing(KEY, 4.0) is READY


def test_a_reading_mends_no_revoked_login() -> None:
    pool = Pool()
    pool.fail(pool.lend(KEY, 0.0), Setback(model=ALL_MODELS, why="revoked", seconds=None, window=UNNAMED), 0.0)
    pool.read("account-1", [reading()], 10.0)
    assert pool.standing(KEY, 11.0).state == "broken"


# Limits on what is under way


def test_a_credential_that_has_all_it_may_is_not_clear_until_one_comes_back() -> None:
    pool = Pool()
    leases = [pool.lend(KEY, 0.0, at_most=2) for _ in range(2)]
    assert not pool.is_clear("account-1", [])
    assert not pool.is_calm
    pool.give_back(leases[0])
    assert pool.is_calm


class PoolMachine(RuleBasedStateMachine):
    """Against a model of a few lines: when each key cools until, and who is under way."""

    accounts = ("a", "b", "c")

    @initialize()
    def begin(self) -> None:
        self.pool = Pool()
        self.now = 0.0
        self.cooling: dict[str, float] = {}
        self.leases: list[Lease] = []
        self.lent_while_ready = True

    @rule(seconds=st.floats(0.1, 100.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(account=st.sampled_from(accounts))
    def lend(self, account: str) -> None:
        standing = self.pool.standing((account, "m"), self.now)
        if standing.state == "ready":
            assert self.now >= self.cooling.get(account, 0.0), "never lends what cools"
            self.leases.append(self.pool.lend((account, "m"), self.now))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), seconds=st.floats(0.5, 50.0))
    def fail(self, data: st.DataObject, seconds: float) -> None:
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.pool.give_back(lease)
        self.pool.fail(lease, limited(seconds, "m"), self.now)
        account = lease.key[0]
        self.cooling[account] = max(self.cooling.get(account, 0.0), self.now + seconds)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.pool.succeed(lease)
        self.pool.give_back(lease)
        if self.pool.standing(lease.key, self.now) is READY:
            self.cooling.pop(lease.key[0], None)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.pool.give_back(self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1))))

    @invariant()
    def counts_are_true(self) -> None:
        for account in self.accounts:
            under_way = sum(lease.key[0] == account for lease in self.leases)
            assert self.pool.in_flight(account) == under_way

    @invariant()
    def nobody_starves(self) -> None:
        """Nothing is under way for ever: at most the cooldown and one probe stand in anybody's way."""
        for account in self.accounts:
            free_at = max(self.now, self.cooling.get(account, 0.0)) + PROBE_SECONDS_MAX + 0.001
            assert self.pool.standing((account, "m"), free_at) is READY

    @invariant()
    def cooling_is_kept(self) -> None:
        for account, until in self.cooling.items():
            if self.now < until:
                assert self.pool.standing((account, "m"), self.now).state == "cooling"


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


# What is worth remembering


def test_the_revision_changes_with_whatever_is_worth_remembering_and_with_nothing_else() -> None:
    pool = Pool()

    def is_news(act: Callable[[], object]) -> bool:
        before = pool.revision
        act()
        return pool.revision != before

    first = pool.lend(KEY, 0.0)
    assert not is_news(lambda: pool.give_back(pool.lend(OTHER_MODEL, 0.0)))
    assert not is_news(lambda: pool.succeed(first)), "nothing was held against it"
    assert is_news(lambda: pool.fail(first, limited(10.0), 0.0))
    assert is_news(lambda: pool.succeed(pool.lend(KEY, 1.0)))
    assert is_news(lambda: pool.read("account-1", [reading(used=0.5)], 0.0))
    assert is_news(lambda: pool.reset("account-1"))
    assert not is_news(lambda: pool.reset("account-1"))
    refused = Setback(model=ALL_MODELS, why="refused", seconds=60.0, is_refused=True)
    assert is_news(lambda: pool.fail(pool.lend(KEY, 2.0), refused, 2.0))
    assert is_news(lambda: pool.renew("account-1"))
    assert not is_news(lambda: pool.renew("account-1"))
    pool.fail(pool.lend(KEY, 3.0), limited(10.0), 3.0)
    assert not is_news(lambda: pool.retain({"account-1"}))
    assert is_news(lambda: pool.retain(set()))


def test_it_is_known_when_each_last_served() -> None:
    pool = Pool()
    assert pool.served_at("account-1") is None
    lease = pool.lend(KEY, 5.0)
    pool.fail(pool.lend(KEY, 6.0), fault(), 6.0)
    assert pool.served_at("account-1") is None
    pool.succeed(lease)
    assert pool.served_at("account-1") == 5.0
    pool.retain({"account-1"})
    assert pool.served_at("account-1") == 5.0
    pool.retain(set())
    assert pool.served_at("account-1") is None


def test_readings_are_kept_until_somebody_forgets_the_account() -> None:
    pool = Pool()

    def told() -> list[str]:
        return [credential_id for credential_id, _ in pool.quotas.all()]

    pool.read("account-1", [reading(used=0.95)], 0.0)
    assert told() == ["account-1"]
    assert not pool.quotas.is_tight("account-1"), "all of it may be used"
    pool.read("account-1", [reading(used=0.95)], 0.0, most=0.9)
    assert pool.quotas.is_tight("account-1")
    pool.reset("account-1", "model-a")
    assert told() == ["account-1"], "of one model only"
    pool.reset("account-1")
    assert told() == []
    pool.read("account-1", [reading(used=0.5)], 0.0)
    pool.retain({"account-1"})
    assert told() == ["account-1"]
    pool.retain({"other"})
    assert told() == []


def test_an_account_that_is_gone_is_not_disabled_when_it_comes_back() -> None:
    pool = Pool()
    pool.disable("account-1")
    pool.disable("account-2")
    pool.retain({"account-1"})
    assert pool.standing(KEY, 0.0).state == "disabled"
    assert pool.standing(("account-2", "m"), 0.0) is READY


def test_who_looks_is_shown_each_once_and_nobody_who_is_ready() -> None:
    pool = Pool()
    for name in ("cooling", "disabled", "over"):
        seconds = 1.0 if name == "over" else 60.0
        pool.fail(pool.lend((name, "m"), 0.0), limited(seconds, "m"), 0.0)
    pool.disable("disabled")
    assert [(key, each.state) for key, each in pool.standings(2.0)] == [
        (("disabled", ALL_MODELS), "disabled"),
        (("cooling", "m"), "cooling"),
    ]


def test_a_probe_of_what_is_shared_comes_back_with_its_lease() -> None:
    pool = Pool()
    pool.fail_shared(pool.lend(KEY, 0.0, shared=("vendor",)), "vendor", fault(), 0.0)
    probe = pool.lend(KEY, 5.0, shared=("vendor",))
    assert pool.overload(["vendor"], "model-a", 5.0).state == "probing"
    pool.give_back(probe)
    assert pool.overload(["vendor"], "model-a", 5.0) is READY


def test_one_that_may_have_two_at_once_is_clear_with_one_and_not_with_two() -> None:
    pool = Pool()
    one = pool.lend(KEY, 0.0, at_most=2)
    assert pool.is_clear("account-1", [])
    pool.lend(KEY, 0.0, at_most=2)
    assert not pool.is_clear("account-1", [])
    pool.give_back(one)
    assert pool.is_clear("account-1", [])
    assert pool.in_flight("account-1") == 1


def test_what_comes_from_before_a_restart_is_hearsay() -> None:
    pool = Pool()
    pool.remember([(KEY, Record(until=60.0, why="limited"))])
    assert pool.standing(KEY, 0.0).is_remembered
    assert [key for key, _ in pool.cooldowns()] == [KEY]


def test_a_reading_by_the_last_request_of_a_wave_is_no_fresher_one_by_the_next_is() -> None:
    pool = Pool()
    first, last = pool.lend(KEY, 0.0), pool.lend(KEY, 0.0)
    full = Setback(model="model-a", why="full", seconds=60.0, is_stated=True, window="5h")
    pool.fail(first, full, 0.0)
    pool.read("account-1", [reading(used=0.5)], 1.0, lease=last)
    assert pool.standing(KEY, 1.0).state == "cooling"
    pool.read("account-1", [reading(used=0.5)], 1.0)
    assert pool.standing(KEY, 1.0) is READY


@pytest.mark.parametrize(
    ("setback", "step", "chance", "seconds"),
    [
        (guessed(1.0), 1, 0.0, 0.5),
        (guessed(1.0), 1, 1.0, 1.0),
        (guessed(1.0), 4, 1.0, 8.0),
        (guessed(1.0), 99, 1.0, GUESS_SECONDS_MAX),
        (fault(1.0), 99, 0.0, TRANSIENT_SECONDS_MAX / 2),
        (limited(59.0), 9, 1.0, 59.0),
        (limited(60.0), 9, 1.0, 63.0),
        (limited(600.0), 1, 0.5, 615.0),
        (limited(36_000.0), 1, 1.0, 36_030.0),
        (limited(1e9), 1, 0.0, STATED_SECONDS_MAX),
    ],
)
def test_how_long_a_cooldown_is(setback: Setback, step: int, chance: float, seconds: float) -> None:
    assert cooldown_seconds(setback, step, chance) == pytest.approx(seconds)
