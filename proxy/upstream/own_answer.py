"""An answer of our own, in the provider's dialect, where the provider is not asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from multidict import CIMultiDict


class Told:
    """`proxy.upstream.base.Answer`. `body`: JSON."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = CIMultiDict({"content-type": "application/json"})
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def read(self, bytes_max: int) -> bytes:
        return self._body[:bytes_max]

    async def release(self) -> None:
        pass

    def abort(self) -> None:
        pass
