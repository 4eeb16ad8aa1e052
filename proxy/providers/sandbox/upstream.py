"""The upstream of the simulated accounts: takes the very request that a provider would get, and answers in its wire."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from multidict import CIMultiDict

from proxy.errors import Broken, Malformed, Unreachable
from proxy.hub.events import Failure, ResponseStart
from proxy.hub.residue import JsonObject
from proxy.hub.response import Usage
from proxy.providers.estimate import estimated_tokens
from proxy.providers.sandbox.accounts import ACCOUNT_HEADER, ALLOWANCES, LIMITED, PROVIDERS
from proxy.providers.sandbox.mind import answer, paced
from proxy.providers.sandbox.quota import SUBSCRIPTIONS, TELLINGS, Quotas
from proxy.upstream.base import Answer, Call
from proxy.wire.base import Reply, Wire, dumps, expect_object, loads
from proxy.wire.table import wire_named

PACE_SECONDS = 0.015
"""Between two pieces of a stream."""
_COUNTING = ("/count_tokens", "/input_tokens", ":countTokens")
_WIRES = {provider.name: provider.wire for provider in PROVIDERS}
_OVERLOADED = Failure(kind="overloaded", status=529, type="overloaded_error", message="Overloaded (simulated)")
_FAILED = Failure(kind="server", status=500, message="The simulated server had an error")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """One call, read."""

    wire: Wire
    account: str
    path: str
    model: str
    body: JsonObject
    is_stream: bool
    reply: Reply


class Sandbox:
    """`proxy.upstream.base.Upstream` without a network. The same calls at the same times get the same answers."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        pace_seconds: float = PACE_SECONDS,
    ) -> None:
        self._quotas = Quotas(monotonic, unix)
        self._unix = unix
        self._sleep = sleep
        self._pace_seconds = pace_seconds
        self._calls: Counter[tuple[str, str]] = Counter()
        self._served = 0

    async def close(self) -> None:
        """There is nothing to close."""

    async def send(self, call: Call) -> Answer:
        self._served += 1
        visit = self._read(call)
        if any(visit.path.endswith(each) for each in _COUNTING):
            return self._count(visit)
        await self._sleep(self._pace_seconds)
        reading = self._quotas.take(visit.account, visit.model)
        telling = (SUBSCRIPTIONS if visit.model == LIMITED else TELLINGS)[visit.wire.name]
        headers, refusal = telling(reading) if reading is not None else ({}, {})
        if reading is not None and reading.is_exceeded:
            return self._whole(refusal, 429, headers)
        mishap = self._mishap(visit)
        if mishap:
            return self._fail(visit, mishap)
        return self._answer(visit, headers)

    def _read(self, call: Call) -> _Visit:
        url = urlsplit(call.url)
        wire = wire_named(_WIRES[url.netloc])
        body = expect_object(loads(call.body), "")
        named = body.get("model")
        in_path = unquote(url.path.rpartition("/")[2].partition(":")[0])
        model = in_path if wire.name == "gemini" else named if isinstance(named, str) else ""
        return _Visit(
            wire=wire,
            account=dict(call.headers).get(ACCOUNT_HEADER, ""),
            path=url.path,
            model=model,
            body=body,
            is_stream=body.get("stream") is True or "stream" in url.path.rpartition(":")[2],
            reply=Reply(model=model, request_id=f"sandbox-{self._served}", created=int(self._unix())),
        )

    def _mishap(self, visit: _Visit) -> str:
        key = (visit.account, visit.model)
        allowance = ALLOWANCES.get(key)
        if allowance is None or not allowance.mishaps:
            return ""
        self._calls[key] += 1
        return allowance.mishaps[(self._calls[key] - 1) % len(allowance.mishaps)]

    def _fail(self, visit: _Visit, mishap: str) -> Answer:
        match mishap:
            case "overloaded" if visit.is_stream:
                return self._streamed(self._overloaded(visit), {})
            case "overloaded":
                return self._whole(visit.wire.render_error(_OVERLOADED), 529)
            case "server error":
                return self._whole(visit.wire.render_error(_FAILED), 500)
            case "web page":
                page = b"<!DOCTYPE html><html><title>502 Bad Gateway (simulated)</title></html>"
                return _SandboxAnswer(200, {"content-type": "text/html"}, _one(page))
            case "cut":
                return self._streamed(self._cut(visit), {})
            case _:
                raise Unreachable("the simulated connection was refused")

    async def _overloaded(self, visit: _Visit) -> AsyncIterator[bytes]:
        """Inside a 200, as it happens."""
        renderer = visit.wire.stream_renderer(visit.reply)
        yield renderer.feed(ResponseStart(id=visit.reply.request_id, model=visit.model, usage=Usage()))
        await self._sleep(self._pace_seconds)
        yield renderer.feed(_OVERLOADED)

    async def _cut(self, visit: _Visit) -> AsyncIterator[bytes]:
        renderer = visit.wire.stream_renderer(visit.reply)
        yield renderer.feed(ResponseStart(id=visit.reply.request_id, model=visit.model, usage=Usage()))
        raise Broken("the simulated connection was cut")

    def _answer(self, visit: _Visit, headers: Mapping[str, str]) -> Answer:
        try:
            request = visit.wire.parse_request(visit.body, model=visit.model, is_stream=visit.is_stream)
        except Malformed as error:
            return self._whole(visit.wire.render_error(Failure.of(error)), error.status)
        response = answer(request, wire=visit.wire.name)
        if not visit.is_stream:
            return self._whole(visit.wire.render_response(response, visit.reply).body, 200, headers)

        async def told() -> AsyncIterator[bytes]:
            renderer = visit.wire.stream_renderer(visit.reply)
            for event in paced(response):
                frame = renderer.feed(event)
                if frame:
                    yield frame
                    await self._sleep(self._pace_seconds)
            yield renderer.finish()

        return self._streamed(told(), headers)

    def _count(self, visit: _Visit) -> Answer:
        """Gemini's count may hold a whole request inside."""
        inner = visit.body.get("generateContentRequest")
        body = inner if isinstance(inner, dict) else visit.body
        try:
            request = visit.wire.parse_request(body, model=visit.model, is_stream=False)
        except Malformed as error:
            return self._whole(visit.wire.render_error(Failure.of(error)), error.status)
        return self._whole(visit.wire.render_count(estimated_tokens(request)))

    def _whole(self, body: JsonObject, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        return _SandboxAnswer(status, {"content-type": "application/json", **(headers or {})}, _one(dumps(body)))

    def _streamed(self, frames: AsyncIterator[bytes], headers: Mapping[str, str]) -> Answer:
        return _SandboxAnswer(200, {"content-type": "text/event-stream", **headers}, frames)


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


class _SandboxAnswer:
    def __init__(self, status: int, headers: Mapping[str, str], frames: AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers: Mapping[str, str] = CIMultiDict(headers)
        self._frames = frames

    async def chunks(self) -> AsyncIterator[bytes]:
        async for frame in self._frames:
            if frame:
                yield frame

    async def read(self, bytes_max: int) -> bytes:
        body = b"".join([frame async for frame in self.chunks()])
        if len(body) > bytes_max:
            raise Broken(f"the simulated answer is longer than {bytes_max} bytes")
        return body

    async def release(self) -> None:
        """Nothing is held."""

    def abort(self) -> None:
        """Whoever stops reading has stopped it."""
