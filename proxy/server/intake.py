"""A request's body as it comes in, up to where its framing says that it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.server.head import BadHead, HeadReader
from proxy.server.visit import BrokenBody

READ_AHEAD_BYTES = 256 * 1024
"""Of a body that nobody reads yet."""


def _nothing() -> None:
    """There is nobody to be stopped."""


class Intake:
    """`proxy.server.visit.Source`. `feed` gives back what comes behind the body. `hold` and `go_on`: stop the sender,
    and let it go on, when somebody has read.
    """

    __slots__ = (
        "_error", "_go_on", "_hold", "_is_held", "_left", "_parts", "_reader", "_size", "_waiter", "is_complete"
    )  # fmt: skip

    def __init__(
        self, length: int | None, reader: HeadReader, hold: Callable[[], None], go_on: Callable[[], None]
    ) -> None:
        """`length`: None: it is chunked."""
        self._left = length
        self._reader = reader
        self._hold = hold
        self._go_on = go_on
        self._is_held = False
        self._parts: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self.is_complete = length == 0

    @classmethod
    def of(cls, content: bytes) -> Intake:
        """Of what has come already."""
        intake = cls(len(content), HeadReader(), _nothing, _nothing)
        intake.feed(content)
        return intake

    def feed(self, data: bytes) -> bytes:
        if self._left is None:
            return self._feed_chunked(data)
        size = len(data)
        if size < self._left:
            self._left -= size
            self._take(data)
            return b""
        rest = b""
        if size > self._left:
            data, rest = data[: self._left], data[self._left :]
        self._left = 0
        self.is_complete = True
        self._take(data)
        return rest

    def _feed_chunked(self, data: bytes) -> bytes:
        try:
            for part in self._reader.body(data):
                self._take(part)
        except BadHead:
            self.fail(BrokenBody("it is not chunked as HTTP has it"))
            return b""
        if self._reader.is_body_over:
            self.is_complete = True
            self._wake()
        return b""

    def _take(self, data: bytes) -> None:
        if data:
            self._parts.append(data)
            self._size += len(data)
            if self._size > READ_AHEAD_BYTES and not self.is_complete:
                self._is_held = True
                self._hold()
        self._wake()

    def fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def is_overrun(self) -> bool:
        """What came behind it cannot be answered."""
        return self._left is None and self._reader.is_overrun

    # what whoever reads uses

    @property
    def left(self) -> int:
        """How much is still to come of a body whose length was told."""
        return self._left or 0

    def look(self) -> bytes:
        """At what has come, which stays there."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    @property
    def is_held(self) -> bool:
        """As much has come as is kept for somebody who does not read."""
        return self._is_held

    def is_eof(self) -> bool:
        return self.is_complete

    async def readany(self) -> bytes:
        while not self._parts and not self.is_complete:
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        parts, self._parts, self._size = self._parts, [], 0
        if self._is_held:
            self._is_held = False
            self._go_on()
        return parts[0] if len(parts) == 1 else b"".join(parts)
