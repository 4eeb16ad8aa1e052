"""One try with one candidate: the call, the gate before the first content, and the rest of the answer.

What comes before the first content is held (`GATE_BYTES_MAX`): until then a failure is another candidate's chance, from
then on it is told to the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from proxy.dispatch.affinity import RESUMING_HEADER, conversation_of
from proxy.dispatch.inquiry import Inquiry
from proxy.dispatch.passage import Passage, Plan, Seen, Whole, not_json
from proxy.dispatch.plain import PlainPlan, comes_whole
from proxy.errors import Unreachable, UpstreamError
from proxy.hub.events import Failure
from proxy.hub.loss import Loss
from proxy.upstream.base import Answer, Deadlines, Flowing, Upstream
from proxy.wire.base import Wire

GATE_BYTES_MAX = 32 * 1024
WHOLE_BYTES_MAX = 256 * 1024 * 1024
ERROR_BYTES_MAX = 1024 * 1024
REST_SECONDS = 5.0
"""For what an upstream still has to say after the end of its answer."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer. `headers`: the upstream's, for when it may be asked again. `status`: None when there was no head."""

    failure: Failure
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None


class Attempt:
    """`start`, and when that gave nothing back: `first`, then `next` until it is empty. `close` in any case."""

    def __init__(self, plan: Plan, wire: Wire, *, is_stream: bool, deadlines: Deadlines) -> None:
        """`wire`: the upstream's."""
        self._deadlines = deadlines
        self.plan = plan
        self.seen = Seen()
        self.first = b""
        self.status = 0
        self.headers: Mapping[str, str] = _NO_HEADERS
        self.is_over = False
        self._wire = wire
        self._is_stream = is_stream
        self._answer: Answer | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._passage: Passage | None = None
        self._losses: tuple[Loss, ...] = ()
        self._is_prewarm = False

    def losses(self) -> tuple[Loss, ...]:
        """Of the request and, so far, of the answer."""
        told = self._passage.losses() if self._passage is not None else ()
        return (*self.plan.losses, *self._losses, *told)

    async def start(self, upstreams: Mapping[str, Upstream], inquiry: Inquiry) -> Failed | None:
        """None: the first content is there. However it ends, nothing is raised that an upstream can cause.

        `upstreams`: by executor.
        """
        call = self.plan.call
        call.request_id, call.deadlines = inquiry.request_id, self._deadlines
        self._is_prewarm = inquiry.said is not None and inquiry.said.is_prewarm
        if call.account is not None:
            call.session = conversation_of(inquiry)
            call.is_resuming = RESUMING_HEADER in inquiry.headers
        try:
            answer = self._answer = await upstreams[call.executor].send(call)
            self.status, self.headers = answer.status, answer.headers
            failure = await self._first_content(answer)
        except UpstreamError as error:
            failure = _fault(error)
        if failure is None:
            return None
        self.is_over = True
        return Failed(failure, self.headers, self.status or None)

    async def _first_content(self, answer: Answer) -> Failure | None:
        if not 200 <= answer.status < 300:
            return await self._refusal(answer)
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/html":
            return not_json(b"<html")
        if (
            not comes_whole(kind)
            if isinstance(self.plan, PlainPlan)
            else self._is_stream and kind != "application/json"
        ):
            return await self._gate(answer)
        body = await answer.read(WHOLE_BYTES_MAX)
        await answer.release()
        return self._whole(self.plan.streamed(body) if self._is_stream else self.plan.whole(body))

    async def _refusal(self, answer: Answer) -> Failure:
        if answer.status < 400:
            message = f"the upstream answered with {answer.status}, which leads elsewhere: is its base-url right?"
            return Failure(kind="unavailable", status=502, message=message)
        try:
            body = await answer.read(ERROR_BYTES_MAX)
        except UpstreamError:
            body = b""  # the status says enough
        await answer.release()
        return self._wire.parse_error(answer.status, answer.headers, body)

    def _whole(self, whole: Whole) -> Failure | None:
        self.is_over = True
        self.seen, self.first, self._losses = whole.seen, whole.body, whole.losses
        return whole.seen.failure or (_empty() if whole.seen.is_empty else None)

    async def _gate(self, answer: Answer) -> Failure | None:
        passage = self._passage = self.plan.passage()
        seen = self.seen = passage.seen
        self._chunks = answer.chunks()
        held: list[bytes] = []
        size = received = 0
        async for chunk in self._chunks:
            told = passage.feed(chunk)
            received += len(chunk)
            if told:
                held.append(told)
                size += len(told)
            if seen.has_content or seen.failure is not None or seen.is_ended or size > GATE_BYTES_MAX:
                break
        else:
            self.is_over = True
            if not received:
                return _empty()
            held.append(passage.finish())
        if not seen.has_content and size <= GATE_BYTES_MAX:
            if seen.failure is not None:
                return seen.failure
            if seen.is_empty and not self._is_prewarm:
                self.first = b"".join([*held, *[told async for told in self._rest()]])
                return _empty()
        self.first = b"".join(held)
        if seen.failure is not None:
            self.first += self._end_with(seen.failure)
        return None

    async def _rest(self) -> AsyncIterator[bytes]:
        while told := await self.next():
            yield told

    @property
    def is_blank(self) -> bool:
        """A proper answer, there to its end, that says nothing: better than none."""
        return self.is_over and self.seen.is_empty and self.seen.failure is None and bool(self.first)

    async def next(self) -> bytes:
        """The next complete frames for the client; nothing when the answer is over. It never ends in silence: when the
        upstream breaks, the last thing given is the dialect's terminal error.
        """
        passage, chunks = self._passage, self._chunks
        while passage is not None and chunks is not None and not self.is_over:
            try:
                told = passage.feed(await self._more(chunks))
            except StopAsyncIteration:
                self.is_over = True
                told = passage.finish()
            except UpstreamError as error:
                self.seen.failure = self.seen.failure or _fault(error)
                told = b""
            if self.seen.failure is not None:
                told += self._end_with(self.seen.failure)
            if told:
                return told
        return b""

    async def flow(self, give: Callable[[bytes], bool]) -> None:
        """Gives what comes where it comes, as long as that is content and `give` says that there may be more; `next`
        goes on.
        """
        passage, seen = self._passage, self.seen
        answer: object = self._answer
        if passage is None or self.is_over or seen.is_ended or not isinstance(answer, Flowing):
            return

        def take(data: bytes) -> bool:
            told = passage.feed(data)
            if seen.failure is not None:
                told += self._end_with(seen.failure)
            return (not told or give(told)) and not (self.is_over or seen.is_ended)

        await answer.flow(take)

    async def _more(self, chunks: AsyncIterator[bytes]) -> bytes:
        """Once its own end was there, the answer is not waited for much longer, nor broken by how its bytes end."""
        if not self.seen.is_ended:
            return await anext(chunks)
        try:
            async with asyncio.timeout(REST_SECONDS):
                return await anext(chunks)
        except (TimeoutError, UpstreamError):
            self.abort()
            raise StopAsyncIteration from None

    def _end_with(self, failure: Failure) -> bytes:
        self.is_over = True
        self.abort()
        return b"" if self._passage is None else self._passage.fail(failure)

    def abort(self) -> None:
        """The upstream's connection is closed at once."""
        if self._answer is not None:
            self._answer.abort()

    async def close(self) -> None:
        """Whatever is left of it. May be called again."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if not self.is_over:
            answer.abort()  # whoever answers hears of it before the books do
        if self._passage is not None and not self.seen.is_ended:
            self._passage.look_back()
        if self.is_over and self.seen.failure is None:
            await answer.release()
        else:
            answer.abort()
        aclose = getattr(self._chunks, "aclose", None)
        if aclose is not None:
            with suppress(UpstreamError):
                await aclose()


def _fault(error: UpstreamError) -> Failure:
    failure = Failure.of(error)
    return replace(failure, code="unreachable") if isinstance(error, Unreachable) else failure


def _empty() -> Failure:
    return Failure(kind="stream_corrupt", status=502, code="empty_answer", message="the upstream answered nothing")
