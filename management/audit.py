"""Who changed what, and what it was before: one JSON line for each change, in a file of its own. Never a secret."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from proxy.observe.log_file import LogFile


class Audit:
    """Safe to use from several threads. A disk that is full costs lines, not changes; `missed` counts them."""

    def __init__(self, path: Path, *, now: Callable[[], float], redact: Callable[[str], str]) -> None:
        self._path = path
        self._now = now
        self._redact = redact
        self._lock = threading.Lock()
        self._file: LogFile | None = None
        self.missed = 0

    def note(self, **fields: object) -> None:
        """Blocks for a moment."""
        line = msgspec.json.encode({"at": round(self._now(), 3), **fields}, enc_hook=str).decode()
        raw = self._redact(line).encode() + b"\n"
        with self._lock:
            try:
                self._file = self._file or LogFile(self._path)
                self._file.write(raw)
            except OSError:
                self.missed += 1

    def close(self) -> None:
        with self._lock, suppress(OSError):
            if self._file is not None:
                self._file.close()
                self._file = None
