from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest
from multidict import CIMultiDict
from yarl import URL

from proxy.errors import Broken, Unreachable, UpstreamError
from proxy.upstream.base import Answer, Call
from proxy.upstream.codex_relay import CodexRelay, Exchange, Line, Way
from tests.proxy.upstream.reply import Reply

BASE = "https://chatgpt.test/backend-api"
LOGIN = {"authorization": "Bearer at-harbour", "chatgpt-account-id": "harbour"}
COMPLETED = b'data: {"type":"response.completed","response":{"id":"resp_1"}}\n\n'


BEGUN = b'data: {"type":"response.created"}\n\n'


class Http:
    """`proxy.upstream.base.Upstream`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer: Reply | UpstreamError = Reply((BEGUN, COMPLETED))
        self.held: asyncio.Event | None = None
        self.is_asked = asyncio.Event()
        self.is_cancelled = False

    async def send(self, call: Call) -> Answer:
        self.calls.append(call)
        self.is_asked.set()
        if self.held is not None:
            try:
                await self.held.wait()
            except asyncio.CancelledError:
                self.is_cancelled = True
                raise
        if isinstance(self.answer, UpstreamError):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        pass


@dataclass(eq=False)
class Quay:
    """A relay, one process's line, and the process as the test plays it."""

    http: Http
    relay: CodexRelay
    line: Line
    session: aiohttp.ClientSession
    strays: list[str] = field(default_factory=list)
    now: float = 0.0

    def call(self) -> Call:
        return Call(method="POST", url=f"{BASE}/codex/responses", headers=tuple(LOGIN.items()), proxy_url="http://eg:1")

    def asking(self, thread: str, kind: str = "turn", **headers: str) -> Any:
        told = {**LOGIN, "thread-id": thread, "content-encoding": "zstd", "originator": "proxy", **headers}
        told["x-codex-turn-metadata"] = msgspec.json.encode({"request_kind": kind}).decode()
        return self.session.post(f"{self.line.address}/codex/responses", data=b"\x28\xb5zstd", headers=told)


@pytest.fixture
async def quay() -> AsyncIterator[Quay]:
    http = Http()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        quay = Quay(http=http, relay=None, line=None, session=session)  # type: ignore[arg-type]
        quay.relay = CodexRelay(http, clock=lambda: quay.now)
        quay.line = await quay.relay.open(Way(base=BASE, proxy_url="http://eg:1"))
        quay.line.on_stray = quay.strays.append
        yield quay
    await quay.relay.close()


async def told(exchange: Exchange) -> bytes:
    await exchange.answered
    return b"".join([piece async for piece in exchange.chunks()])


async def test_a_turn_goes_on_as_it_is_and_its_answer_comes_to_both(quay: Quay) -> None:
    exchange = quay.line.expect("thread-1", quay.call())
    async with quay.asking("thread-1") as response:
        caller = asyncio.create_task(told(exchange))
        assert await response.read() == await caller == BEGUN + COMPLETED
        assert response.headers["content-type"] == "text/event-stream"
    (call,) = quay.http.calls
    headers = CIMultiDict(call.headers)
    assert (call.method, call.url, call.body, call.proxy_url) == (
        "POST",
        f"{BASE}/codex/responses",
        b"\x28\xb5zstd",
        "http://eg:1",
    )
    assert (headers["content-encoding"], headers["originator"]) == ("zstd", "proxy")
    assert exchange.listener.is_completed


async def test_what_nobody_has_asked_for_goes_nowhere(quay: Quay) -> None:
    quay.line.expect("thread-1", quay.call())
    for thread, kind in (("thread-2", "turn"), ("thread-1", "compact"), ("thread-1", "prewarm"), ("", "turn")):
        async with quay.asking(thread, kind) as response:
            assert response.status == 400
    assert quay.strays == ["thread-2", "thread-1", "thread-1", ""]
    assert quay.http.calls == []


async def test_a_second_try_goes_nowhere(quay: Quay) -> None:
    exchange = quay.line.expect("thread-1", quay.call())
    quay.http.answer = Reply((b"oops",), status=500)
    async with quay.asking("thread-1") as response:
        assert response.status == 400
    answer = await exchange.answered
    assert (answer.status, await answer.read(99)) == (500, b"oops")
    async with quay.asking("thread-1") as response:
        assert response.status == 400
    assert (len(quay.http.calls), quay.strays) == (1, ["thread-1"])


