"""HTTP/1.1 over real sockets: framing, order, the end of connections, and what is handed on to aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import pytest
from aiohttp import web

from proxy.dispatch.inquiry import Inquiry, Outcome
from proxy.server.connection import Patience
from proxy.server.front import AHEAD_BYTES_MAX
from proxy.server.front_visit import FrontVisit
from proxy.server.handle import handle
from tests.pace import SECONDS_MAX

if TYPE_CHECKING:
    from proxy.server.app import App
    from proxy.server.express import Ride
    from proxy.server.visit import Visit
    from tests.proxy.server.conftest import House, Open

BODY = b'{"model":"big"}'
STREAM = b'{"model":"big","stream":true}'


def post(house: House, body: bytes = BODY, *lines: bytes, version: bytes = b"1.1", length: bool = True) -> bytes:
    told = [b"Content-Length: %d" % len(body)] if length else []
    head = [b"POST /v1/messages HTTP/%b" % version, b"Host: 127.0.0.1:%d" % house.port, *told, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def get(house: House, path: bytes = b"/healthz", *lines: bytes) -> bytes:
    return b"\r\n".join([b"GET %b HTTP/1.1" % path, b"Host: 127.0.0.1:%d" % house.port, *lines]) + b"\r\n\r\n"


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(SECONDS_MAX):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = b""
            if "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            elif headers.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readline(), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readline()
            return int(first.split()[1]), headers, body

    async def is_closed(self) -> bool:
        """Sooner than anybody's patience ends."""
        async with asyncio.timeout(0.8 * Patience().head_seconds):
            with suppress(ConnectionError):
                return await self.reader.read() == b""
            return True


Connect = Callable[[], Awaitable[Peer]]


@pytest.fixture
async def connect(house: House) -> AsyncIterator[Connect]:
    peers: list[Peer] = []

    async def start() -> Peer:
        peers.append(Peer(*await asyncio.open_connection("127.0.0.1", house.port)))
        return peers[-1]

    yield start
    for peer in peers:
        peer.writer.transport.abort()
        with suppress(ConnectionError):
            await peer.writer.wait_closed()


class TestFraming:
    @pytest.mark.parametrize("size", [1, 2, 7, 60, 1000])
    async def test_a_request_may_come_in_pieces(self, house: House, connect: Connect, size: int) -> None:
        peer = await connect()
        data = post(house) + post(house, b'{"model":"other"}')
        for at in range(0, len(data), size):
            peer.writer.write(data[at : at + size])
            await asyncio.sleep(0)
        assert [(await peer.answer())[2] for _ in range(2)] == [BODY, b'{"model":"other"}']

    @pytest.mark.parametrize("size", [300_000, 3_000_000])
    async def test_a_large_body_that_comes_at_once(self, house: House, connect: Connect, size: int) -> None:
        peer = await connect()
        for _ in range(2):
            peer.writer.write(post(house, b'{"model":"big","x":"' + b"y" * size + b'"}'))
            assert (await peer.answer())[2] == BODY

    async def test_a_chunked_body(self, house: House, connect: Connect) -> None:
        peer = await connect()
        head = post(house, b"", b"Transfer-Encoding: chunked", length=False)
        for _ in range(2):
            for piece in (head, b"5\r\n", b'{"mod', b"\r\na;x=y\r\n", b'el":"big"}', b"\r\n0\r\n", b"X: y\r\n\r\n"):
                peer.writer.write(piece)
                await asyncio.sleep(0)
            assert (await peer.answer())[2] == BODY

    async def test_what_comes_behind_a_chunked_body_is_not_answered(self, house: House, connect: Connect) -> None:
        """The parser has read on, and does not say where: so the connection ends and the client asks anew."""
        peer = await connect()
        head = post(house, b"", b"Transfer-Encoding: chunked", length=False)
        peer.writer.write(head + b"f\r\n" + BODY + b"\r\n0\r\n\r\n" + post(house))
        status, headers, _ = await peer.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await peer.is_closed()
        assert len(house.dispatcher.inquiries) == 1

    async def test_line_breaks_before_a_request_are_nothing(self, house: House, connect: Connect) -> None:
        peer = await connect()
        peer.writer.write(b"\r\n" + get(house) + b"\r\n\r\n" + get(house))
        assert [(await peer.answer())[0] for _ in range(2)] == [200, 200]

    async def test_head_has_the_length_and_no_body(self, house: House, connect: Connect) -> None:
        peer = await connect()
        peer.writer.write(get(house).replace(b"GET", b"HEAD") + get(house))
        async with asyncio.timeout(SECONDS_MAX):
            head = await peer.reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 15\r\n" in head
        assert (await peer.answer())[2] == b'{"status":"ok"}'

    async def test_every_answer_is_dated(self, house: House, connect: Connect) -> None:
        peer = await connect()
        peer.writer.write(get(house))
        _, headers, _ = await peer.answer()
        assert headers["date"].endswith(" GMT")
        assert headers["server"] == "proxy"
        assert "connection" not in headers

    async def test_an_http_1_0_client_may_stay(self, house: House, connect: Connect) -> None:
        peer = await connect()
        for _ in range(2):
            peer.writer.write(post(house, BODY, b"Connection: keep-alive", version=b"1.0"))
            _, headers, body = await peer.answer()
            assert (headers["connection"], body) == ("keep-alive", BODY)
        peer.writer.write(post(house, version=b"1.0"))
        assert (await peer.answer())[2] == BODY
        assert await peer.is_closed()


