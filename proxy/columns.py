"""Text in columns, for terminals and pipes. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from unicodedata import combining, east_asian_width

import click

GAP = "  "


def in_columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """A line for each row. Cells may be styled (`click.style`); rows may be of different lengths."""
    table = [list(row) for row in rows]
    widths: dict[int, int] = {}
    for row in table:
        for place, cell in enumerate(row):
            widths[place] = max(widths.get(place, 0), width(cell))
    padded = (GAP.join(cell + " " * (widths[place] - width(cell)) for place, cell in enumerate(row)) for row in table)
    return [line.rstrip() for line in padded]


def width(text: str) -> int:
    """In places on the screen."""
    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in click.unstyle(text))
