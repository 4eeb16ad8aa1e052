"""Each of the 72 bugs that others had (wires.md §5) is held by a test of its name somewhere."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[1]
NUMBERS = range(1, 73)
ELSEWHERE = {71: "the WebSocket of Responses: tests/proxy/server"}
"""Held by what stands around the wires, not by them."""
_TEST = re.compile(r"def (test_bug_(?:\d+_(?:and_)?)+)")


def held() -> dict[int, set[str]]:
    """The folders whose tests name each number."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in _TEST.findall(path.read_text()):
            for number in re.findall(r"\d+", name):
                found[int(number)].add(str(path.parent.relative_to(TESTS)))
    return found


def test_each_known_bug_has_a_test_of_its_name() -> None:
    assert [number for number in NUMBERS if not held().get(number)] == []


def test_no_test_names_a_number_that_is_none() -> None:
    assert sorted(set(held()) - set(NUMBERS)) == []


def test_what_wires_alone_can_get_wrong_is_held_by_them() -> None:
    outside = {
        number
        for number, folders in held().items()
        if not any(folder.startswith(("proxy/wire", "laws")) for folder in folders)
    }
    assert outside == ELSEWHERE.keys()
