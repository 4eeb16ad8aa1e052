"""A provider's answer, as tests of those who read it have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from multidict import CIMultiDict

from proxy.errors import Broken


@dataclass(eq=False)
class Reply:
    """`proxy.upstream.base.Answer`. `held`: set, and the rest comes."""

    pieces: tuple[bytes, ...]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: CIMultiDict({"content-type": "text/event-stream"}))
    held: asyncio.Event | None = None
    is_aborted: bool = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for piece in self.pieces:
            yield piece
            if self.held is not None:
                await self.held.wait()
            if self.is_aborted:
                raise Broken("cut")

    async def read(self, bytes_max: int) -> bytes:
        return b"".join(self.pieces)[:bytes_max]

    async def release(self) -> None:
        pass

    def abort(self) -> None:
        self.is_aborted = True
        if self.held is not None:
            self.held.set()
