"""One request that a CLI makes of its provider for a caller, and the answer, which both of them read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from proxy.hub.residue import JsonObject, JsonValue
from proxy.upstream.acp_script import Called
from proxy.upstream.base import Answer, Call


class Listener(Protocol):
    """Reads the answer on its way. `feed`, `rest`: what the caller gets of it. `is_over`: its own end was there."""

    @property
    def is_over(self) -> bool: ...

    @property
    def is_remembered(self) -> bool:
        """Whether the CLI goes on from it."""
        ...

    @property
    def error(self) -> JsonValue:
        """What went wrong, where the answer says so."""
        ...

    @property
    def calls(self) -> tuple[Called, ...]: ...

    @property
    def parts(self) -> list[JsonObject]: ...

    def feed(self, data: bytes) -> bytes: ...

    def rest(self) -> bytes: ...

    def whole(self) -> JsonObject | None: ...


class Exchange:
    def __init__(self, call: Call, listener: Listener) -> None:
        self.call = call
        self.listener = listener
        self.answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.is_cut = False
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._answer: Answer | None = None

    def begin(self, answer: Answer) -> None:
        self._answer = answer
        if self.answered.cancelled():
            answer.abort()
        else:
            self.answered.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
            self.answered.exception()  # it may be that nobody waits any more

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """For the caller. Raises `Silent` or `Broken`."""
        assert self._answer is not None
        try:
            async for piece in self._answer.chunks():
                self._pieces.put_nowait(piece)
                if told := self.listener.feed(piece):
                    yield told
            if told := self.listener.rest():
                yield told
        finally:
            self.end()

    def end(self) -> None:
        """No more will come: the CLI is told the end, or that there was none."""
        self.is_cut = self.is_cut or not self.listener.is_over
        self._pieces.put_nowait(None)

    def abort(self) -> None:
        self.answered.cancel()
        self.end()
        if self._answer is not None:
            self._answer.abort()

    async def echoed(self) -> AsyncIterator[bytes]:
        """For the CLI."""
        while (piece := await self._pieces.get()) is not None:
            yield piece
