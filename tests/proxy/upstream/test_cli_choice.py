from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.cli_choice import (
    Begin,
    Continue,
    Home,
    Kept,
    Room,
    Seats,
    Standing,
    Start,
    Wait,
    Wish,
    choose,
    expired,
    is_too_old,
    place_for_spare,
    room_for,
    spares_wanted,
)

HARBOUR = Home(kind="a-cli", account="harbour")
QUAY = Home(kind="a-cli", account="quay")
ONE = Seats()
MANY = Seats(at_once=3, conversations_max=100)
ROOM = Room(processes_max=4, account_processes_max=2, spares_max=2)
TALK = (b"hello", b"ahoy")


def kept(*said: bytes, session: str = "", terms: bytes = b"", since: float = 0.0) -> Kept:
    return Kept(session=session, terms=terms, said=said or TALK, since=since)


def process(serial: int, home: Home = HARBOUR, seats: Seats = ONE, **more: object) -> Standing:
    return replace(Standing(serial=serial, home=home, seats=seats, since=0.0), **more)  # type: ignore[arg-type]


def wish(*said: bytes, home: Home = HARBOUR, session: str = "", terms: bytes = b"") -> Wish:
    return Wish(home=home, session=session, terms=terms, said=said)


def test_a_conversation_is_continued_where_it_was_left() -> None:
    left = kept()
    there = [process(1), process(2, begun=1, kept=(left,))]
    assert choose(wish(*TALK, b"how are you"), there, ROOM) == Continue(2, left)


def test_another_history_other_terms_or_nothing_new_is_no_continuation() -> None:
    there = [process(1), process(2, begun=1, kept=(kept(terms=b"one"),))]
    for asked in (
        wish(b"hello", b"go away", b"how are you", terms=b"one"),
        wish(*TALK, b"how are you", terms=b"other"),
        wish(*TALK, terms=b"one"),
        wish(b"hello", terms=b"one"),
        wish(terms=b"one"),
        wish(*TALK, b"how are you", terms=b"one", home=QUAY),
    ):
        assert not isinstance(choose(asked, there, ROOM), Continue)


def test_of_several_beginnings_the_session_s_own_is_taken_then_the_longest_then_the_latest() -> None:
    asked = wish(*TALK, b"how are you", b"fine", b"well", session="s")
    short, mine = kept(since=5), kept(session="s", since=1)
    long = kept(*TALK, b"how are you", b"fine", since=2)
    talks = [process(1, begun=1, kept=(short,)), process(2, begun=1, kept=(long,)), process(3, begun=1, kept=(mine,))]
    assert choose(asked, talks, ROOM) == Continue(3, mine)
    assert choose(asked, talks[:2], ROOM) == Continue(2, long)
    older = replace(short, since=1)
    assert choose(asked, [talks[0], process(4, begun=1, kept=(older,))], ROOM) == Continue(1, short)


def test_a_new_conversation_takes_a_spare_of_its_own_home() -> None:
    assert choose(wish(b"hello"), [process(1, QUAY), process(2)], ROOM) == Begin(2)
    variant = replace(HARBOUR, variant="x")
    assert choose(wish(b"hello", home=variant), [process(2)], ROOM) == Start()


def test_a_process_with_several_seats_is_filled_before_the_next_is_begun() -> None:
    there = [process(1, seats=MANY, begun=5, turns=2), process(2, seats=MANY)]
    assert choose(wish(b"hello"), there, ROOM) == Begin(1)
    full = replace(there[0], turns=3)
    assert choose(wish(b"hello"), [full, there[1]], ROOM) == Begin(2)
    worn = replace(there[0], begun=100)
    assert choose(wish(b"hello"), [worn, there[1]], ROOM) == Begin(2)


def test_within_the_limits_a_process_is_started() -> None:
    assert choose(wish(b"hello"), [], ROOM) == Start()
    assert choose(wish(b"hello"), [process(1, begun=1, turns=1)], ROOM) == Start()


def test_at_the_account_s_limit_whoever_is_idle_longest_goes_and_spares_of_other_variants_first() -> None:
    busy = process(1, begun=1, turns=1)
    talk = process(2, begun=1, kept=(kept(since=9),))
    spare = process(3, replace(HARBOUR, variant="x"))
    assert choose(wish(b"hello"), [busy, talk], ROOM) == Start(instead_of=2)
    assert choose(wish(b"hello"), [spare, talk], ROOM) == Start(instead_of=3)
    old = process(4, begun=1, kept=(kept(since=1),))
    assert choose(wish(b"hello"), [old, talk], ROOM) == Start(instead_of=4)


def test_at_the_limit_of_all_another_account_s_idle_process_goes() -> None:
    others = [process(n, Home(kind="a-cli", account=f"a{n}"), begun=1, turns=1) for n in (1, 2, 3)]
    idle = process(4, QUAY, begun=1, kept=(kept(),))
    assert choose(wish(b"hello"), [*others, idle], ROOM) == Start(instead_of=4)


