"""Looks at a path again whenever it may lead to other content: stirred by a watch, and now and then without one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from auth.trail import Watch

POLL_SECONDS = 0.5
"""Between looks at what no watch tells: network folders, container mounts, a folder that was replaced."""
SETTLE_SECONDS = 0.06
SETTLE_ROUNDS_MAX = 8
"""So long a file may stay empty, missing or in motion before it is taken as it is."""


class Lookout:
    """Lives on `loop`. `look` is called there at the start and after each change, when the path keeps still. What it
    raises goes to the loop's exception handler, and watching goes on.

    `signature` differs when there is something to look at, and `is_whole` says that nobody is half-way through writing;
    both may touch the disk, and are called in a thread. `inside`: as for `Watch`. `poll_seconds`: None for no looks
    beside the watch's.
    """

    def __init__(
        self,
        path: Path,
        *,
        loop: asyncio.AbstractEventLoop,
        signature: Callable[[], object],
        is_whole: Callable[[], bool],
        look: Callable[[], Awaitable[None]],
        inside: Callable[[str], bool] | None = None,
        poll_seconds: float | None = POLL_SECONDS,
    ) -> None:
        self._loop = loop
        self._signature = signature
        self._is_whole = is_whole
        self._look = look
        self._poll_seconds = poll_seconds
        self._stirred = asyncio.Event()
        self._watch = Watch(path, self._stir, inside=inside)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._watch.open()
        self._stirred.set()  # it may have changed since it was loaded
        self._task = self._loop.create_task(self._run(), name="lookout")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self._watch.close)

    def _stir(self) -> None:
        """Called by the watch's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested
            self._loop.call_soon_threadsafe(self._stirred.set)

    async def _run(self) -> None:
        signature = await asyncio.to_thread(self._signature)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._stirred.wait()
            if not self._stirred.is_set() and await asyncio.to_thread(self._signature) == signature:
                continue
            self._stirred.clear()
            await asyncio.to_thread(self._watch.follow)
            signature = await self._settled()
            (fault,) = await asyncio.gather(self._look(), return_exceptions=True)
            if fault is not None:
                self._loop.call_exception_handler({"message": "a look has failed", "exception": fault})

    async def _settled(self) -> object:
        """Wait until it keeps still and is whole; its signature then."""
        before = await asyncio.to_thread(self._signature)
        for _ in range(SETTLE_ROUNDS_MAX):
            await asyncio.sleep(SETTLE_SECONDS)
            after = await asyncio.to_thread(self._signature)
            if after == before and await asyncio.to_thread(self._is_whole):
                break
            before = after
        return before
