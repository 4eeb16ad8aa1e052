"""Who has room: one machine has its share, whatever it does, and the greediest makes room first."""

from __future__ import annotations

from collections import Counter

import pytest

from proxy.server.room import household, leaver, share


@pytest.mark.parametrize(
    ("peer", "most", "expected"),
    [
        ("203.0.113.9", 1024, 256),
        ("203.0.113.9", 100, 64),
        ("2001:db8::1", 1024, 256),
        ("127.0.0.1", 1024, 896),
        ("::1", 1024, 896),
        ("127.0.0.1", 1, 1),
        ("127.0.0.1", 7, 7),
        ("", 1024, 256),
    ],
)
def test_one_machine_has_its_share(peer: str, most: int, expected: int) -> None:
    assert share(peer, most) == expected


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("203.0.113.9", "203.0.113.10", False),
        ("127.0.0.1", "::1", False),
        ("", "", True),
    ],
)
def test_a_machine_has_all_addresses_of_its_network(one: str, other: str, *, are_one: bool) -> None:
    assert (household(one) == household(other)) is are_one


def test_the_longest_idle_one_of_whoever_has_most_makes_room() -> None:
    counts = Counter({"modest": 1, "greedy": 3, "busy": 9})
    idle = [("old", "modest"), ("first", "greedy"), ("second", "greedy")]
    assert leaver(idle, counts) == "first"
    assert leaver(idle[:1], counts) == "old"
    assert leaver([], counts) is None
