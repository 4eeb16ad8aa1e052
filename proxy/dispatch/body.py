"""What the server reads of an answer: chunks of complete frames, an end that settles, an abort that takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.dispatch.inquiry import Refused
from proxy.upstream.base import Flowing

if TYPE_CHECKING:
    from proxy.dispatch.attempt import Attempt
    from proxy.dispatch.pursuit import Pursuit


class Body(Flowing):
    """Of an attempt, or of a task that is still looking for one. An object rather than a generator: it must be able to
    clean up even when nobody ever read from it.
    """

    def __init__(self, pursuit: Pursuit | None, source: Attempt | asyncio.Task[Attempt] | None) -> None:
        self._pursuit = pursuit
        self._task = source if isinstance(source, asyncio.Task) else None
        self._attempt = None if isinstance(source, asyncio.Task) else source
        self._ready = b""
        self._is_closed = False
        if self._attempt is not None:
            self._ready, self._attempt.first = self._attempt.first, b""

    @classmethod
    def of(cls, content: bytes) -> Body:
        """An answer of our own."""
        body = cls(None, None)
        body._ready = content
        return body

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if self._is_closed:
            raise StopAsyncIteration
        try:
            chunk = await self._next()
        except asyncio.CancelledError:
            if self._attempt is not None:
                self._attempt.abort()
            raise
        if not chunk:
            await self.aclose()
            raise StopAsyncIteration
        return chunk

    async def flow(self, take: Callable[[bytes], bool]) -> None:
        """`proxy.upstream.base.Flowing`."""
        if self._attempt is None or self._ready or self._is_closed:
            return
        try:
            await self._attempt.flow(take)
        except asyncio.CancelledError:
            self._attempt.abort()
            raise

    async def _next(self) -> bytes:
        if self._task is not None:
            try:
                self._attempt = await self._task
            except Refused as refused:
                self._task = None
                return b"" if self._pursuit is None else self._pursuit.last_words(refused)
            self._task = None
            self._ready, self._attempt.first = self._attempt.first, b""
        if self._ready:
            ready, self._ready = self._ready, b""
            return ready
        return b"" if self._attempt is None else await self._attempt.next()

    async def aclose(self) -> None:
        """Settles. What was not read to its end is aborted at once. May be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled() and task.exception() is None:
                self._attempt = task.result()
        if self._attempt is not None and self._pursuit is not None:
            await self._pursuit.end(self._attempt)