class TestOrder:
    async def test_requests_sent_ahead_are_answered_one_after_the_other(self, house: House, connect: Connect) -> None:
        answered: list[str] = []
        answer = house.dispatcher.answer

        async def slow(inquiry: Inquiry) -> Outcome:
            await asyncio.sleep(0.01 if inquiry.model == "0" else 0)
            answered.append(inquiry.model)
            return await answer(inquiry)

        house.dispatcher.answer = slow
        peer = await connect()
        peer.writer.write(b"".join(post(house, b'{"model":"%d"}' % number) for number in range(20)))
        assert [(await peer.answer())[2] for _ in range(20)] == [b'{"model":"%d"}' % number for number in range(20)]
        assert answered == [f"{number}" for number in range(20)]

    async def test_only_so_much_is_read_ahead(self, house: House, connect: Connect) -> None:
        go_on = asyncio.Event()
        answer = house.dispatcher.answer

        async def wait(inquiry: Inquiry) -> Outcome:
            await go_on.wait()
            return await answer(inquiry)

        house.dispatcher.answer = wait
        peer = await connect()
        large = post(house, b'{"model":"big","x":"' + b"y" * 10_000 + b'"}')
        count = 50 * AHEAD_BYTES_MAX // len(large)
        peer.writer.write(large * count)
        while not house.app.exchanges:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        (exchange,) = house.app.exchanges
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert len(exchange.visit._front._held) <= AHEAD_BYTES_MAX + 256 * 1024
        go_on.set()
        for _ in range(count):
            assert (await peer.answer())[2] == BODY

    async def test_a_refused_request_ends_the_row(self, house: House, connect: Connect) -> None:
        peer = await connect()
        peer.writer.write(get(house) + b"GET / HTTP/1.1\nHost: x\n\n" + get(house))
        assert (await peer.answer())[0] == 200
        status, headers, body = await peer.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert msgspec.json.decode(body)["error"]["code"] == "invalid_http"
        assert await peer.is_closed()


class TestTheEnd:
    async def test_the_client_may_ask_for_it(self, house: House, connect: Connect) -> None:
        peer = await connect()
        peer.writer.write(get(house, b"/healthz", b"Connection: close"))
        assert (await peer.answer())[1]["connection"] == "close"
        assert await peer.is_closed()

    async def test_an_answer_before_the_end_of_a_body_arrives(self, open_house: Open) -> None:
        house = await open_house(body_bytes_max=1000, patience=Patience(lingering_seconds=0.3))
        peer = Peer(*await asyncio.open_connection("127.0.0.1", house.port))
        peer.writer.write(post(house, b" " * 5_000_000))
        status, headers, _ = await peer.answer()
        assert (status, headers["connection"]) == (413, "close")
        assert await peer.is_closed()
        peer.writer.transport.abort()

    async def test_whoever_goes_on_sending_after_a_refusal_is_cut_off(self, open_house: Open) -> None:
        house = await open_house(body_bytes_max=1000, patience=Patience(lingering_seconds=0.1))
        peer = Peer(*await asyncio.open_connection("127.0.0.1", house.port))
        peer.writer.write(post(house, b"")[:-2].replace(b"Length: 0", b"Length: 100000000") + b"\r\n")
        assert (await peer.answer())[0] == 413

        async def drip() -> None:
            while True:
                peer.writer.write(b" " * 100)
                await peer.writer.drain()
                await asyncio.sleep(0.01)

        async with asyncio.timeout(SECONDS_MAX):
            with pytest.raises(ConnectionError):
                await drip()

    async def test_a_broken_body_is_refused_and_the_connection_ends(self, house: House, connect: Connect) -> None:
        peer = await connect()
        head = post(house, b"", b"Transfer-Encoding: chunked", length=False)
        peer.writer.write(head + b'5\r\n{"mod\r\nzz\r\n' + post(house))
        status, headers, _ = await peer.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert await peer.is_closed()
        assert not house.dispatcher.inquiries

    async def test_a_fault_of_ours_leaves_nobody_waiting(
        self, house: House, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_arguments: object) -> None:
            raise LookupError("a fault")

        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        monkeypatch.setattr("proxy.server.handle.Exchange", fail)
        peer = await connect()
        peer.writer.write(post(house))
        assert await peer.is_closed()

    async def test_a_client_that_goes_is_noticed(self, house: House, connect: Connect) -> None:
        began, ended = asyncio.Event(), asyncio.Event()

        async def wait(_inquiry: Inquiry) -> Outcome:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

        house.dispatcher.answer = wait
        peer = await connect()
        peer.writer.write(post(house))
        await began.wait()
        peer.writer.close()
        async with asyncio.timeout(SECONDS_MAX):
            await ended.wait()
        while house.app.exchanges:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        house.app.books.flush()
        assert house.log()[-1]["status"] == 499

    async def test_a_reader_that_stalls_is_dropped(self, open_house: Open) -> None:
        house = await open_house(patience=Patience(stall_seconds=0.2))
        frame = b"data: " + b"x" * 1_000_000 + b"\n\n"
        ended = asyncio.Event()

        async def flood(inquiry: Inquiry) -> Outcome:
            async def frames() -> AsyncIterator[bytes]:
                try:
                    while True:
                        yield frame
                finally:
                    ended.set()

            told = await type(house.dispatcher)().answer(inquiry)
            told.body = frames()
            return told

        house.dispatcher.answer = flood
        peer = Peer(*await asyncio.open_connection("127.0.0.1", house.port))
        peer.writer.write(post(house, STREAM))
        async with asyncio.timeout(SECONDS_MAX):
            await ended.wait()
        peer.writer.transport.abort()


