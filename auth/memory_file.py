"""The file of a pool's memory: read once, then written whenever something has changed, never on the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from auth import atomic, memory
from auth.pool import Pool

FOLDER = "state"
NAME = "pool.json"
EVERY_SECONDS = 2.0
"""Changes are gathered for so long; a kill loses no more."""
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class MemoryFile:
    """``<auth-dir>/state/pool.json``, 0600. `monotonic`: the pool's clock. `is_wanted`: whether what there is to
    remember is of real accounts. `tell`: gets a sentence about what went wrong; a disk that fails costs the memory,
    never a request.
    """

    def __init__(
        self,
        auth_dir: Path,
        pool: Pool,
        *,
        monotonic: Callable[[], float],
        unix: Callable[[], float],
        is_wanted: Callable[[], bool],
        tell: Callable[[str], object],
    ) -> None:
        self.path = auth_dir / FOLDER / NAME
        self._pool = pool
        self._monotonic = monotonic
        self._unix = unix
        self._is_wanted = is_wanted
        self._tell = tell
        self._written = pool.revision
        self._is_failing = False

    def read(self) -> None:
        """Into the pool, which is empty."""
        try:
            memory.restore(self._pool, _contents(self.path), self._monotonic(), self._unix())
        except FileNotFoundError:
            pass
        except OSError as error:
            self._tell(f"{self.path} is ignored: {error.strerror}")
        except memory.Unreadable as error:
            self._tell(f"{self.path} is ignored: it {error}")
        self._written = self._pool.revision

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.save()

    async def save(self) -> None:
        """Where something has changed."""
        revision = self._pool.revision
        if revision == self._written or not self._is_wanted():
            return
        raw = memory.render(self._pool, self._monotonic(), self._unix())
        try:
            await asyncio.to_thread(atomic.replace, self.path, raw)
        except OSError as error:
            if not self._is_failing:
                self._tell(f"{self.path} cannot be written: {error.strerror}")
            self._is_failing = True
        else:
            self._written, self._is_failing = revision, False


def _contents(path: Path) -> bytes:
    """Raises OSError, `memory.Unreadable`."""
    descriptor = os.open(path, _READ_FLAGS)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - it is open already
        raw = file.read(memory.BYTES_MAX + 1)
    if len(raw) > memory.BYTES_MAX:
        raise memory.Unreadable(f"is larger than {memory.BYTES_MAX} bytes")
    return raw
