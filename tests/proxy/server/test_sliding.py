from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from proxy.server.sliding import SECONDS, Sliding

STEPS = st.lists(st.tuples(st.floats(0, 40, allow_nan=False), st.integers(1, 9)), min_size=1, max_size=60)


def test_an_amount_counts_for_a_minute_and_no_longer_than_a_slot_more() -> None:
    window = Sliding()
    window.add(5, 100.9)
    assert [window.total(now) for now in (100.9, 160.8, 160.9, 160.99, 161.0)] == [5, 5, 5, 5, 0]


def test_the_wait_is_until_enough_has_left() -> None:
    window = Sliding()
    for second, amount in ((100.2, 1), (110.5, 2), (110.7, 1), (150.0, 3)):
        window.add(amount, second)
    assert [round(window.wait(room, 155.0), 6) for room in (7, 6, 5, 3, 2, 0)] == [0, 6, 16, 16, 56, 56]


def test_a_clock_that_steps_back_loses_nothing() -> None:
    window = Sliding()
    window.add(1, 100.0)
    window.add(1, 90.0)
    assert (window.total(90.0), window.total(160.9), window.total(161.0)) == (2, 2, 0)


def test_it_stays_small() -> None:
    window = Sliding()
    for step in range(10_000):
        window.add(1, step / 10)
        window.total(step / 10)
    assert len(window._slots) <= SECONDS + 2


@given(STEPS, st.integers(1, 30))
def test_never_more_than_the_limit_passes_in_any_minute(steps: list[tuple[float, int]], limit: int) -> None:
    window, now, passed = Sliding(), 1000.0, []
    for pause, amount in steps:
        now += pause
        if window.total(now) + amount <= limit:
            window.add(amount, now)
            passed.append((now, amount))
    times = [time for time, _ in passed]
    for begin, (start, _) in enumerate(passed):
        within = passed[begin : bisect_right(times, start + SECONDS)]
        assert sum(amount for _, amount in within) <= limit


@given(STEPS, st.integers(0, 30))
def test_after_the_wait_there_is_room_and_not_a_moment_before(steps: list[tuple[float, int]], room: int) -> None:
    window, now = Sliding(), 1000.0
    for pause, amount in steps:
        now += pause
        window.total(now)
        window.add(amount, now)
    wait = window.wait(room, now)
    if wait:
        assert window.total(now + wait - 0.001) > room
    assert window.total(now + wait) <= room
