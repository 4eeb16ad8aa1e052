from __future__ import annotations

from typing import Any

import pytest

from management.difference import difference


@pytest.mark.parametrize(
    ("before", "after", "gone", "new"),
    [
        (False, True, False, True),
        ("a", ["a"], "a", ["a"]),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 2}, {"b": 3}),
        ({"a": 1}, {"b": 1}, {"a": 1}, {"b": 1}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3}}, {"a": {"y": 2}}, {"a": {"y": 3}}),
        (["a", "b"], ["b", "c"], ["a"], ["c"]),
        ([{"key": "a", "n": 1}], [{"n": 1, "key": "a"}, {"key": "b"}], [], [{"key": "b"}]),
        (["a", "b"], ["b", "a"], ["a", "b"], ["b", "a"]),
        (["a", "a"], ["a"], ["a", "a"], ["a"]),
        ([1], [True], [1], [True]),
    ],
)
def test_only_what_differs_is_told(before: Any, after: Any, gone: Any, new: Any) -> None:
    assert difference(before, after) == (gone, new)
