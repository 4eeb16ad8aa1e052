"""A log file that does not grow without end: 0600, a few generations of a fixed size."""

from __future__ import annotations

import os
from pathlib import Path

BYTES_MAX = 10 * 1024 * 1024
GENERATIONS = 5


class LogFile:
    """`write`, `flush` and `isatty` of a binary stream, as structlog's BytesLogger uses it.

    ``proxy.log`` is the newest, ``proxy.log.1`` … the older ones. Raises OSError where the folder will not do.
    """

    def __init__(self, path: Path, *, bytes_max: int = BYTES_MAX, generations: int = GENERATIONS) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._generations = generations
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(descriptor, 0o600)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        self._size = os.fstat(descriptor).st_size

    def write(self, data: bytes) -> int:
        if self._size and self._size + len(data) > self._bytes_max:
            self._turn_over()
        self._size += len(data)
        return self._file.write(data)

    def _turn_over(self) -> None:
        self._file.close()
        for number in range(self._generations - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number + 1}"))
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._open()
        self._path.with_name(f"{self._path.name}.{self._generations + 1}").unlink(missing_ok=True)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        self._file.close()
