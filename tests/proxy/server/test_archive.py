from __future__ import annotations

import pytest

from proxy.server.archive import Archive, Told


def told(name: str, parent: Told | None = None, *, size: int = 0) -> Told:
    return Told(id=name, parent=parent, items=(b"x" * size,))


def names(found: Told | None) -> list[str]:
    return [] if found is None else [each.id for each in found.way()]


def test_an_answer_is_found_with_all_that_led_to_it() -> None:
    archive = Archive()
    first = told("r1")
    archive.keep("me", first, 0.0)
    archive.keep("me", told("r2", first), 0.0)
    assert names(archive.find("me", "r2", 1.0)) == ["r2", "r1"]
    assert archive.find("me", "r3", 1.0) is None


def test_T21_nobody_finds_what_another_owner_keeps() -> None:
    """The name of an answer is no secret: it stands in logs."""
    archive = Archive()
    archive.keep("one", told("r1"), 0.0)
    assert archive.find("other", "r1", 0.0) is None
    assert not archive.forget("other", "r1")
    assert archive.find("one", "r1", 0.0) is not None


def test_two_owners_may_keep_the_same() -> None:
    archive = Archive()
    shared = told("r1", size=1000)
    archive.keep("socket", shared, 0.0)
    size = archive.size
    archive.keep("client", shared, 0.0)
    assert archive.size == size
    archive.forget_all("socket")
    assert archive.find("socket", "r1", 0.0) is None
    assert archive.find("client", "r1", 0.0) is shared
    archive.forget("client", "r1")
    assert (archive.size, len(archive)) == (0, 0)


def test_what_was_forgotten_lives_on_in_what_goes_on_from_it() -> None:
    archive = Archive()
    first = told("r1", size=1000)
    archive.keep("me", first, 0.0)
    archive.keep("me", told("r2", first), 0.0)
    assert archive.forget("me", "r1")
    assert archive.find("me", "r1", 0.0) is None
    assert names(archive.find("me", "r2", 0.0)) == ["r2", "r1"]
    assert archive.size > 1000
    archive.forget("me", "r2")
    assert archive.size == 0


def test_kept_again_it_is_counted_once() -> None:
    archive = Archive()
    for _ in range(3):
        archive.keep("me", told("r1", size=1000), 0.0)
    assert len(archive) == 1
    assert archive.size < 2000


def test_a_conversation_costs_what_was_said_in_it_once() -> None:
    archive = Archive()
    last: Told | None = None
    for number in range(100):
        last = told(f"r{number}", last, size=1000)
        archive.keep("me", last, 0.0)
    assert archive.size < 100 * 2000


def test_a_long_conversation_ends_without_recursion() -> None:
    archive = Archive()
    last: Told | None = None
    for number in range(5000):
        last = told(f"r{number}", last)
        archive.keep("me", last, 0.0)
    assert last is not None
    for number in range(4999):
        archive.forget("me", f"r{number}")
    archive.forget("me", last.id)
    assert archive.size == 0
    archive.keep("me", last, 0.0)
    assert len(names(archive.find("me", last.id, 0.0))) == 5000


def test_items_are_found_by_their_names_as_long_as_their_answer() -> None:
    archive = Archive()
    archive.keep("me", Told(id="r1", named={"msg_1": b"{}"}), 0.0)
    again = Told(id="r2", named={"msg_1": b"{}"})
    archive.keep("me", again, 0.0)
    assert archive.find_item("me", "msg_1", 0.0) is again
    assert archive.find_item("other", "msg_1", 0.0) is None
    archive.forget("me", "r1")
    assert archive.find_item("me", "msg_1", 0.0) is again
    archive.forget("me", "r2")
    assert archive.find_item("me", "msg_1", 0.0) is None


def test_a_view_is_of_several_owners() -> None:
    archive = Archive()
    archive.keep("client", told("r1"), 0.0)
    archive.keep("socket", Told(id="r2", named={"msg_1": b"{}"}), 0.0)
    view = archive.view("socket", "client", now=0.0)
    assert [view.answer(name) is not None for name in ("r1", "r2", "r3")] == [True, True, False]
    assert view.item("msg_1") is not None
    assert archive.view("client", now=0.0).item("msg_1") is None


class TestBounds:
    def test_of_all_together_the_least_recently_used_go_first(self) -> None:
        archive = Archive(bytes_max=10_000)
        for number in range(5):
            archive.keep(f"owner {number}", told("r", size=1000), 0.0)
        assert archive.find("owner 0", "r", 0.0) is not None
        for number in range(5, 9):
            archive.keep(f"owner {number}", told("r", size=1000), 0.0)
        assert archive.size <= 10_000
        assert archive.find("owner 0", "r", 0.0) is not None
        assert archive.find("owner 1", "r", 0.0) is None

    def test_of_one_owner_only_its_own_go(self) -> None:
        archive = Archive(owner_bytes_max=5_000)
        archive.keep("small", told("r", size=1000), 0.0)
        for number in range(20):
            archive.keep("large", told(f"r{number}", size=1000), 0.0)
        assert archive.size <= 5_000 + 2_000
        assert archive.find("small", "r", 0.0) is not None
        assert archive.find("large", "r19", 0.0) is not None
        assert archive.find("large", "r0", 0.0) is None

    def test_what_is_larger_than_all_is_not_kept(self) -> None:
        archive = Archive(owner_bytes_max=500)
        archive.keep("me", told("r", size=1000), 0.0)
        assert (len(archive), archive.size) == (0, 0)

    def test_in_number(self) -> None:
        archive = Archive(entries_max=3)
        for number in range(10):
            archive.keep("me", told(f"r{number}"), 0.0)
        assert len(archive) == 3
        assert archive.find("me", "r9", 0.0) is not None

    def test_in_time_since_it_was_last_needed(self) -> None:
        archive = Archive(seconds_max=10.0)
        archive.keep("me", told("r1"), 0.0)
        archive.keep("me", told("r2"), 0.0)
        assert archive.find("me", "r1", 9.0) is not None
        assert archive.find("me", "r2", 11.0) is None
        assert archive.find("me", "r1", 18.0) is not None
        archive.keep("other", told("r3"), 100.0)
        assert len(archive) == 1, "nobody has to ask for it to be forgotten"


@pytest.mark.parametrize("order", [("r1", "r2", "r3"), ("r3", "r2", "r1"), ("r2", "r1", "r3"), ("r2", "r3", "r1")])
def test_nothing_is_left_whatever_goes_first(order: tuple[str, ...]) -> None:
    archive = Archive()
    first = told("r1", size=10)
    second = told("r2", first, size=10)
    for each in (first, second, told("r3", first, size=10)):
        archive.keep("me", each, 0.0)
    for name in order:
        assert archive.forget("me", name)
    assert (len(archive), archive.size) == (0, 0)