class TestHandedOn:
    """A WebSocket or the management API takes the connection along to aiohttp, and what comes after it."""

    async def test_requests_to_models_are_served_there_too(self, house: House, connect: Connect) -> None:
        house.app.management = Elsewhere()  # type: ignore[assignment]  # as much of one as is needed
        peer = await connect()
        peer.writer.write(get(house, b"/v0/management/x"))
        assert (await peer.answer())[2] == b"managed"
        for _ in range(2):
            peer.writer.write(post(house))
            status, headers, body = await peer.answer()
            assert (status, body) == (200, BODY)
            assert headers["x-request-id"]
        peer.writer.write(post(house, STREAM))
        assert (await peer.answer())[2] == b'data: {"n":1}\n\ndata: {"n":2}\n\n'
        peer.writer.write(get(house, b"/v1/nothing"))
        assert (await peer.answer())[0] == 404

    async def test_also_in_the_middle_of_a_row(self, house: House, connect: Connect) -> None:
        house.app.management = Elsewhere()  # type: ignore[assignment]  # as much of one as is needed
        peer = await connect()
        peer.writer.write(post(house) + get(house, b"/v0/management/x") + post(house))
        assert [(await peer.answer())[2] for _ in range(3)] == [BODY, b"managed", BODY]

    async def test_a_connection_counts_once(self, house: House, connect: Connect) -> None:
        house.app.management = Elsewhere()  # type: ignore[assignment]  # as much of one as is needed
        peer = await connect()
        peer.writer.write(get(house, b"/v0/management/x"))
        await peer.answer()
        assert len(house.listener._gate) == 1


class Elsewhere:
    def covers(self, path: str) -> bool:
        return path.startswith("/v0/management")

    async def answer(self, _request: object, arrival: object) -> object:
        assert arrival
        return web.Response(body=b"managed")


class TestHandingOn:
    async def test_a_request_that_was_read_is_answered_by_another_protocol_and_so_is_the_next(
        self, house: House, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = []

        async def instead(app: App, visit: Visit, ride: Ride | None = None) -> web.StreamResponse | None:
            if not isinstance(visit, FrontVisit):
                return await handle(app, visit, ride)
            read.append(visit.content.look())
            visit.hand_on(visit.content.look())
            return None

        monkeypatch.setattr("proxy.server.lifecycle.handle", instead)
        peer = await connect()
        peer.writer.write(post(house, BODY + b" " * 10, b"X-One: two") + post(house, b'{"model":"next"}'))
        assert [(await peer.answer())[2] for _ in range(2)] == [BODY, b'{"model":"next"}']
        assert read == [BODY + b" " * 10]
        assert [inquiry.headers["x-one"] for inquiry in house.dispatcher.inquiries[:1]] == ["two"]
        assert await still_open(peer, house)

    async def test_the_rest_of_its_body_comes_there(
        self, house: House, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def instead(app: App, visit: Visit, ride: Ride | None = None) -> web.StreamResponse | None:
            if not isinstance(visit, FrontVisit):
                return await handle(app, visit, ride)
            visit.hand_on(visit.content.look())
            return None

        monkeypatch.setattr("proxy.server.lifecycle.handle", instead)
        peer = await connect()
        whole = post(house, b'{"model":"big","x":"' + b"y" * 300_000 + b'"}', b"X-Proxy-Explain: 1")
        peer.writer.write(whole[:-100_000])
        await asyncio.sleep(0)
        peer.writer.write(whole[-100_000:])
        assert (await peer.answer())[2] == BODY


async def still_open(peer: Peer, house: House) -> bool:
    peer.writer.write(get(house))
    return (await peer.answer())[0] == 200
