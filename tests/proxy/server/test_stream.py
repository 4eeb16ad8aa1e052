from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.dispatch.inquiry import Inquiry, Outcome, Report
from proxy.server.connection import Patience
from proxy.server.stream import clean_headers
from tests.pace import SECONDS_MAX, quickest

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House, Open

NOTICE_SECONDS_MAX = 0.1
FRAME = b'data: {"n":1}\n\n'
NOTHING = b'{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"index":0}]}'


class Script:
    """A body that gives what a test puts in; `None` ends it, an exception is raised."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.closed_at: float | None = None
        self.given = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.queue.get()
        if chunk is None:
            raise StopAsyncIteration
        if isinstance(chunk, Exception):
            raise chunk
        self.given += 1
        return chunk

    async def aclose(self) -> None:
        self.closed_at = time.monotonic()
        self.closed.set()

    def play(self, house: House, *, content_type: str = "text/event-stream") -> Script:
        async def answer(inquiry: Inquiry) -> Outcome:
            return Outcome(
                status=200,
                headers=(("content-type", content_type),),
                body=self,
                report=Report(request_id=inquiry.request_id, model_asked=inquiry.model),
            )

        house.dispatcher.answer = answer
        return self


class Client:
    """Raw, so that the test sees each piece as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def ask(self, house: House, path: str, content: bytes) -> None:
        self.writer.write(
            b"POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (path.encode(), house.port, len(content), content)
        )

    async def head(self) -> bytes:
        async with asyncio.timeout(SECONDS_MAX):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def chunk(self) -> bytes:
        """Empty: the end."""
        async with asyncio.timeout(SECONDS_MAX):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2]


Ask = Callable[..., Awaitable[Client]]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    clients: list[Client] = []

    async def connect(
        house: House, path: str = "/v1/chat/completions", content: bytes = b'{"model":"big","stream":true}'
    ) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", house.port))
        clients.append(client)
        client.ask(house, path, content)
        return client

    yield connect
    for client in clients:
        client.writer.transport.abort()
        with suppress(ConnectionError):
            await client.writer.wait_closed()


async def test_frames_go_out_as_they_come_with_the_head_of_an_event_stream(house: House, ask: Ask) -> None:
    script = Script().play(house)
    client = await ask(house)
    script.queue.put_nowait(FRAME)
    head = (await client.head()).lower()
    for line in (b"content-type: text/event-stream", b"cache-control: no-cache", b"x-accel-buffering: no"):
        assert line in head
    assert b"content-length" not in head
    assert await client.chunk() == FRAME
    script.queue.put_nowait(b"data: 2\n\n")
    assert await client.chunk() == b"data: 2\n\n"
    script.queue.put_nowait(None)
    assert await client.chunk() == b""
    assert script.closed.is_set()


async def test_head_and_first_frame_leave_in_one_write(house: House, ask: Ask) -> None:
    script = Script().play(house)
    client = await ask(house)
    script.queue.put_nowait(FRAME)
    first = await client.reader.read(65536)
    assert first.startswith(b"HTTP/1.1 200 OK")
    assert FRAME in first


async def test_an_http_1_0_client_gets_plain_bytes_until_the_end(house: House) -> None:
    script = Script().play(house)
    for chunk in (FRAME, FRAME, None):
        script.queue.put_nowait(chunk)
    got = await house.raw(
        b"POST /v1/messages HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nContent-Length: 29\r\n\r\n" % house.port
        + b'{"model":"big","stream":true}'
    )
    assert got.partition(b"\r\n\r\n")[2] == FRAME * 2


async def test_googles_array_is_json(house: House, ask: Ask) -> None:
    script = Script().play(house, content_type="application/json")
    client = await ask(house, "/v1beta/models/g:streamGenerateContent", b"{}")
    script.queue.put_nowait(b"[{}")
    script.queue.put_nowait(b"]")
    script.queue.put_nowait(None)
    assert b"content-type: application/json\r\n" in (await client.head()).lower()
    assert [await client.chunk() for _ in range(3)] == [b"[{}", b"]", b""]