def test_when_all_are_busy_one_waits() -> None:
    busy = [process(n, begun=1, turns=1) for n in (1, 2)]
    assert choose(wish(b"hello"), busy, ROOM) == Wait()
    everybody = [process(n, Home(kind="a-cli", account=f"a{n}"), begun=1, turns=1) for n in range(4)]
    assert choose(wish(b"hello"), everybody, ROOM) == Wait()


def test_who_is_leaving_gets_nothing_new() -> None:
    leaving = process(1, begun=1, kept=(kept(),), is_leaving=True)
    assert choose(wish(*TALK, b"how are you"), [leaving], ROOM) == Start()


def test_as_many_spares_as_were_needed_lately_and_one_for_a_while() -> None:
    assert spares_wanted([], 0, ROOM) == 0
    assert spares_wanted([100], 100, ROOM) == 1
    assert spares_wanted([100, 101, 102], 110, ROOM) == 2
    assert spares_wanted([100, 101, 102], 300, ROOM) == 1
    assert spares_wanted([100, 101, 102], 2000, ROOM) == 0


def test_a_spare_leaves_a_place_for_who_asks() -> None:
    assert place_for_spare(HARBOUR, [process(1)], ROOM) == Start()
    assert place_for_spare(HARBOUR, [process(1), process(2)], ROOM) is None
    assert place_for_spare(HARBOUR, [process(n, QUAY) for n in (1, 2, 3)], ROOM) is None


def test_one_spare_takes_the_place_of_whoever_was_silent_longest() -> None:
    silent, latest = (process(n, begun=1, kept=(kept(since=n),)) for n in (1, 2))
    busy = process(3, begun=1, turns=1)
    assert place_for_spare(HARBOUR, [latest, silent], ROOM) == Start(instead_of=1)
    assert place_for_spare(HARBOUR, [busy, latest], ROOM) == Start(instead_of=2)
    assert place_for_spare(HARBOUR, [busy, replace(busy, serial=4)], ROOM) is None
    assert place_for_spare(HARBOUR, [silent, process(5)], ROOM) is None, "there is one"
    others = [process(n, QUAY, begun=1, kept=(kept(),)) for n in (6, 7, 8)]
    assert place_for_spare(HARBOUR, others, ROOM) is None, "of another account nobody goes for it"


def test_silent_conversations_are_forgotten_and_old_processes_leave() -> None:
    young, silent = kept(since=500), kept(since=0)
    there = process(1, since=0, begun=2, kept=(young, silent))
    assert expired(there, 700, ROOM) == (silent,)
    assert not is_too_old(there, 700, ROOM)
    assert is_too_old(there, 20_000, ROOM)
    assert expired(there, 20_000, ROOM) == (young, silent)


def test_a_small_machine_has_room_for_few() -> None:
    rooms = [room_for(gigabytes * 1024**3) for gigabytes in (0, 1, 4, 64)]
    assert [(room.processes_max, room.account_processes_max) for room in rooms] == [(16, 8), (3, 3), (8, 8), (16, 8)]


def test_a_process_is_used_up_when_it_can_do_nothing_more() -> None:
    assert process(1, begun=1).is_used_up
    assert not process(1).is_used_up
    assert not process(1, begun=1, turns=1).is_used_up
    assert not process(1, begun=1, kept=(kept(),)).is_used_up


processes = st.builds(
    process,
    st.integers(1, 99),
    st.sampled_from([HARBOUR, QUAY, Home(kind="b-cli", account="harbour")]),
    st.sampled_from([ONE, MANY]),
    begun=st.integers(0, 3),
    turns=st.integers(0, 3),
    is_leaving=st.booleans(),
)


@given(st.lists(processes, max_size=8, unique_by=lambda each: each.serial), st.sampled_from([HARBOUR, QUAY]))
def test_no_account_gets_another_s_process_and_no_limit_is_passed(there: list[Standing], home: Home) -> None:
    known = {each.serial: each for each in there}
    match choose(wish(b"hello", home=home), there, ROOM):
        case Continue():
            raise AssertionError("nothing was kept")
        case Begin(serial=serial):
            assert known[serial].home == home
            assert known[serial].turns < known[serial].seats.at_once
            assert not known[serial].is_leaving
        case Start(instead_of=0):
            assert len(there) < ROOM.processes_max
            account = [each for each in there if (each.home.kind, each.home.account) == (home.kind, home.account)]
            assert len(account) < ROOM.account_processes_max
        case Start(instead_of=other):
            assert known[other].turns == 0
        case Wait():
            assert len(there) >= ROOM.account_processes_max


def test_what_is_large_counts_for_several() -> None:
    large = Seats(counts_for=3)
    crowd = [process(serial, seats=large, begun=1, turns=1) for serial in (1, 2)]
    assert choose(wish(), crowd[:1], Room(account_processes_max=4)) == Start()
    assert choose(wish(), crowd, Room(account_processes_max=4)) == Wait()
    assert choose(wish(home=QUAY), crowd, Room(processes_max=6)) == Wait()
