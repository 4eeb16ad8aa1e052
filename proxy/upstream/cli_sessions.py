"""Conversations that a client resumes by their name alone (``X-Claude-Session-ID``), whichever CLI it is that asks.

What was said is kept for them on the disk, so that a restart or another process makes no difference: one file for each,
0600, for a day after the last turn. Only who asks for it by that header has anything kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from auth import atomic
from proxy.hub.residue import JsonObject

FOLDER = "conversations"
KEPT_SECONDS = 86_400.0
KEPT_MAX = 1_000
BYTES_MAX = 32 * 1024 * 1024
"""Of one conversation; a longer one is not kept."""

_read = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Sessions:
    """`folder`: the server's state. Names are safe for files. `now`: Unix seconds."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder / FOLDER
        self._now = now
        self._saving: set[asyncio.Task[None]] = set()

    async def said(self, name: str) -> tuple[JsonObject, ...]:
        """What was kept; nothing, where there is nothing or it is too old."""
        await self.close()
        return await asyncio.to_thread(self._load, name)

    def keep(self, name: str, messages: Sequence[JsonObject]) -> None:
        """In the background."""
        task = asyncio.create_task(asyncio.to_thread(self._save, name, messages))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def close(self) -> None:
        """When all is written that was to be kept."""
        if self._saving:
            await asyncio.wait(self._saving)

    def _load(self, name: str) -> tuple[JsonObject, ...]:
        path = self._path(name)
        with contextlib.suppress(OSError, msgspec.DecodeError):
            if self._now() - path.stat().st_mtime <= KEPT_SECONDS:
                return tuple(_read(path.read_bytes()))
        return ()

    def _save(self, name: str, messages: Sequence[JsonObject]) -> None:
        raw = msgspec.json.encode(messages)
        if len(raw) > BYTES_MAX:
            self._path(name).unlink(missing_ok=True)
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # a full disk: the conversation is not kept, and its answer was given
            with atomic.locked(self._folder) as folder:
                atomic.put(folder, self._path(name).name, raw)
            os.utime(self._path(name), (self._now(), self._now()))
            self._clear()

    def _clear(self) -> None:
        """What is too old or too much, the oldest first."""
        files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
        for place, file in enumerate(files):
            if place >= KEPT_MAX or self._now() - file.stat().st_mtime > KEPT_SECONDS:
                file.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
