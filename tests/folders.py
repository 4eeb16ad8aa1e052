"""Folders in which others are at work: what is gone by the time it is looked at is not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def contents(folder: Path, *, bytes_max: int | None = None) -> Iterator[tuple[Path, bytes]]:
    """Of all files below it, or of all up to that size."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            raw = None
            with contextlib.suppress(OSError):
                if path.is_file() and (bytes_max is None or path.stat().st_size <= bytes_max):
                    raw = path.read_bytes()
            if raw is not None:
                yield path, raw
