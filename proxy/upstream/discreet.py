"""What a provider answers when it refuses may hold what it was sent: the key, taken over into an error's text, or into
a header (T18). Nothing of it goes on to the client, to logs or to recordings. Good answers pass untouched, unread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from multidict import CIMultiDict

from proxy.upstream.base import Answer, Call, Upstream

Redact = Callable[[bytes], bytes]


class Discreet:
    """`proxy.upstream.base.Upstream` around another one. `redact`: takes secrets out."""

    def __init__(self, upstream: Upstream, redact: Redact) -> None:
        self._upstream = upstream
        self._redact = redact

    async def send(self, call: Call) -> Answer:
        answer = await self._upstream.send(call)
        return answer if answer.status < 300 else _Refusal(answer, self._redact)

    async def close(self) -> None:
        await self._upstream.close()


class _Refusal:
    def __init__(self, answer: Answer, redact: Redact) -> None:
        self._answer = answer
        self._redact = redact
        self.status = answer.status
        self.headers: Mapping[str, str] = CIMultiDict(
            (name, redact(value.encode()).decode()) for name, value in answer.headers.items()
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        """In one piece: a secret may lie across two."""
        yield self._redact(b"".join([chunk async for chunk in self._answer.chunks()]))

    async def read(self, bytes_max: int) -> bytes:
        return self._redact(await self._answer.read(bytes_max))

    async def release(self) -> None:
        await self._answer.release()

    def abort(self) -> None:
        self._answer.abort()