class TestHeartbeats:
    @pytest.mark.parametrize(
        ("path", "heartbeat"),
        [
            ("/v1/messages", b'event: ping\ndata: {"type": "ping"}\n\n'),
            ("/v1/responses", b": keep-alive\n\n"),
            ("/v1beta/models/g:streamGenerateContent?alt=sse", b"data: %b\r\n\r\n" % NOTHING),
            (
                "/v1internal:streamGenerateContent?alt=sse",
                b'data: {"response":%b,"traceId":"made-1"}\r\n\r\n' % NOTHING,
            ),
            ("/v1beta/models/g:streamGenerateContent", b"\n"),
        ],
    )
    async def test_each_dialect_has_its_own(self, open_house: Open, ask: Ask, path: str, heartbeat: bytes) -> None:
        house = await open_house(keepalive_seconds=1)
        Script().play(house)
        client = await ask(house, path, b'{"model":"big","stream":true,"request":{}}')
        await client.head()
        assert await client.chunk() == heartbeat

    async def test_silence_is_filled_also_before_the_first_frame(self, open_house: Open, ask: Ask) -> None:
        house = await open_house(keepalive_seconds=1)
        script = Script().play(house)
        client = await ask(house)
        assert (await client.head()).startswith(b"HTTP/1.1 200 OK")
        assert await client.chunk() == b": ping\n\n"
        script.queue.put_nowait(FRAME)
        assert await client.chunk() == FRAME
        assert await client.chunk() == b": ping\n\n"
        script.queue.put_nowait(None)
        assert await client.chunk() == b""

    async def test_none_when_they_are_switched_off(self, open_house: Open, ask: Ask) -> None:
        house = await open_house(keepalive_seconds=0)
        script = Script().play(house)
        client = await ask(house)
        script.queue.put_nowait(FRAME)
        await client.head()
        assert await client.chunk() == FRAME
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.reader.read(1)


async def test_nothing_of_an_answer_waits_for_the_collector_of_cycles(house: House, ask: Ask) -> None:
    """It comes by when millions of objects have been made: what waits for it is what a process grows by."""
    script = Script().play(house)
    client = await ask(house)
    script.queue.put_nowait(FRAME)
    await client.head()
    (exchange,) = house.app.exchanges
    kept = weakref.ref(exchange)
    del exchange
    gc.collect()
    gc.disable()
    try:
        script.queue.put_nowait(None)
        assert [await client.chunk() for _ in range(2)] == [FRAME, b""]
        async with asyncio.timeout(SECONDS_MAX):
            while kept() is not None:  # noqa: ASYNC110 - what is gone tells nobody
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


