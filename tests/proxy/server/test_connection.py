from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.dispatch.inquiry import Inquiry, Outcome
from proxy.server import connection
from proxy.server.body import Limits
from proxy.server.connection import Connection, Gate, Patience
from tests.pace import SECONDS_MAX

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House, Open

USUAL = Patience()
Connect = Callable[..., Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    writers: list[asyncio.StreamWriter] = []

    async def start(
        house: House, data: bytes = b"", **options: object
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port, **options)
        writers.append(writer)
        writer.write(data)
        return reader, writer

    yield start
    for writer in writers:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def get(house: House, path: str = "/healthz") -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (path.encode(), house.port)


async def closed_at(reader: asyncio.StreamReader) -> float:
    """When the server has closed the connection, whatever it said before."""
    async with asyncio.timeout(SECONDS_MAX):
        with suppress(ConnectionError):
            await reader.read()
    return time.monotonic()


class TestSlow:
    async def test_T33_headers_that_never_end(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(patience=Patience(head_seconds=0.3))
        began = time.monotonic()
        reader, writer = await connect(house, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"X-Drip: 1\r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert 0.2 < await closed_at(reader) - began < USUAL.head_seconds
        dripping.cancel()

    async def test_T33_a_connection_that_says_nothing(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(patience=Patience(head_seconds=0.2))
        began = time.monotonic()
        reader, _ = await connect(house)
        assert 0.1 < await closed_at(reader) - began < USUAL.head_seconds

    async def test_T33_the_second_head_has_a_deadline_too(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(patience=Patience(head_seconds=0.2))
        reader, writer = await connect(house, get(house))
        await reader.readuntil(b'{"status":"ok"}')
        began = time.monotonic()
        writer.write(b"GET / HT")
        assert 0.1 < await closed_at(reader) - began < USUAL.head_seconds

    async def test_between_requests_a_connection_may_rest(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(patience=Patience(head_seconds=0.1))
        reader, writer = await connect(house, get(house))
        await reader.readuntil(b'{"status":"ok"}')
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(1)
        writer.write(get(house))
        await reader.readuntil(b'{"status":"ok"}')

    async def test_it_may_not_rest_for_ever(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(patience=Patience(keepalive_seconds=0.5))
        began = time.monotonic()
        reader, _ = await connect(house, get(house))
        assert 0.4 < await closed_at(reader) - began < USUAL.head_seconds

    async def test_T33_a_body_that_never_ends(
        self, open_house: Open, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house = await open_house(patience=Patience(lingering_seconds=0.1))
        hurried = functools.partial(Limits, seconds=0.3, grace_seconds=0.3)
        monkeypatch.setattr("proxy.server.reading.body.Limits", hurried)
        reader, writer = await connect(
            house,
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 1000\r\n\r\n" % house.port,
        )

        async def drip() -> None:
            while True:
                writer.write(b" ")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(SECONDS_MAX):
            answer = await reader.readuntil(b'"made-1"}')
        dripping.cancel()
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])["type"] == "error"
        assert not house.dispatcher.inquiries


class TestLimits:
    async def test_T33_whoever_takes_all_connections_leaves_room_for_others(
        self, open_house: Open, connect: Connect
    ) -> None:
        """Each of its requests is being answered: none of its connections can be taken from it."""
        house = await open_house(connections_max=24)
        go_on, under_way = asyncio.Event(), asyncio.Semaphore(0)
        answer = house.dispatcher.answer

        async def wait(inquiry: Inquiry) -> Outcome:
            under_way.release()
            await go_on.wait()
            return await answer(inquiry)

        house.dispatcher.answer = wait
        asked = (
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 15\r\n\r\n" % house.port
            + b'{"model":"big"}'
        )
        for _ in range(21):
            await connect(house, asked, local_addr=("127.0.0.2", 0))
            await under_way.acquire()
        greedy, _ = await connect(house, asked, local_addr=("127.0.0.2", 0))
        assert (await greedy.read()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        other, _ = await connect(house, get(house))
        assert (await other.readuntil(b'{"status":"ok"}')).startswith(b"HTTP/1.1 200 OK\r\n")
        go_on.set()

    async def test_the_longest_idle_connection_makes_room(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(connections_max=2)
        first, _ = await connect(house, get(house))
        await first.readuntil(b'{"status":"ok"}')
        second, _ = await connect(house, get(house))
        await second.readuntil(b'{"status":"ok"}')
        third, _ = await connect(house, get(house))
        await third.readuntil(b'{"status":"ok"}')
        await closed_at(first)
        assert not second.at_eof()

    async def test_who_is_being_answered_keeps_the_connection(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(connections_max=1)
        opened, go_on = asyncio.Event(), asyncio.Event()
        answer = house.dispatcher.answer

        async def wait(inquiry: Inquiry) -> Outcome:
            opened.set()
            await go_on.wait()
            return await answer(inquiry)

        house.dispatcher.answer = wait
        first, _ = await connect(
            house,
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 15\r\n\r\n" % house.port
            + b'{"model":"big"}',
        )
        await opened.wait()
        second, _ = await connect(house, get(house))
        refusal = await second.read()
        assert refusal.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        head, _, body = refusal.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert msgspec.json.decode(body)["error"]["code"] == "overloaded"
        go_on.set()
        assert (await first.readuntil(b'{"model":"big"}')).startswith(b"HTTP/1.1 200 OK")

    def test_a_peer_of_another_machine_has_a_limit_of_its_own(self) -> None:
        class Busy:
            is_busy = True

        def busy() -> Connection:
            return Busy()  # type: ignore[return-value]

        gate = Gate(lambda: 400)
        guests = [busy() for _ in range(100)]
        assert all(gate.enter(guest, "203.0.113.9") for guest in guests)
        assert not gate.enter(busy(), "203.0.113.9")
        assert gate.enter(busy(), "203.0.113.10")
        assert all(gate.enter(busy(), "127.0.0.1") for _ in range(10))
        gate.leave(guests[0])
        gate.leave(guests[0])
        assert gate.enter(busy(), "203.0.113.9")
        assert len(gate) == 111


MALFORMED = {
    "content-length and transfer-encoding": b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two content-lengths": b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a negative length": b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: -5\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\nHost: HOST\n\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: HOST\r\nX-A: b\r\n c\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost: HOST\r\nX-A : b\r\n\r\n",
    "a nul in a header": b"GET / HTTP/1.1\r\nHost: HOST\r\nX-A: b\x00\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "a chunk size that is none": b"POST /v1/messages HTTP/1.1\r\nHost: HOST\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: HOST\r\nHost: attacker.test\r\n\r\n",
    "a URL for a target": b"GET http://attacker.test/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "a header that is too long": b"GET / HTTP/1.1\r\nHost: HOST\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "too many headers": b"GET / HTTP/1.1\r\nHost: HOST\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n",
    "a path that is too long": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "an unknown transfer-encoding": b"POST / HTTP/1.1\r\nHost: HOST\r\n"
    b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_T30_what_is_not_http_is_refused_and_the_connection_closed(house: House, what: str) -> None:
    data = MALFORMED[what].replace(b"HOST", b"127.0.0.1:%d" % house.port)
    smuggled = b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 15\r\n\r\n" % house.port
    answer = await house.raw(data + smuggled + b'{"model":"big"}')
    status = int(answer.split()[1])
    assert 400 <= status < 500
    error = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2].partition(b"HTTP/1.1")[0])["error"]
    assert error["message"]
    assert not house.dispatcher.inquiries, "what follows is not read"


async def test_a_fault_says_nothing_of_what_was_sent(house: House) -> None:
    answer = await house.raw(b"GET / HTTP/1.1\r\nAuthorization: Bearer sk-secret\x00\r\n\r\n")
    assert b" 400 Bad Request" in answer
    assert b"sk-secret" not in answer


async def test_requests_in_a_row_are_answered_in_their_order(house: House) -> None:
    answer = await house.raw(
        get(house) + get(house, "/nothing") + get(house).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    )
    assert [int(each.split()[0]) for each in answer.split(b"HTTP/1.1 ")[1:]] == [200, 404, 200]


def test_the_refusal_of_a_full_house_is_whole() -> None:
    head, _, body = connection.BUSY.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
