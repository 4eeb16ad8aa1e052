"""Keeps what is written about requests within one bound: the log, recordings, reports of failed requests.

Whoever writes them bounds each by itself; this is the bound of them all (`logs-max-total-size-mb`). The file that is
being written is counted, and left alone; the audit log is neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from proxy.observe.log_file import older_files


class _File(NamedTuple):
    """`at`: when it was last written. Sorted, the oldest is the first."""

    at: float
    path: Path
    size: int


def make_room(log: Path, folders: tuple[Path, ...], bytes_max: int) -> int:
    """Deletes the oldest older files of `log` and files of `folders`; how many. Blocks."""
    files = sorted(_files(log, folders))
    over = sum(each.size for each in files) + sum(each.size for each in _found(log)) - bytes_max
    removed = 0
    for each in files:
        if over <= 0:
            break
        each.path.unlink(missing_ok=True)
        over -= each.size
        removed += 1
    return removed


def _files(log: Path, folders: tuple[Path, ...]) -> Iterator[_File]:
    if log.parent.is_dir():
        for path in older_files(log):
            yield from _found(path)
    for folder in folders:
        if folder.is_dir():
            for path in folder.glob("*.json"):
                yield from _found(path)


def _found(path: Path) -> Iterator[_File]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if S_ISREG(found.st_mode):
        yield _File(found.st_mtime, path, found.st_size)
