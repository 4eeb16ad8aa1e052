from __future__ import annotations

import itertools

from proxy.server.sessions import IDLE_SECONDS_MAX, SECONDS_MAX, SESSIONS_MAX, Sessions

HOUR = 3600.0


class Desk:
    def __init__(self) -> None:
        self.sessions = Sessions()
        ids = itertools.count(1)
        self.new_id = lambda: f"made-{next(ids)}"

    def resume(self, name: str, now: float, client: str = "ferryman") -> str:
        return self.sessions.resume(client, name, now, self.new_id)


def test_whoever_has_no_name_gets_one() -> None:
    desk = Desk()
    assert [desk.resume("", 0.0), desk.resume("", 0.0)] == ["made-1", "made-2"]


def test_it_goes_on_as_long_as_it_is_used() -> None:
    desk = Desk()
    name = desk.resume("", 0.0)
    for number in range(1, 20):
        assert desk.resume(name, 0.9 * HOUR * number) == name
    assert desk.resume(name, 0.9 * HOUR * 19 + IDLE_SECONDS_MAX) == "made-2"


def test_it_is_too_old_at_last() -> None:
    desk = Desk()
    name = desk.resume("", 0.0)
    times = [0.9 * HOUR * number for number in range(1, 40)]
    ends = next(now for now in times if desk.resume(name, now) != name)
    assert ends >= SECONDS_MAX


def test_a_name_from_before_a_restart_is_taken() -> None:
    assert Desk().resume("of-another-day", 0.0) == "of-another-day"


def test_the_same_name_of_another_client_is_another_session() -> None:
    desk = Desk()
    assert desk.resume("mine", 0.0) == desk.resume("mine", 0.0, "pilot") == "mine"
    assert len(desk.sessions) == 2


def test_it_is_bounded() -> None:
    desk = Desk()
    for number in range(SESSIONS_MAX + 10):
        desk.resume(f"n{number}", 0.0)
    assert len(desk.sessions) == SESSIONS_MAX
