"""Two pools, each told what the other learns: in, out, in, out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from auth.pool import Lease, Pool
from auth.quota import Window
from auth.standing import ALL_MODELS, UNNAMED, Setback
from proxy.workers.messages import Message, Served
from proxy.workers.pool import PoolNews, SharedPool

KEY = ("account", "m")
SHARED = ("provider", "address")


def limited(seconds: float | None = 60, **more: Any) -> Setback:
    return Setback(**{"model": ALL_MODELS, "why": "limited", "seconds": seconds, "is_stated": True, **more})


class Two:
    """`here` and `there`; `now` is told by the tests. What is said goes through msgpack, as between processes."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.is_cut = False
        self.here = SharedPool(self.tell_there)
        self.there = SharedPool(self.tell_here)

    def tell_there(self, news: Message) -> None:
        self.said.append(news)
        if not self.is_cut:
            self.there.hear(sent(news))

    def tell_here(self, news: Message) -> None:
        self.said.append(news)
        if not self.is_cut:
            self.here.hear(sent(news))

    @property
    def both(self) -> tuple[Pool, Pool]:
        return self.here, self.there


def sent(news: Message) -> PoolNews:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(news), type=PoolNews)


@pytest.fixture
def two() -> Two:
    return Two()


def lent(pool: Pool, now: float, key: tuple[str, str] = KEY) -> Lease:
    return pool.lend(key, now, shared=SHARED)


def test_the_usual_says_nothing(two: Two) -> None:
    for now in range(3):
        lease = lent(two.here, now)
        two.here.succeed(lease)
        two.here.give_back(lease)
    assert two.said == []
    assert two.there.is_calm


def test_a_cooldown_and_its_end(two: Two) -> None:
    two.here.fail(lent(two.here, 10), limited(30), 10)
    assert [pool.standing(KEY, 11).state for pool in two.both] == ["cooling"] * 2
    assert two.there.standing(KEY, 11) == two.here.standing(KEY, 11)
    assert [pool.standing(KEY, 41).state for pool in two.both] == ["ready"] * 2
    probe = lent(two.there, 41)
    two.there.succeed(probe)
    assert [record.proven for pool in two.both for _, record in pool.cooldowns()] == [1, 1]
    for number in range(64):
        two.here.succeed(lent(two.here, 42 + number))
    assert all(pool.is_calm for pool in two.both)


def test_a_login_that_is_dead_and_a_human_who_mends_it(two: Two) -> None:
    two.there.fail(lent(two.there, 10), limited(None, is_refused=True), 10)
    assert [pool.standing(KEY, 10_000).state for pool in two.both] == ["broken"] * 2
    two.here.renew("account")
    assert all(pool.is_calm for pool in two.both)
    two.there.fail(lent(two.there, 20), limited(None), 20)
    two.here.reset("account")
    assert all(pool.is_calm for pool in two.both)


def test_requests_that_are_under_way_are_of_the_same_wave(two: Two) -> None:
    mine, yours = lent(two.here, 10), lent(two.there, 10)
    two.here.fail(mine, limited(4, is_stated=False), 11)
    two.there.fail(yours, limited(4, is_stated=False), 12)
    steps = [record.step for pool in two.both for _, record in pool.cooldowns()]
    assert steps == [1, 1], "no further step"


def test_of_two_cooldowns_the_later_end_counts(two: Two) -> None:
    two.is_cut = True
    two.here.fail(lent(two.here, 10), limited(30), 10)
    two.there.fail(lent(two.there, 10), limited(90), 11)
    one, other = two.said
    two.here.hear(sent(other))
    two.there.hear(sent(one))
    untils = [pool.standing(KEY, 12).until for pool in two.both]
    assert untils[0] == untils[1]
    assert untils[0] is not None
    assert untils[0] >= 100


def test_what_served_before_it_does_not_end_it(two: Two) -> None:
    two.here.fail(lent(two.here, 10), limited(0.5), 10)
    early = lent(two.there, 11)
    two.is_cut = True
    two.there.succeed(early)
    eased = two.said[-1]
    two.here.fail(lent(two.here, 12), limited(60), 12)
    two.here.hear(sent(eased))
    assert two.here.standing(KEY, 13).state == "cooling"


