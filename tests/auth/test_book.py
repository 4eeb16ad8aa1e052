from __future__ import annotations

import pytest

from auth import book
from auth.book import MODELS_MAX, PROBE_SECONDS_MAX, RECOVERY_SECONDS_MAX, Book, Record
from auth.standing import ALL_MODELS, GUESS_SECONDS_MAX, READY, Setback, Standing


def record(until: float | None = 10.0, why: str = "limited", **fields: object) -> Record:
    return Record(until=until, why=why, **fields)  # type: ignore[arg-type] - of a test's table


def limited(seconds: float | None = 10.0, *, is_stated: bool = True, **fields: object) -> Setback:
    return Setback(model="m", why="limited", seconds=seconds, is_stated=is_stated, **fields)  # type: ignore[arg-type]


def noted(told: Book, setback: Setback, serial: int, *, latest: int = 0, now: float = 0.0) -> Record:
    return told.note("a", setback, serial=serial, latest=latest or serial, now=now, chance=1.0)


def standing(told: Book, now: float) -> Standing:
    return told.standing("a", "m", now)


@pytest.mark.parametrize(
    ("milder", "worse"),
    [
        (record(99.0, "milder", is_transient=True), record(10.0, "worse")),
        (record(99.0, "milder", is_remembered=True), record(10.0, "worse")),
        (record(None, "milder", is_remembered=True), record(10.0, "worse")),
        (record(0.0, "milder", unproven={1: 5.0}), record(10.0, "worse")),
        (record(99.0, "milder"), record(None, "worse")),
        (record(10.0, "milder"), record(11.0, "worse")),
        (record(0.0, "milder", unproven={1: 0.0}), record(0.0, "worse", unproven={2: 5.0})),
    ],
    ids=["transient", "by hearsay", "broken by hearsay", "probing", "cooling", "sooner over", "probing for longer"],
)
def test_of_the_model_and_of_all_models_the_worse_counts(milder: Record, worse: Record) -> None:
    """What may be tried as a last resort must not hide what may not."""
    for one, other in ((milder, worse), (worse, milder)):
        told = Book()
        told.put("a", "m", one)
        told.put("a", ALL_MODELS, other)
        assert standing(told, 6.0).why == "worse"


def test_a_probe_ends_half_a_minute_after_it_was_lent_the_oldest_first() -> None:
    told = record(0.0, unproven={1: 3.0, 2: 8.0}, proven=0)
    assert (told.standing(9.0).state, told.standing(9.0).until) == ("probing", 3.0 + PROBE_SECONDS_MAX)


def test_a_success_makes_room_for_another_at_once_though_its_stream_goes_on() -> None:
    told = Book()
    noted(told, limited(), 1)
    told.lend("a", "m", 2, 10.0)
    assert standing(told, 10.0).state == "probing"
    assert told.succeed("a", "m", 2, 10.0)
    told.lend("a", "m", 3, 11.0)
    assert standing(told, 11.0) is READY, "two may be unproven at once now"
    told.lend("a", "m", 4, 11.0)
    assert standing(told, 11.0).state == "probing"


def test_a_success_during_a_limit_ends_it_and_the_way_back_is_a_slow_start() -> None:
    told = Book()
    noted(told, limited(60.0), 1)
    assert told.succeed("a", "m", 2, 5.0)
    assert standing(told, 5.0) is READY
    for serial in (3, 4):
        told.lend("a", "m", serial, 6.0)
    assert standing(told, 6.0).state == "probing"


def test_what_was_under_way_when_it_began_says_nothing_against_it() -> None:
    told = Book()
    noted(told, limited(60.0), 3, latest=5)
    assert not told.succeed("a", "m", 5, 0.0)
    assert standing(told, 1.0).state == "cooling"
    assert told.succeed("a", "m", 6, 1.0)


def test_the_last_of_the_wave_is_no_further_step_the_next_is() -> None:
    told = Book()
    noted(told, limited(1.0, is_stated=False), 3, latest=5)
    assert noted(told, limited(1.0, is_stated=False), 5).step == 1
    assert noted(told, limited(1.0, is_stated=False), 6).step == 2


def test_growth_goes_on_until_a_guess_at_its_longest_has_gone_by() -> None:
    told = Book()
    noted(told, limited(1.0, is_stated=False), 1)
    assert noted(told, limited(1.0, is_stated=False), 2, now=1.0 + GUESS_SECONDS_MAX).step == 2
    told = Book()
    noted(told, limited(1.0, is_stated=False), 1)
    assert noted(told, limited(1.0, is_stated=False), 2, now=1.1 + GUESS_SECONDS_MAX).step == 1


def test_what_is_shortened_keeps_the_reason_that_lasts() -> None:
    told = Book()
    noted(told, limited(50.0, window="5h", is_quota=True), 1)
    kept = noted(told, Setback(model="m", why="failed", seconds=1.0, is_transient=True), 2)
    assert (kept.until, kept.why, kept.window) == (50.0, "limited", "5h")
    assert (kept.is_transient, kept.is_quota) == (False, True)


def test_it_is_forgotten_some_time_after_the_first_success() -> None:
    told = Book()
    noted(told, limited(10.0), 1)
    told.lend("a", "m", 2, 10.0)
    told.succeed("a", "m", 2, 10.0)
    told.lend("a", "m", 3, 9.0 + RECOVERY_SECONDS_MAX)
    assert told.pages
    told.lend("a", "m", 4, 10.0 + RECOVERY_SECONDS_MAX)
    assert not told.pages


def test_of_too_many_models_those_that_were_heard_of_last_stay() -> None:
    told = Book()
    for number in range(MODELS_MAX):
        told.put("a", f"m{number}", record())
    told.put("a", "m0", record())
    told.put("a", "new", record())
    page = told.pages["a"]
    assert len(page) == MODELS_MAX
    assert "m0" in page
    assert "m1" not in page


def test_of_too_many_owners_the_last_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "OWNERS_MAX", 3)
    told = Book()
    for owner in "abcd":
        told.put(owner, "m", record())
    assert list(told.pages) == ["b", "c", "d"]


def test_wiping_tells_whether_there_was_something_and_tears_the_empty_page_out() -> None:
    told = Book()
    assert not told.wipe("a")
    told.put("a", "m", record())
    told.put("a", "n", record())
    assert not told.wipe("a", "other")
    assert told.wipe("a", "m")
    assert list(told.pages["a"]) == ["n"]
    assert told.wipe("a")
    assert not told.pages


def test_absolving_takes_refusals_alone_and_tears_the_empty_page_out() -> None:
    told = Book()
    told.put("a", "m", record(is_refused=True))
    told.put("a", "n", record())
    assert told.absolve("a")
    assert list(told.pages["a"]) == ["n"]
    assert not told.absolve("a")
    told.put("b", "m", record(is_refused=True))
    assert told.absolve("b")
    assert list(told.pages) == ["a"]


def test_retaining_tells_whether_somebody_is_gone() -> None:
    told = Book()
    told.put("a", "m", record())
    assert not told.retain({"a", "b"})
    assert told.retain({"b"})
    assert not told.pages
