from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.client_keys import Rates
from proxy.server.meters import Excess, Kind, Meters, Reading, Stay, Subject


def subject(name: str = "a", kind: Kind = "key", **rates: int) -> Subject:
    return Subject(kind, name, Rates(**rates))


def stay(entered: Stay | Excess) -> Stay:
    assert isinstance(entered, Stay)
    return entered


class TestRequests:
    def test_so_many_pass_and_the_next_one_is_told_when(self) -> None:
        meters, who = Meters(), [subject(requests_per_minute=2)]
        for now in (100.0, 130.0):
            stay(meters.enter(who, 0, now)).leave(0, now)
        assert meters.enter(who, 0, 140.0) == Excess(kind="key", what="requests", limit=2, wait=21.0)
        assert meters.enter(who, 0, 160.9) == Excess(kind="key", what="requests", limit=2, wait=pytest.approx(0.1))
        stay(meters.enter(who, 0, 161.0))

    def test_who_is_refused_is_not_counted(self) -> None:
        meters, who = Meters(), [subject(requests_per_minute=1)]
        stay(meters.enter(who, 0, 100.0))
        for _ in range(9):
            assert isinstance(meters.enter(who, 0, 150.0), Excess)
        stay(meters.enter(who, 0, 161.0))


class TestTokens:
    def test_what_is_under_way_counts_until_it_is_known(self) -> None:
        meters, who = Meters(), [subject(tokens_per_minute=100)]
        first = stay(meters.enter(who, 60, 100.0))
        assert isinstance(meters.enter(who, 60, 100.0), Excess)
        first.leave(10, 101.0)
        stay(meters.enter(who, 60, 101.0))

    def test_what_it_really_took_counts_from_its_end(self) -> None:
        meters, who = Meters(), [subject(tokens_per_minute=100)]
        stay(meters.enter(who, 10, 100.0)).leave(95, 300.0)
        assert meters.enter(who, 10, 301.0) == Excess(kind="key", what="tokens", limit=100, wait=60.0)
        stay(meters.enter(who, 5, 301.0))

    def test_it_leaves_once(self) -> None:
        meters, who = Meters(), [subject(tokens_per_minute=100, concurrency=1)]
        one = stay(meters.enter(who, 40, 100.0))
        one.leave(40, 100.0)
        one.leave(40, 100.0)
        meter = meters.find("key", "a")
        assert meter is not None
        assert (meter.running, meter.held, meter.tokens.total(100.0)) == (0, 0, 40)

    def test_what_never_fits_is_told_so(self) -> None:
        assert Meters().enter([subject(tokens_per_minute=100)], 101, 0.0) == Excess(
            kind="key", what="tokens", limit=100, wait=None
        )


def test_so_many_at_a_time() -> None:
    meters, who = Meters(), [subject(concurrency=2)]
    first, _second = (stay(meters.enter(who, 0, 1.0)) for _ in range(2))
    excess = meters.enter(who, 0, 1.0)
    assert isinstance(excess, Excess)
    assert (excess.what, excess.limit) == ("concurrency", 2)
    first.leave(0, 1.0)
    stay(meters.enter(who, 0, 1.0))


def test_all_agree_or_nothing_is_counted() -> None:
    meters = Meters()
    key, ip = subject("a", "key", requests_per_minute=5), subject("::1", "ip", requests_per_minute=1)
    stay(meters.enter([key, ip], 0, 100.0))
    for _ in range(9):
        excess = meters.enter([key, ip], 0, 100.0)
        assert isinstance(excess, Excess)
        assert excess.kind == "ip"
    for _ in range(4):
        stay(meters.enter([key], 0, 100.0))
    assert isinstance(meters.enter([key], 0, 100.0), Excess)


def test_of_several_limits_the_longest_is_told() -> None:
    meters = Meters()
    key, ip = subject("a", "key", requests_per_minute=1), subject("::1", "ip", concurrency=1)
    stay(meters.enter([key, ip], 0, 100.0))
    excess = meters.enter([key, ip], 0, 101.0)
    assert isinstance(excess, Excess)
    assert (excess.kind, excess.wait) == ("key", 60.0)


def test_readings_tell_what_is_left() -> None:
    meters, who = Meters(), [subject(requests_per_minute=3, tokens_per_minute=100)]
    stay(meters.enter(who, 30, 100.0)).leave(20, 110.0)
    two = stay(meters.enter(who, 30, 120.0))
    assert [*two.readings(120.0)] == [
        Reading(what="requests", limit=3, remaining=1, reset=61.0),
        Reading(what="tokens", limit=100, remaining=50, reset=60.0),
    ]


def test_only_so_many_are_remembered_but_whoever_is_here_stays() -> None:
    meters = Meters(meters_max=3)
    here = stay(meters.enter([subject("here", concurrency=1)], 0, 1.0))
    for number in range(20):
        stay(meters.enter([subject(str(number), requests_per_minute=1)], 0, 1.0)).leave(0, 1.0)
    assert len(meters) == 3
    assert isinstance(meters.enter([subject("here", concurrency=1)], 0, 1.0), Excess)
    here.leave(0, 1.0)


STEPS = st.lists(
    st.tuples(
        st.floats(0, 30, allow_nan=False),
        st.sampled_from("abc"),
        st.sampled_from("xy"),
        st.integers(0, 40),
        st.integers(0, 40),
        st.booleans(),
    ),
    max_size=60,
)


@given(STEPS)
def test_never_more_passes_however_it_is_mixed(steps: list[tuple[float, str, str, int, int, bool]]) -> None:
    """Requests of three keys from two addresses come, overlap and leave: no limit of any of them is ever passed."""
    rates = Rates(requests_per_minute=4, tokens_per_minute=100, concurrency=3)
    meters, now = Meters(), 1000.0
    under_way: list[tuple[Stay, list[str], int]] = []
    begun: dict[str, list[float]] = {name: [] for name in "abcxy"}
    taken: dict[str, list[tuple[float, int]]] = {name: [] for name in "abcxy"}
    for pause, key, address, tokens, less, is_over in steps:
        now += pause
        entered = meters.enter([Subject("key", key, rates), Subject("ip", address, rates)], tokens, now)
        if isinstance(entered, Stay):
            under_way.append((entered, [key, address], max(0, tokens - less)))
            for name in (key, address):
                begun[name].append(now)
        if is_over and under_way:
            left, names, took = under_way.pop(0)
            left.leave(took, now)
            for name in names:
                taken[name].append((now, took))
        for name in "abcxy":
            here = [each for each in under_way if name in each[1]]
            assert len(here) <= 3
            recent = sum(amount for at, amount in taken[name] if at > now - 60)
            assert recent + sum(each[0].tokens for each in here) <= 100
    for times in begun.values():
        for first, start in enumerate(times):
            assert bisect_right(times, start + 60) - first <= 4
