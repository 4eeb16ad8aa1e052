"""A log file that does not grow without end: 0600, a few generations of a fixed size."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

BYTES_MAX = 10 * 1024 * 1024
GENERATIONS = 5


class LogFile:
    """`write`, `flush` and `isatty` of a binary stream, as structlog's BytesLogger uses it.

    ``proxy.log`` is the newest, ``proxy.log.1`` … the older ones. Raises OSError where the folder will not do.
    `bytes_total`: what all of them may take, as it is when a file is full; 0: `generations` older ones.
    """

    def __init__(
        self,
        path: Path,
        *,
        bytes_max: int = BYTES_MAX,
        generations: int = GENERATIONS,
        bytes_total: Callable[[], int] = lambda: 0,
    ) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._generations = generations
        self._bytes_total = bytes_total
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(descriptor, 0o600)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        self._size = os.fstat(descriptor).st_size

    def write(self, data: bytes) -> int:
        bytes_max, generations = self._limits()
        for piece in _pieces(data, bytes_max):
            if self._size and self._size + len(piece) > bytes_max:
                self._turn_over(generations)
            self._size += len(piece)
            self._file.write(piece)
        return len(data)

    def _limits(self) -> tuple[int, int]:
        total = self._bytes_total()
        if not total:
            return self._bytes_max, self._generations
        bytes_max = min(self._bytes_max, total // 2)
        return bytes_max, total // bytes_max - 1

    def _turn_over(self, generations: int) -> None:
        self._file.close()
        for older in older_files(self._path):
            number = int(older.suffix[1:])
            if number < generations:
                older.replace(self._path.with_name(f"{self._path.name}.{number + 1}"))
            else:
                older.unlink(missing_ok=True)
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._open()

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        self._file.close()


def _pieces(data: bytes, bytes_max: int) -> Iterator[bytes]:
    """Whole lines, as many as a file holds."""
    if len(data) <= bytes_max:
        yield data
        return
    piece: list[bytes] = []
    size = 0
    for line in data.splitlines(keepends=True):
        if piece and size + len(line) > bytes_max:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    yield b"".join(piece)


def older_files(path: Path) -> list[Path]:
    """The generations of a log file, the oldest first."""
    pattern = re.compile(rf"{re.escape(path.name)}\.([1-9][0-9]{{0,5}})")
    found = ((int(match[1]), each) for each in path.parent.iterdir() if (match := pattern.fullmatch(each.name)))
    return [each for _, each in sorted(found, reverse=True)]
