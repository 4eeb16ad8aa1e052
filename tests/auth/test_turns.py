from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from auth.turns import GROUPS_MAX, STRIDE, Turn, Turns


def serve(turn: Turn, members: list[str], weights: dict[str, int] | None = None) -> str:
    def stride(member: str) -> int:
        return STRIDE // (weights or {}).get(member, 1)

    chosen = min(members, key=lambda each: turn.due(each, stride(each)))
    turn.seat(members, str, stride)
    turn.take(chosen, stride(chosen))
    return chosen


def test_three_members_share_three_hundred_turns_exactly() -> None:
    turn = Turn()
    assert Counter(serve(turn, ["a", "b", "c"]) for _ in range(300)) == {"a": 100, "b": 100, "c": 100}


def test_the_order_is_that_of_the_list_and_stays() -> None:
    turn = Turn()
    assert [serve(turn, ["a", "b", "c"]) for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]


def test_weights_share_exactly_and_are_spread() -> None:
    turn = Turn()
    served = [serve(turn, ["heavy", "b", "c"], {"heavy": 5}) for _ in range(7)]
    assert served == ["heavy", "heavy", "b", "c", "heavy", "heavy", "heavy"]
    more = Counter(served + [serve(turn, ["heavy", "b", "c"], {"heavy": 5}) for _ in range(693)])
    assert more == {"heavy": 500, "b": 100, "c": 100}


def test_who_comes_back_gets_the_next_turn_and_no_arrears() -> None:
    turn = Turn()
    for _ in range(3):
        serve(turn, ["a", "b", "c"])
    for _ in range(100):
        serve(turn, ["b", "c"])
    after = [serve(turn, ["a", "b", "c"]) for _ in range(30)]
    assert after[0] == "a"
    assert Counter(after) == {"a": 10, "b": 10, "c": 10}


def test_who_is_new_waits_no_longer_than_a_round() -> None:
    turn = Turn()
    for _ in range(50):
        serve(turn, ["a", "b"])
    assert "c" in [serve(turn, ["a", "b", "c"]) for _ in range(3)]


@given(st.lists(st.sets(st.sampled_from("abcdef"), min_size=1), max_size=80))
def test_those_who_stayed_are_never_more_than_one_apart(rounds: list[set[str]]) -> None:
    """Whatever the others do: between any two that were ready all the time the counts differ by one at most."""
    turn = Turn()
    counts: Counter[str] = Counter()
    for present in rounds:
        counts[serve(turn, sorted(present | {"x", "y"}))] += 1
    assert abs(counts["x"] - counts["y"]) <= 1


def test_peeking_keeps_no_group() -> None:
    turns = Turns()
    turns.peek("model").due("a", STRIDE)
    assert len(turns) == 0


def test_groups_are_bounded_and_the_idle_go_first() -> None:
    turns = Turns()
    kept = turns.of("kept")
    for number in range(GROUPS_MAX + 10):
        turns.of(f"group-{number}")
        turns.of("kept")
    assert len(turns) == GROUPS_MAX
    assert turns.of("kept") is kept


def test_marks_of_the_gone_are_forgotten() -> None:
    turn = Turn()
    for number in range(50):
        serve(turn, [f"member-{number}"])
    assert len(turn) <= 11


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=200), st.integers(1, 10))
def test_what_is_known_of_the_seated_is_what_a_look_at_each_would_find(
    steps: list[tuple[bool, int]], size: int
) -> None:
    """Also where turns are taken out of order, as by whoever is bound to an account."""
    members = [f"{number}" for number in range(size)]
    turn = Turn()
    turn.seat(members, str, lambda _member: STRIDE)
    for is_bound, number in steps:
        chosen = turn.first(members, str, lambda _member: STRIDE)
        assert chosen == turn.first([*members], str, lambda _member: STRIDE)
        turn.take(members[number % size] if is_bound else chosen, STRIDE)


def test_what_is_known_of_the_seated_does_not_grow() -> None:
    members = [f"{number}" for number in range(10)]
    turn = Turn()
    turn.seat(members, str, lambda _member: STRIDE)
    for _ in range(5000):
        turn.take("3", STRIDE)
    assert len(turn._waiting) + len(turn._late) < 200
    assert turn.first(members, str, lambda _member: STRIDE) == "0"