async def test_a_request_that_breaks_off_in_its_body_leaves_its_caller_to_be_told(quay: Quay) -> None:
    exchange = quay.line.expect("thread-1", quay.call())
    url = URL(quay.line.address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = 'thread-id: thread-1\r\nx-codex-turn-metadata: {"request_kind":"turn"}\r\ncontent-length: 99\r\n\r\n'
    writer.write(f"POST {url.path}/codex/responses HTTP/1.1\r\nhost: x\r\n{head}begun".encode())
    async with quay.session.get(f"{quay.line.address}/nothing"):
        """The relay has read it by now: both came by the same loop, one after the other."""
    writer.close()
    await reader.read()
    quay.relay.remove(quay.line)
    with pytest.raises(Broken, match="the codex CLI has ended"):
        await exchange.answered


async def test_another_account_s_name_is_refused(quay: Quay) -> None:
    exchange = quay.line.expect("thread-1", quay.call())
    async with quay.asking("thread-1", authorization="Bearer at-quay") as response:
        assert response.status == 400
    with pytest.raises(Broken, match="another account"):
        await exchange.answered
    assert quay.http.calls == []


async def test_a_backend_that_cannot_be_reached_is_the_caller_s_to_know(quay: Quay) -> None:
    exchange = quay.line.expect("thread-1", quay.call())
    quay.http.answer = Unreachable("nobody is there")
    async with quay.asking("thread-1") as response:
        assert response.status == 400
    with pytest.raises(Unreachable):
        await exchange.answered


async def test_a_caller_that_is_gone_ends_both_ends(quay: Quay) -> None:
    said = quay.http.answer = Reply((BEGUN, COMPLETED), held=asyncio.Event())
    exchange = quay.line.expect("thread-1", quay.call())
    async with quay.asking("thread-1") as response:
        await exchange.answered
        pieces = exchange.chunks()
        assert await anext(pieces) == BEGUN
        exchange.abort()
        assert said.is_aborted
        with pytest.raises(aiohttp.ClientError):
            await response.read()
        with pytest.raises(Broken):
            await anext(pieces)


async def test_a_caller_that_does_not_wait_for_the_head_ends_the_request(quay: Quay) -> None:
    quay.http.held = asyncio.Event()
    exchange = quay.line.expect("thread-1", quay.call())
    asking = asyncio.create_task(quay.asking("thread-1").__aenter__())
    await exchange.asked.wait()
    await quay.http.is_asked.wait()
    exchange.abort()
    assert (await asking).status == 400
    assert quay.http.is_cancelled
    (await asking).close()


async def test_a_caller_that_has_heard_the_end_leaves_codex_its_own(quay: Quay) -> None:
    """The connection to the backend may stay open after the last event."""
    quay.http.answer = Reply((COMPLETED,), held=asyncio.Event())
    exchange = quay.line.expect("thread-1", quay.call())
    async with quay.asking("thread-1") as response:
        await exchange.answered
        assert await anext(exchange.chunks()) == COMPLETED
        exchange.abort()
        assert await response.read() == COMPLETED


async def test_what_is_told_about_an_account_is_believed_for_a_while(quay: Quay) -> None:
    quay.http.answer = Reply((b'{"a":1}',), headers={"content-type": "application/json"})

    async def about(path: str = "wham/settings/user?x=1", **headers: str) -> tuple[int, bytes]:
        url = f"{quay.line.address}/backend-api/{path}"
        async with quay.session.get(url, headers={**LOGIN, **headers}) as response:
            return response.status, await response.read()

    assert await about() == await about() == (200, b'{"a":1}')
    (call,) = quay.http.calls
    assert (call.method, call.url) == ("GET", f"{BASE}/wham/settings/user?x=1")
    await about(authorization="Bearer at-quay")
    assert len(quay.http.calls) == 2, "one account's is not another's"
    quay.now = 1000.0
    await about()
    assert len(quay.http.calls) == 3
    quay.http.answer = Reply((b"busy",), status=503)
    assert await about("wham/accounts/check") == (503, b"busy")
    quay.http.answer = Unreachable("nobody is there")
    assert (await about("wham/accounts/check"))[0] == 502


async def test_every_other_way_is_closed(quay: Quay) -> None:
    base = quay.line.address
    asked = [
        ("GET", f"{base}/backend-api/plugins", 404),
        ("POST", f"{base}/backend-api/wham/tasks", 404),
        ("POST", f"{base}/codex/responses/compact", 404),
        ("GET", f"{base}/codex/models", 404),
        ("GET", f"{base.rpartition('/')[0]}/guess/backend-api/wham/usage", 404),
        ("GET", f"{base}/codex/responses", 404),
    ]
    for method, url, status in asked:
        async with quay.session.request(method, url) as response:
            assert response.status == status, url
    async with quay.session.get(f"{base}/codex/responses", headers={"upgrade": "websocket"}) as response:
        assert response.status == 426
    async with quay.session.get("http://api.openai.test/v1/models", proxy=quay.line.proxy) as response:
        assert response.status == 404
    assert quay.http.calls == []


async def test_a_line_that_is_taken_down_tells_whoever_waits(quay: Quay) -> None:
    exchange = quay.line.expect("thread-1", quay.call())
    quay.relay.remove(quay.line)
    with pytest.raises(Broken, match="has ended"):
        await exchange.answered
    async with quay.asking("thread-1") as response:
        assert response.status == 404
