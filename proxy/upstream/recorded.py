"""An upstream that is recorded: what was sent and what came back, as `proxy.observe.record` writes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from yarl import URL

from proxy.errors import Broken, Silent, Unreachable, UpstreamError
from proxy.observe.record import Recorder, Take
from proxy.observe.recording import Request
from proxy.upstream.base import Answer, Call, Prompt, Ready, Upstream
from proxy.upstream.begun import Begun

_FAULTS: tuple[tuple[type[UpstreamError], str], ...] = ((Unreachable, "refuse"), (Silent, "stall"), (Broken, "cut"))


class RecordedUpstream:
    """`proxy.upstream.base.Upstream` around another one."""

    def __init__(self, upstream: Upstream, recorder: Recorder) -> None:
        self._upstream = upstream
        self._recorder = recorder

    async def send(self, call: Call) -> Answer:
        url = URL(call.url, encoded=True)
        request = Request(
            method=call.method,
            path=url.path,
            query=tuple(url.query.items()),
            headers=(("Host", url.raw_authority), *call.headers),
            body=call.body,
        )
        take = self._recorder.start("upstream", request, request_id=call.request_id)
        try:
            answer = await self._upstream.send(call)
        except (UpstreamError, asyncio.CancelledError) as error:
            take.finish(_kind(error))
            raise
        take.head(answer.status, tuple(answer.headers.items()))
        return _RecordedAnswer(answer, take)

    async def close(self) -> None:
        await self._upstream.close()


class Door:
    """`proxy.upstream.base.Upstream` around another one: recorded while `is_wanted`. `recorder` is asked once."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        is_wanted: Callable[[], bool],
        recorder: Callable[[], Recorder],
        prompt: Prompt | None = None,
    ) -> None:
        """`prompt`: what `upstream` leads to, where good answers come as they are; None: nothing is sent at once."""
        self._upstream = upstream
        self._prompt = prompt
        self._is_wanted = is_wanted
        self._make = recorder
        self._recorder: Recorder | None = None

    async def send(self, call: Call) -> Answer:
        if not self._is_wanted():
            return await self._upstream.send(call)
        self._recorder = self._recorder or self._make()
        return await RecordedUpstream(self._upstream, self._recorder).send(call)

    def ready(self, call: Call) -> Ready | None:
        """`proxy.upstream.base.Prompt`."""
        ready = None if self._prompt is None else self._prompt.ready(call)
        return None if ready is None else _ReadyDoor(ready, self._is_wanted)

    async def close(self) -> None:
        await self._upstream.close()
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)


class _ReadyDoor:
    """`proxy.upstream.base.Ready`."""

    __slots__ = ("_is_wanted", "_ready")

    def __init__(self, ready: Ready, is_wanted: Callable[[], bool]) -> None:
        self._ready = ready
        self._is_wanted = is_wanted

    def begin(self, body: bytes, tell: Callable[[], None]) -> Begun | None:
        return None if self._is_wanted() else self._ready.begin(body, tell)


class _RecordedAnswer:
    def __init__(self, answer: Answer, take: Take) -> None:
        self._answer = answer
        self._take = take

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.chunks():
                self._take.frame(chunk)
                yield chunk
        except UpstreamError as error:
            self._take.finish(_kind(error))
            raise
        self._take.finish()

    async def read(self, bytes_max: int) -> bytes:
        try:
            body = await self._answer.read(bytes_max)
        except UpstreamError as error:
            self._take.finish(_kind(error))
            raise
        self._take.frame(body)
        self._take.finish()
        return body

    async def release(self) -> None:
        self._take.finish("cut")  # unless its end has been seen
        await self._answer.release()

    def abort(self) -> None:
        self._take.finish("cut")
        self._answer.abort()


def _kind(error: BaseException) -> str:
    """A call that was cancelled had no answer until then."""
    return next((kind for types, kind in _FAULTS if isinstance(error, types)), "stall")