class TestTheClientIsGone:
    async def test_while_the_upstream_says_nothing(self, house: House, ask: Ask) -> None:
        async def leave() -> float:
            script = Script().play(house)
            client = await ask(house)
            script.queue.put_nowait(FRAME)
            await client.head()
            gone_at = time.monotonic()
            client.writer.transport.abort()
            async with asyncio.timeout(SECONDS_MAX):
                await script.closed.wait()
            assert script.closed_at is not None
            return script.closed_at - gone_at

        assert await quickest(leave, NOTICE_SECONDS_MAX) <= NOTICE_SECONDS_MAX
        while not house.log():  # noqa: ASYNC110 - the log is a list of bytes
            await asyncio.sleep(0.01)
        assert house.log()[0]["status"] == 499

    async def test_while_a_frame_is_on_its_way(self, house: House, ask: Ask) -> None:
        script = Script().play(house)
        client = await ask(house)
        script.queue.put_nowait(FRAME)
        await client.head()
        (exchange,) = house.app.exchanges
        transport = exchange.visit._front.transport
        assert transport is not None
        script.queue.put_nowait(FRAME)
        transport.abort()  # as it does when a write finds the client gone; that it is lost is told later
        async with asyncio.timeout(SECONDS_MAX):
            await script.closed.wait()
        while not house.log():  # noqa: ASYNC110 - the log is a list of bytes
            await asyncio.sleep(0.01)
        assert [(line["event"], line["status"]) for line in house.log()] == [("request.finished", 499)]

    async def test_before_the_answer_began(self, house: House, ask: Ask) -> None:
        cancelled = asyncio.Event()
        opened = asyncio.Event()

        async def wait_forever(_inquiry: Inquiry) -> Outcome:
            opened.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

        async def leave() -> float:
            opened.clear()
            cancelled.clear()
            client = await ask(house)
            await opened.wait()
            gone_at = time.monotonic()
            client.writer.transport.abort()
            async with asyncio.timeout(SECONDS_MAX):
                await cancelled.wait()
            return time.monotonic() - gone_at

        house.dispatcher.answer = wait_forever
        assert await quickest(leave, NOTICE_SECONDS_MAX) <= NOTICE_SECONDS_MAX
        while house.app.exchanges or not house.log():  # noqa: ASYNC110 - the log is a list of bytes
            await asyncio.sleep(0.01)
        assert house.log()[0]["status"] == 499

    async def test_while_a_whole_answer_is_collected(self, house: House, ask: Ask) -> None:
        script = Script().play(house)
        client = await ask(house, content=b'{"model":"big"}')
        script.queue.put_nowait(b"{")
        while not script.given:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        client.writer.transport.abort()
        async with asyncio.timeout(SECONDS_MAX):
            await script.closed.wait()

    async def test_T33_a_client_that_does_not_read_is_dropped(self, open_house: Open, ask: Ask) -> None:
        house = await open_house(patience=Patience(stall_seconds=0.3))
        script = Script().play(house)
        client = await ask(house)
        client.writer.transport.pause_reading()
        for _ in range(400):
            script.queue.put_nowait(b"data: " + b"x" * 65536 + b"\n\n")
        async with asyncio.timeout(SECONDS_MAX):
            await script.closed.wait()
        assert script.given < 400, "reading the upstream stops when the client's buffer is full"


class TestWhatBreaks:
    async def test_inside_the_stream_is_told_inside_the_stream(self, house: House, ask: Ask) -> None:
        script = Script().play(house)
        client = await ask(house, "/v1/messages")
        script.queue.put_nowait(FRAME)
        script.queue.put_nowait(ZeroDivisionError("a fault of ours"))
        await client.head()
        assert await client.chunk() == FRAME
        told = await client.chunk()
        assert told.startswith(b'event: error\ndata: {"type":"error","error":{"type":"api_error"')
        assert b"a fault of ours" not in told
        assert await client.chunk() == b""
        assert await client.reader.read() == b"", "the connection is closed"
        failed, finished = house.log()
        assert (failed["event"], finished["status"]) == ("request.failed", 200)
        assert "ZeroDivisionError: a fault of ours" in str(failed["exception"])

    async def test_googles_array_stays_an_array(self, house: House, ask: Ask) -> None:
        script = Script().play(house, content_type="application/json")
        client = await ask(house, "/v1beta/models/g:streamGenerateContent", b"{}")
        script.queue.put_nowait(b"[{}")
        script.queue.put_nowait(ZeroDivisionError())
        await client.head()
        assert await client.chunk() == b"[{}"
        last = await client.chunk()
        assert msgspec.json.decode(b"[{}" + last)[1]["error"]["code"] == 500

    async def test_responses_do_not_begin_twice(self, house: House, ask: Ask) -> None:
        script = Script().play(house)
        client = await ask(house, "/v1/responses")
        script.queue.put_nowait(b"event: response.created\ndata: {}\n\n")
        script.queue.put_nowait(ZeroDivisionError())
        await client.head()
        await client.chunk()
        last = await client.chunk()
        assert last.startswith(b"event: response.failed\ndata: ")
        assert last.endswith(b"}\n\n")
        assert last.count(b"\n\n") == 1


@pytest.mark.parametrize("name", ["Connection", "transfer-encoding", "Content-Length", "content-encoding", "x y", ""])
def test_T31_headers_of_the_connection_are_our_own(name: str) -> None:
    assert not clean_headers([(name, "x")])


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\x00", "\x1b[31m", "ключ"])
def test_T31_a_header_that_would_split_the_answer_is_left_out(value: str) -> None:
    assert not clean_headers([("x-model", value)])
    assert clean_headers([("x-model", "caf\xe9\tok")]) == {"x-model": "caf\xe9\tok"}