def test_a_transient_fault_leaves_a_doubt_in_all_until_somebody_serves(two: Two) -> None:
    setback = limited(5, is_transient=True, is_stated=False, model="m")
    two.here.fail_shared(lent(two.here, 10), "provider", setback, 10)
    assert all(pool.is_doubtful(KEY, "address", 100) for pool in two.both)
    assert [pool.overload(("provider",), "m", 11).state for pool in two.both] == ["cooling"] * 2
    assert all(pool.standing(KEY, 11).state == "ready" for pool in two.both)
    two.there.succeed(lent(two.there, 20))
    assert not any(pool.is_doubtful(KEY, "address", 100) for pool in two.both)
    assert all(pool.is_calm for pool in two.both)


def window(used: float, **more: Any) -> Window:
    return Window(
        **{"slot": "s", "name": "hour", "read_at": 10.0, "source": "x", "used": used, "seconds": 3600.0, **more}
    )


def test_readings_of_windows_wait_unless_one_is_full(two: Two) -> None:
    two.here.read("account", [window(0.2)], 10, lease=lent(two.here, 10))
    two.here.read("account", [window(0.3)], 10, lease=lent(two.here, 10))
    assert two.said == []
    two.here.readings()
    assert [used.used for _, used in two.there.quotas.all()] == [0.3]
    two.here.read("account", [window(1.0)], 10, lease=lent(two.here, 10))
    assert two.there.quotas.is_tight("account")
    two.there.read("account", [window(0.1)], 10, lease=lent(two.there, 10))
    assert not two.here.quotas.is_tight("account")
    said = len(two.said)
    two.here.readings()
    two.there.readings()
    assert len(two.said) == said


def test_room_that_is_read_ends_the_cooldown_everywhere(two: Two) -> None:
    two.here.fail(lent(two.here, 10), limited(600, window=UNNAMED), 10)
    two.there.read("account", [window(0.1)], 20)
    assert [pool.standing(KEY, 21).state for pool in two.both] == ["ready"] * 2


def test_who_has_served_when_is_known_to_all(two: Two) -> None:
    two.here.succeed(lent(two.here, 10))
    assert two.here.served() == {"account": 10}
    assert two.here.served() == {}
    two.there.hear(sent(Served(at={"account": 10})))
    assert two.there.served_at("account") == 10
    assert two.there.served() == {}, "it is no news to those who told it"


def test_what_is_under_way_elsewhere_counts(two: Two) -> None:
    lent(two.here, 10)
    lent(two.there, 10)
    two.here.hear_busy(2, two.there.busy())
    two.here.hear_busy(3, {"account": 4, "other": 1})
    assert [two.here.in_flight(each) for each in ("account", "other", "nobody")] == [6, 1, 0]
    assert two.here.busy() == {"account": 1}
    for whose in (2, 3):
        two.here.hear_busy(whose, {})
    assert two.here.in_flight("account") == 1


def test_a_new_one_learns_everything(two: Two) -> None:
    two.is_cut = True
    two.here.fail(lent(two.here, 10), limited(30), 10)
    two.here.fail(lent(two.here, 10, ("other", "m")), limited(None), 10)
    two.here.fail_shared(lent(two.here, 10), "provider", limited(30, model="m"), 10)
    two.here.read("account", [window(1.0), window(0.5, slot="t")], 10)
    for news in two.here.everything():
        two.there.hear(sent(news))
    assert [*two.there.standings(11)] == [*two.here.standings(11)]
    assert {*two.there.quotas.all()} == {*two.here.quotas.all()}
    assert two.there.quotas.is_tight("account")
    assert two.there.overload(("provider",), "m", 11).state == "cooling"


def test_of_accounts_that_are_gone_nothing_is_kept(two: Two) -> None:
    two.here.fail(lent(two.here, 10), limited(30), 10)
    two.here.read("account", [window(0.5)], 10)
    for pool in two.both:
        pool.retain(["another"])
    two.here.readings()
    assert [*two.here.everything()] == []
    assert two.there.is_calm
