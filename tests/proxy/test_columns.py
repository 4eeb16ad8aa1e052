from __future__ import annotations

import click
from hypothesis import given
from hypothesis import strategies as st

from proxy.columns import GAP, in_columns, width

CELLS = st.lists(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8), max_size=4), max_size=5)


def test_columns_stand_below_each_other() -> None:
    assert in_columns([("a", "b"), ("long", ""), ("c", "d", "e")]) == ["a     b", "long", "c     d  e"]


def test_what_is_seen_counts() -> None:
    assert (width("日本"), width("e\u0301"), width(click.style("red", "red"))) == (4, 1, 3)
    assert in_columns([("日本", "x"), ("four", "y")]) == ["日本  x", "four  y"]
    first, second = in_columns([(click.style("a", "red"), "x"), ("bbb", "y")])
    assert click.unstyle(first).index("x") == second.index("y")


@given(CELLS)
def test_every_cell_begins_where_those_above_it_do(rows: list[list[str]]) -> None:
    lines = in_columns(rows)
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        at = 0
        for place, cell in enumerate(row):
            rest = line[at:]
            assert rest.startswith(cell) or not "".join(row[place:])
            widest = max(width(other[place]) for other in rows if len(other) > place)
            at += len(cell) + widest - width(cell) + len(GAP)
