"""Requests without a task of their own: over real sockets, by the real dispatcher, to a vendor that does as told."""

from __future__ import annotations

import asyncio
import io
import itertools
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth.pool import Pool
from auth.secret import Secret
from auth.standing import Setback
from proxy.config.client_keys import ClientKey
from proxy.config.provider_keys import CompatibleKey, CompatibleProvider, ModelAlias
from proxy.config.schema import Config, Server
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.snapshot import Snapshot
from proxy.observe.log import make_log
from proxy.observe.metrics import Metrics
from proxy.server.access import ClientKeys
from proxy.server.app import App, Edition
from proxy.server.lifecycle import Listener
from proxy.upstream.discreet import Discreet
from proxy.upstream.http import HttpUpstream
from proxy.wire.table import wire_named
from tests.proxy.dispatch.conftest import FakeClock
from tests.proxy.server.conftest import FakeStatus

KEY = "key-of-the-one-who-asks"
PATIENCE_SECONDS = 60


def completion(text: str = "Ahoy", **more: object) -> bytes:
    message = {"role": "assistant", "content": text}
    return msgspec.json.encode(
        {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "big",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            **more,
        }
    )  # fmt: skip


def told(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def streamed(*frames: bytes) -> bytes:
    """A stream that is there at once."""
    return told(b"".join(frames)).replace(b"application/json", b"text/event-stream")


class Last(bytes):
    """After it the vendor hangs up."""


class Stream(bytes):
    """After it come what a test puts into `Vendor.frames`."""


STREAM = Stream(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def frame(text: str) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "big"}
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + msgspec.json.encode({**chunk, "choices": [choice]}) + b"\n\n"


@dataclass
class Vendor:
    """Says the next of its lines to whoever asks, the last for ever. `asked`: by which keys."""

    lines: list[bytes] = field(default_factory=lambda: [told(completion())])
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    frames: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    """None: it hangs up; nothing: it comes to its end."""
    written: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    port: int = 0

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        while (data := await self.frames.get()) is not None:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
            self.written += len(data)
            if not data:
                return
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                said = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
                self.bodies.append(await reader.readexactly(int(said["content-length"])))
                self.asked.append(said["authorization"].removeprefix("bearer "))
                leaving = asyncio.ensure_future(reader.read(1)) if not self.gate.is_set() else None
                if leaving is not None:
                    waiting = asyncio.ensure_future(self.gate.wait())
                    await asyncio.wait({leaving, waiting}, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    if leaving.done():
                        self.left.set()
                        break
                    leaving.cancel()
                    with suppress(asyncio.CancelledError):
                        await leaving
                line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
                writer.write(line)
                if isinstance(line, Stream):
                    await self.stream(writer)
                if isinstance(line, Last):
                    break
        writer.close()


class Listing:
    def models(self) -> list[Any]:
        return []

    def accounts(self) -> list[str]:
        return []

    def within(self, _reach: object) -> Listing:
        return self


class House:
    def __init__(
        self, vendor: Vendor, *, accounts: int = 2, keys: tuple[ClientKey, ...] = (), clock: Clock | None = None
    ) -> None:
        self.vendor = vendor
        self.clock = 1_800_000_000.0
        keys = keys or (ClientKey(api_key=Secret(KEY), name="laptop"),)
        self.config = Config(
            api_keys=keys,
            server=Server(drain_seconds=5),
            openai_compatibility=(
                CompatibleProvider(
                    name="local",
                    base_url=f"http://127.0.0.1:{vendor.port}/v1",
                    api_key_entries=tuple(CompatibleKey(api_key=Secret(f"sk-account-{n}")) for n in range(accounts)),
                    models=(ModelAlias(name="big"), ModelAlias(name="big", alias="large")),
                ),
            ),
        )
        self.http = HttpUpstream()
        self.pool = Pool()
        self.snapshot = Snapshot.of(self.config)
        self.dispatcher = Dispatcher(
            snapshot=lambda: self.snapshot,
            upstreams={"http": Discreet(self.http, lambda data: data)},
            pool=self.pool,
            clock=clock or Clock(),
            prompts={"http": self.http},
        )
        self.edition = self.edition_of(self.config)
        self.written = io.BytesIO()
        ids = itertools.count(1)
        self.app = App(
            edition=lambda: self.edition,
            dispatcher=self.dispatcher,
            starter=self.dispatcher,
            wire=wire_named,
            status=FakeStatus(),
            metrics=Metrics(version="0.0"),
            log=make_log(self.written, redact=lambda _log, _method, event: event, is_json=True),
            now=lambda: self.clock,
            new_id=lambda: f"made-{next(ids):06}",
        )
        self.listener = Listener(self.app, host="127.0.0.1", port=0)

    def edition_of(self, config: Config) -> Edition:
        return Edition(config=config, keys=ClientKeys.of(config.api_keys), listing=Listing())

    @property
    def port(self) -> int:
        return self.listener.addresses[0][1]

    def lines(self, event: str = "request.finished") -> list[dict[str, Any]]:
        lines = [msgspec.json.decode(line) for line in self.written.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    def in_flight(self) -> int:
        return sum(self.pool.in_flight(each.id) for each in self.snapshot.credentials)

    async def close(self) -> None:
        await self.listener.close()
        await self.http.close()


class Client:
    def __init__(self, house: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.house = house
        self.reader = reader
        self.writer = writer
        self.statuses: list[int] = []

    def request(
        self, *lines: bytes, model: str = "big", path: bytes = b"/v1/chat/completions", **more: object
    ) -> bytes:
        content = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
        body = msgspec.json.encode(content)
        head = [
            b"POST %b HTTP/1.1" % path, b"Host: 127.0.0.1:%d" % self.house.port,
            b"Authorization: Bearer " + KEY.encode(), b"Content-Type: application/json", *lines,
            b"Content-Length: %d" % len(body),
        ]  # fmt: skip
        return b"\r\n".join(head) + b"\r\n\r\n" + body

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            if "transfer-encoding" in headers:
                return int(first.split()[1]), headers, b"".join([chunk async for chunk in self.chunks()])
            return int(first.split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()

    async def ask(self, *lines: bytes, **more: object) -> tuple[int, dict[str, str], bytes]:
        self.writer.write(self.request(*lines, **more))  # type: ignore[arg-type]  # as the caller names them
        answer = await self.answer()
        self.statuses.append(answer[0])
        return answer


Open = Callable[..., Awaitable[Client]]


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    vendor.gate.set()
    server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0)
    vendor.port = server.sockets[0].getsockname()[1]
    yield vendor
    vendor.gate.set()
    vendor.frames.put_nowait(None)
    server.close()
    for writer in vendor.writers:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture(params=[1, 2], ids=["the first", "like others"])
async def connect(vendor: Vendor, request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """A house, and a client of it that has been served once: there is a connection that stands ready; or twice: then
    what all its requests have in common is known.
    """
    clients: list[Client] = []

    async def start(house: House | None = None, *, is_warm: bool = True, **settings: Any) -> Client:
        if house is None:
            house = House(vendor, **settings)
            await house.listener.open()
        clients.append(Client(house, *await asyncio.open_connection("127.0.0.1", house.port)))
        if is_warm:
            for _ in range(request.param):
                assert (await clients[-1].ask())[0] == 200
            await until(lambda: not house.app.exchanges and len(house.lines()) >= request.param)
            house.written.seek(0)
            house.written.truncate()
            vendor.asked.clear()
        return clients[-1]

    yield start
    for client in clients:
        client.writer.transport.abort()
        with suppress(ConnectionError):
            await client.writer.wait_closed()
    for house in {id(client.house): client.house for client in clients}.values():
        await house.close()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)


async def riding(client: Client, vendor: Vendor, **more: object) -> None:
    """A request whose answer is held back."""
    vendor.gate.clear()
    seen = len(vendor.asked)
    client.writer.write(client.request(**more))  # type: ignore[arg-type]  # as the caller names them
    await until(lambda: len(vendor.asked) > seen)


class TestRide:
    async def test_it_takes_no_exchange(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        await riding(client, vendor)
        app = client.house.app
        assert len(app.rides) == 1
        assert not app.exchanges
        assert app.metrics.in_flight.count == 1
        vendor.gate.set()
        status, headers, body = await client.answer()
        assert (status, body) == (200, completion())
        assert headers["x-proxy-attempts"] == "1"
        assert len(vendor.asked) == 1
        assert not app.rides
        assert app.metrics.in_flight.count == client.house.in_flight() == 0

    async def test_it_is_answered_and_told_as_by_an_exchange(self, connect: Open) -> None:
        client = await connect(accounts=1, is_warm=False)
        exchanged, *ridden = [await client.ask() for _ in range(3)]
        for status, headers, body in ridden:
            assert (status, body) == (exchanged[0], exchanged[2])
            assert list(headers) == list(exchanged[1])
            differ = {name for name in headers if headers[name] != exchanged[1][name]}
            assert differ <= {"x-request-id", "date"}
        await until(lambda: len(client.house.lines()) == 3)
        first, *others = ({**line, "request_id": "", "timestamp": ""} for line in client.house.lines())
        timed = {"seconds": 0, "first_byte_seconds": 0}
        for line in others:
            assert {**line, **timed} == {**first, **timed}
            assert set(line) == set(first)

    async def test_accounts_take_turns(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        for _ in range(8):
            await client.ask()
        assert {vendor.asked.count(key) for key in set(vendor.asked)} == {4}

    async def test_another_vendors_words_are_translated(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        status, headers, body = await client.ask(path=b"/v1/messages", max_tokens=9)
        again = await client.ask(path=b"/v1/messages", max_tokens=9)
        assert len(vendor.asked) == 2
        assert (status, again[0]) == (200, 200)
        assert msgspec.json.decode(body)["content"] == [{"type": "text", "text": "Ahoy"}]
        assert len(again[2]) == len(body), "but for its id it is the same"
        assert again[1]["request-id"] == again[1]["x-request-id"]
        assert list(again[1]) == list(headers)

    async def test_an_alias_is_told_as_it_was_asked(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        for _ in range(3):
            status, _, body = await client.ask(model="large")
            assert (status, msgspec.json.decode(body)["model"]) == (200, "large")
            assert msgspec.json.decode(vendor.bodies[-1])["model"] == "big"

    async def test_requests_sent_ahead_are_answered_in_their_order(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        vendor.lines = [told(completion(str(number))) for number in range(5)]
        client.writer.write(b"".join(client.request() for _ in range(5)))
        answers = [await client.answer() for _ in range(5)]
        texts = [msgspec.json.decode(body)["choices"][0]["message"]["content"] for _, _, body in answers]
        assert texts == ["0", "1", "2", "3", "4"]

    @pytest.mark.parametrize("size", [10, 300, 100_000, 400_000])
    async def test_a_body_that_comes_in_pieces(self, connect: Open, vendor: Vendor, size: int) -> None:
        client = await connect()
        sent = client.request(filler="x" * size)
        for start in range(0, len(sent), max(97, len(sent) // 7)):
            client.writer.write(sent[start : start + max(97, len(sent) // 7)])
            await client.writer.drain()
            await asyncio.sleep(0.002)
        assert (await client.answer())[0] == 200
        assert vendor.bodies[-1] == sent[-len(vendor.bodies[-1]) :]
        assert len(vendor.bodies[-1]) > size

    async def test_one_that_is_the_last_of_its_connection(self, connect: Open) -> None:
        client = await connect()
        _, headers, _ = await client.ask(b"Connection: close")
        assert headers["connection"] == "close"
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await client.reader.read() == b""

    async def test_its_own_id_is_kept(self, connect: Open) -> None:
        client = await connect()
        for number in (1, 2):
            _, headers, _ = await client.ask(b"X-Request-ID: mine-%d" % number)
            assert headers["x-request-id"] == f"mine-{number}"

    async def test_a_slow_reader_is_waited_for(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        large = completion("long " * 2_000_000)
        vendor.lines = [told(large), told(completion())]
        client.writer.write(client.request() + client.request())
        await until(lambda: vendor.asked)
        await asyncio.sleep(0.05)
        assert len(vendor.asked) == 1, "the second waits until the first has been read"
        assert len((await client.answer())[2]) == len(large)
        assert (await client.answer())[0] == 200


class TestFlow:
    async def chunks(self, client: Client) -> AsyncIterator[bytes]:
        """Of an answer, each as soon as it is there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for chunk in client.chunks():
                yield chunk

    async def begun(self, client: Client, vendor: Vendor) -> AsyncIterator[bytes]:
        vendor.lines = [STREAM]
        client.writer.write(client.request(stream=True))
        vendor.frames.put_nowait(frame("first"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        chunks = self.chunks(client)
        assert b"first" in await anext(chunks)
        return chunks

    async def test_each_frame_is_passed_on_as_it_comes(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        chunks = await self.begun(client, vendor)
        for number in range(50):
            vendor.frames.put_nowait(frame(f"frame {number}"))
            assert await anext(chunks) == frame(f"frame {number}")
        vendor.frames.put_nowait(END)
        vendor.frames.put_nowait(b"")
        assert b"".join([chunk async for chunk in chunks]) == END
        vendor.lines = [told(completion())]
        assert (await client.ask())[0] == 200
        assert client.house.in_flight() == 0

    async def test_a_vendor_that_breaks_off(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        chunks = await self.begun(client, vendor)
        vendor.frames.put_nowait(frame("second"))
        assert await anext(chunks) == frame("second")
        vendor.frames.put_nowait(None)
        last = b"".join([chunk async for chunk in chunks])
        assert msgspec.json.decode(last.removeprefix(b"data: ").split(b"\n\n")[0])["error"]["message"]
        await until(lambda: len(client.house.lines()) == 1)
        assert client.house.lines()[-1]["error"]
        assert client.house.in_flight() == 0

    async def test_a_vendor_that_tells_of_an_error_in_between(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        chunks = await self.begun(client, vendor)
        vendor.frames.put_nowait(b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n')
        last = b"".join([chunk async for chunk in chunks])
        assert b"overloaded" in last
        await until(lambda: len(client.house.lines()) == 1)
        assert "overloaded" in client.house.lines()[-1]["error"]
        assert not client.house.lines("library.logged")
        assert client.house.in_flight() == 0

    async def test_who_does_not_read_stops_the_vendor_and_loses_nothing(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        chunks = await self.begun(client, vendor)
        sent = [frame(f"{number} " + "much " * 20_000) for number in range(400)]
        for each in sent:
            vendor.frames.put_nowait(each)
        before = -1
        while vendor.written > before:
            before = vendor.written
            await asyncio.sleep(0.2)
        assert vendor.written < sum(map(len, sent)) / 2
        vendor.frames.put_nowait(END)
        vendor.frames.put_nowait(b"")
        assert b"".join([chunk async for chunk in chunks]) == b"".join(sent) + END

    async def test_a_client_that_hangs_up_stops_the_vendor(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        await self.begun(client, vendor)
        client.writer.transport.abort()
        await until(lambda: len(client.house.lines()) == 1)
        assert client.house.lines()[-1]["status"] == 499
        assert client.house.in_flight() == 0
        assert not client.house.app.exchanges


class TestHandedOver:
    async def test_a_failure_is_another_accounts_chance(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        vendor.lines = [told(b'{"error":{"message":"slow down"}}', status=b"429 Too Many Requests"), told(completion())]
        status, headers, _ = await client.ask()
        assert (status, headers["x-proxy-attempts"], len(vendor.asked)) == (200, "2", 2)
        assert vendor.asked[-1] != vendor.asked[-2]
        assert client.house.in_flight() == 0

    @pytest.mark.parametrize(
        "line",
        [
            Last(),
            Last(told(completion())[:-20]),
            told(b'{"error":{"message":"inside","type":"server_error"}}'),
            told(b"<html></html>"),
            told(b""),
        ],
        ids=["nothing", "half", "error inside", "no JSON", "empty"],
    )
    async def test_what_does_not_serve(self, connect: Open, vendor: Vendor, line: bytes) -> None:
        client = await connect()
        vendor.lines = [line, told(completion())]
        status, headers, body = await client.ask()
        assert (status, body) == (200, completion())
        assert headers["x-proxy-attempts"] == "2"
        assert client.house.in_flight() == 0

    async def test_a_whole_pool_that_fails_is_told_in_the_clients_words(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        vendor.lines = [told(b'{"error":{"message":"no"}}', status=b"401 Unauthorized")]
        status, _, body = await client.ask()
        assert status >= 400
        assert msgspec.json.decode(body)["error"]["message"]
        assert client.house.in_flight() == 0

    async def test_an_answer_that_is_long_or_encoded(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        large = completion("word " * 100_000)
        packed = zlib.compress(completion("packed"))
        vendor.lines = [told(large), told(packed, b"Content-Encoding: deflate"), told(completion())]
        assert (await client.ask())[2] == large
        assert b"packed" in (await client.ask())[2]
        assert (await client.ask())[0] == 200

    async def test_the_server_goes(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        await riding(client, vendor)
        drain = asyncio.create_task(client.house.listener.drain())
        await until(lambda: client.house.app.exchanges)
        assert not client.house.app.rides
        vendor.gate.set()
        status, headers, _ = await client.answer()
        assert (status, headers["connection"], len(vendor.asked)) == (200, "close", 1)
        await drain

    async def test_the_server_goes_while_a_body_comes(self, connect: Open) -> None:
        client = await connect()
        sent = client.request()
        client.writer.write(sent[:-9])
        await until(lambda: all(front.is_busy for front in client.house.listener._gate.guests))
        drain = asyncio.create_task(client.house.listener.drain())
        await until(lambda: client.house.app.exchanges)
        client.writer.write(sent[-9:])
        assert (await client.answer())[0] == 200
        await drain

    async def test_a_fault_of_ours_leaves_nobody_without_an_answer(
        self, connect: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = await connect()

        def broken(*_: object) -> object:
            raise ZeroDivisionError

        monkeypatch.setattr("proxy.server.lane.clean_headers", broken)
        assert (await client.ask())[0] == 200
        assert client.house.lines("request.failed")
        monkeypatch.undo()
        monkeypatch.setattr("proxy.server.express.Note", broken)
        assert (await client.ask())[0] == 200
        monkeypatch.undo()
        assert (await client.ask())[0] == 200
        assert client.house.in_flight() == 0


class TestLeft:
    async def test_a_client_that_hangs_up(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        await riding(client, vendor)
        client.writer.transport.abort()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await vendor.left.wait()
        await until(lambda: len(client.house.lines()) == 1)
        assert client.house.lines()[-1]["status"] == 499
        assert client.house.in_flight() == client.house.app.metrics.in_flight.count == 0
        assert not client.house.app.rides


class TestTerms:
    async def test_a_reload_is_heeded_at_once(self, connect: Open) -> None:
        client = await connect()
        house = client.house
        assert (await client.ask())[0] == 200
        house.edition = house.edition_of(
            replace(house.config, api_keys=(ClientKey(api_key=Secret("another-key-now")),))
        )
        status, _, body = await client.ask()
        assert status == 401
        assert msgspec.json.decode(body)["error"]["code"] == "invalid_api_key"

    async def test_a_key_that_expires_between_two_requests(self, connect: Open) -> None:
        key = ClientKey(api_key=Secret(KEY), name="laptop", expires="2027-01-15T08:00:01Z")
        client = await connect(keys=(key,))
        assert (await client.ask())[0] == 200
        client.house.clock += 2
        assert (await client.ask())[0] == 401

    async def test_another_head_is_read_anew(self, connect: Open) -> None:
        client = await connect()
        sent = client.request().replace(KEY.encode(), b"a-key-that-nobody-has")
        client.writer.write(sent)
        assert (await client.answer())[0] == 401
        assert (await client.ask())[0] == 200

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b'{"model":"big","model":"large","messages":[]}', 400),
            (b'{"model":"nobody has this","messages":[]}', 404),
            (b'{"model":7,"messages":[]}', 400),
            (b"{", 400),
            (b"[]", 400),
        ],
    )
    async def test_what_is_wrong_is_told(self, connect: Open, body: bytes, status: int) -> None:
        client = await connect()
        head = client.request().partition(b"Content-Length")[0]
        client.writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        found, _, answer = await client.answer()
        assert found == status
        assert msgspec.json.decode(answer)["error"]["message"]
        assert (await client.ask())[0] == 200
        assert client.house.in_flight() == 0

    async def test_a_limit_counts(self, connect: Open) -> None:
        client = await connect(keys=(ClientKey(api_key=Secret(KEY), name="laptop", requests_per_minute=4),))
        while len(client.statuses) < 6:
            await client.ask()
        assert client.statuses == [200, 200, 200, 200, 429, 429]

    async def test_one_at_a_time(self, connect: Open, vendor: Vendor) -> None:
        client = await connect(keys=(ClientKey(api_key=Secret(KEY), name="laptop", concurrency=1),))
        other = await connect(client.house, is_warm=False)
        await riding(client, vendor)
        other.writer.write(other.request())
        assert (await other.answer())[0] == 429
        vendor.gate.set()
        assert (await client.answer())[0] == 200
        assert (await other.ask())[0] == 200


class TestTracks:
    """What is the same for many is looked at once; what is not, each time."""

    async def test_an_account_that_rests_is_passed_over(self, connect: Open, vendor: Vendor) -> None:
        client = await connect(accounts=3)
        house = client.house
        resting = house.snapshot.credentials[0]
        lease = house.pool.lend((resting.id, "big"), 0.0)
        house.pool.fail(lease, Setback(model="*", why="limited", seconds=600.0), asyncio.get_running_loop().time())
        house.pool.give_back(lease)
        for _ in range(6):
            assert (await client.ask())[0] == 200
        assert {vendor.asked.count(f"sk-account-{n}") for n in (1, 2)} == {3}
        assert "sk-account-0" not in vendor.asked

    async def test_a_reload_brings_other_accounts(self, connect: Open, vendor: Vendor) -> None:
        client = await connect(accounts=1)
        house = client.house
        (provider,) = house.config.openai_compatibility
        keys = (CompatibleKey(api_key=Secret("sk-account-new")),)
        house.snapshot = Snapshot.of(
            replace(house.config, openai_compatibility=(replace(provider, api_key_entries=keys),))
        )
        for _ in range(3):
            assert (await client.ask())[0] == 200
        assert set(vendor.asked) == {"sk-account-new"}

    async def test_a_conversation_that_its_body_names_stays_where_it_was(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        for _ in range(4):
            assert (await client.ask(prompt_cache_key="one conversation"))[0] == 200
            assert (await client.ask())[0] == 200
        assert len(set(vendor.asked[::2])) == 1
        assert len(set(vendor.asked)) == 2

    async def test_a_file_is_asked_for_where_it_lies(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        for _ in range(4):
            await client.ask(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "f-1"}}]}])
            await client.ask()
        assert len(set(vendor.asked[::2])) == 1

    async def test_what_an_answer_tells_of_limits_is_learnt(self, connect: Open, vendor: Vendor) -> None:
        client = await connect(accounts=1)
        said = (
            b"x-ratelimit-limit-requests: 10",
            b"x-ratelimit-remaining-requests: 4",
            b"x-ratelimit-reset-requests: 60s",
        )
        vendor.lines = [told(completion(), *said)]
        _, headers, _ = await client.ask()
        assert not any(name.startswith("x-ratelimit") for name in headers), "one account's of many"
        (account,) = client.house.snapshot.credentials
        (window,) = client.house.pool.quotas.current(account.id, "big", asyncio.get_running_loop().time())
        assert window.used == pytest.approx(0.6)

    async def test_the_upstreams_own_words_are_passed_on(self, connect: Open, vendor: Vendor) -> None:
        client = await connect()
        vendor.lines = [told(completion(), b"openai-processing-ms: 7", b"Set-Cookie: a=b", b"x-request-id: theirs")]
        _, headers, _ = await client.ask()
        assert headers["openai-processing-ms"] == "7"
        assert "set-cookie" not in headers
        assert headers["x-request-id"] != "theirs"

    async def test_what_it_used_is_counted_for_its_key(self, connect: Open) -> None:
        client = await connect()
        house = client.house
        before = house.app.limits.spending.used("laptop", "day", house.clock)
        for _ in range(3):
            await client.ask()
        await until(lambda: len(house.lines()) == 3)
        assert house.app.limits.spending.used("laptop", "day", house.clock).tokens == before.tokens + 30
        assert house.app.metrics.registry.get_sample_value(
            "proxy_tokens_total", {"provider": "local", "kind": "output"}
        ) == 3 * len(client.statuses)

    async def test_each_decision_is_kept(self, connect: Open) -> None:
        client = await connect()
        _, headers, _ = await client.ask()
        kept = [
            decision for request_id, decision in client.house.dispatcher.recent if request_id == headers["x-request-id"]
        ]
        assert [each.rule for each in kept] == ["round-robin"]


LIMITED = (b"x-ratelimit-limit-requests: 9", b"x-ratelimit-remaining-requests: 3", b"x-ratelimit-reset-requests: 9s")
LINES = st.sampled_from(
    [
        *[told(completion(str(number))) for number in range(12)],
        told(completion("said before", usage={"prompt_tokens": 9, "completion_tokens": 0}), *LIMITED),
        told(completion(usage=None), b"openai-processing-ms: 3"),
        told(completion("")),
        told(completion(choices=[])),
        told(b'{"error":{"message":"inside","type":"server_error"}}'),
        told(b'{"error":{"message":"slow down"}}', b"retry-after: 1", status=b"429 Too Many Requests"),
        told(b'{"error":{"message":"no such thing"}}', status=b"400 Bad Request"),
        told(b'{"error":{"message":"who are you"}}', status=b"401 Unauthorized"),
        told(b"<html>busy</html>", status=b"503 Service Unavailable"),
        told(zlib.compress(completion("packed")), b"Content-Encoding: deflate"),
        told(b""),
        Last(),
        *[streamed(frame("a"), frame(str(number)), END) for number in range(6)],
        streamed(END),
        streamed(b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'),
        streamed(frame("a"), b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'),
        streamed(frame("cut off"), b"data: {"),
        streamed(),
    ]
)
ASKED = st.fixed_dictionaries(
    {"model": st.sampled_from(["big"] * 8 + ["large", "large", "nobody has this"])},
    optional={
        "path": st.sampled_from([b"/v1/chat/completions"] * 3 + [b"/v1/messages"]),
        "max_tokens": st.sampled_from([5, 0, "many"]),
        "prompt_cache_key": st.sampled_from(["a", "b"]),
        "metadata": st.just({"user_id": "somebody"}),
        "temperature": st.sampled_from([0, 2.5]),
        "stream": st.sampled_from([True, False]),
        "stream_options": st.just({"include_usage": True}),
        "stop": st.just(["."]),
    },
)
_MADE = re.compile(rb"made-\d+|msg_[0-9a-f]+")


async def observed(vendor: Vendor, asked: list[dict[str, Any]], lines: list[bytes], *, rides: bool) -> list[object]:
    """All that a client, the vendor, the log and the pool see of these requests."""
    vendor.lines, vendor.asked, vendor.bodies = [*lines, told(completion())], [], []
    house = House(vendor, accounts=3, clock=FakeClock().clock())
    house.app.starter = house.dispatcher if rides else None
    await house.listener.open()
    client = Client(house, *await asyncio.open_connection("127.0.0.1", house.port))
    try:
        answers = []
        for each in asked:
            status, headers, body = await client.ask(**each)
            told_of = {
                name: value for name, value in headers.items() if name not in {"date", "x-request-id", "request-id"}
            }
            answers.append((status, told_of.keys(), told_of, _MADE.sub(b"", body)))
        await until(lambda: len(house.lines()) == len(asked))
        timed = {"timestamp", "request_id", "seconds", "first_byte_seconds"}
        logged = [{k: v for k, v in line.items() if k not in timed} for line in house.lines()]
        standings = [(key, standing.state, standing.why) for key, standing in house.pool.standings(2000.0)]
        windows = [[*house.pool.quotas.current(each.id, "big", 1000.0)] for each in house.snapshot.credentials]
        served = [house.pool.served_at(each.id) for each in house.snapshot.credentials]
        spent = house.app.limits.spending.used("laptop", "day", house.clock)
        recent = [(each.chosen and each.chosen.key, each.rule) for _, each in house.dispatcher.recent]
        assert house.in_flight() == house.app.metrics.in_flight.count == 0
        return [answers, vendor.asked, vendor.bodies, logged, standings, windows, served, spent, recent]
    finally:
        client.writer.transport.abort()
        with suppress(ConnectionError):
            await client.writer.wait_closed()
        await house.close()


@given(asked=st.lists(ASKED, min_size=2, max_size=12), lines=st.lists(LINES, max_size=8))
@settings(max_examples=40)
def test_whichever_way_it_takes_the_same_comes_of_it(asked: list[dict[str, Any]], lines: list[bytes]) -> None:
    async def both() -> None:
        vendor = Vendor()
        vendor.gate.set()
        server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0)
        vendor.port = server.sockets[0].getsockname()[1]
        try:
            waited, ridden = [await observed(vendor, asked, lines, rides=rides) for rides in (False, True)]
            for one, other in zip(waited, ridden, strict=True):
                assert other == one
        finally:
            server.close()
            for writer in vendor.writers:
                writer.transport.abort()

    asyncio.run(both())
