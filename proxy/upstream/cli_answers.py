"""What a caller reads of a turn that a CLI's own request carries: the provider's answer, as a stream or whole, or an
error of ours. Codex and the ACP CLIs have it alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Protocol

import msgspec
from multidict import CIMultiDict

from proxy.errors import Broken
from proxy.hub.residue import JsonObject
from proxy.upstream.base import Answer


class Listener(Protocol):
    @property
    def is_over(self) -> bool: ...


class Exchange(Protocol):
    """The CLI's request and its answer, which the caller reads."""

    @property
    def listener(self) -> Listener: ...

    def chunks(self) -> AsyncGenerator[bytes, None]: ...

    def abort(self) -> None: ...


class StreamedAnswer:
    """`proxy.upstream.base.Answer`: the provider's own. `settle` is called when it is over, perhaps again."""

    def __init__(self, answer: Answer, exchange: Exchange, settle: Callable[[], None]) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._exchange = exchange
        self._settle = settle

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            async with contextlib.aclosing(self._exchange.chunks()) as pieces:
                async for piece in pieces:
                    if self._exchange.listener.is_over:
                        self._settle()  # before the caller can go on
                    yield piece
        finally:
            self._settle()

    async def read(self, bytes_max: int) -> bytes:
        pieces, size = [], 0
        async with contextlib.aclosing(self.chunks()) as chunks:
            async for piece in chunks:
                pieces.append(piece)
                size += len(piece)
                if size > bytes_max:
                    self.abort()
                    raise Broken(f"the answer is longer than {bytes_max} bytes")
        return b"".join(pieces)

    async def release(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._exchange.abort()
        self._settle()


class WholeAnswer:
    """The same, for a caller that wants it at once: these CLIs know streams only. `whole`: is asked at the stream's
    end, with how many bytes it had; raises `Broken`.
    """

    def __init__(self, streamed: StreamedAnswer, whole: Callable[[int], JsonObject]) -> None:
        self.status = streamed.status
        self.headers: Mapping[str, str] = CIMultiDict({**streamed.headers, "content-type": "application/json"})
        self._streamed = streamed
        self._whole = whole

    async def chunks(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._streamed.chunks():
            size += len(piece)
        yield msgspec.json.encode(self._whole(size))

    async def read(self, bytes_max: int) -> bytes:
        whole = b"".join([piece async for piece in self.chunks()])
        if len(whole) > bytes_max:
            raise Broken(f"the answer is longer than {bytes_max} bytes")
        return whole

    async def release(self) -> None:
        await self._streamed.release()

    def abort(self) -> None:
        self._streamed.abort()
