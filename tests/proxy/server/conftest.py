"""A running server on a free port, in front of a dispatcher that plays what a test tells it."""

from __future__ import annotations

import asyncio
import io
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
import msgspec
import pytest
import uvloop

from auth.secret import Secret
from proxy.config.client_keys import ClientKey, RateLimits
from proxy.config.schema import Config, Server, Streaming, Tls
from proxy.dispatch.inquiry import Inquiry, Outcome, Report
from proxy.dispatch.reach import EVERYTHING, Reach
from proxy.hub.residue import JsonObject
from proxy.observe.log import make_log
from proxy.observe.metrics import Metrics
from proxy.providers.base import Model
from proxy.server.access import ClientKeys
from proxy.server.accounts import AccountState
from proxy.server.app import App, Edition, Quarantine
from proxy.server.connection import Patience
from proxy.server.lifecycle import Listener
from proxy.wire.table import wire_named

MODELS = (
    Model(id="big", display_name="Big", context_tokens=200_000, output_tokens=64_000, created=1_700_000_000, owner="x"),
    Model(id="vendor/small"),
)


class Body:
    """An answer's body. Remembers whether it was closed before its end."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.is_done = False
        self.closed = asyncio.Event()
        self.closed_at: float | None = None

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            self.is_done = True
            raise

    async def aclose(self) -> None:
        self.closed_at = time.monotonic()
        self.closed.set()


def chunked(*chunks: bytes) -> Body:
    async def give() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return Body(give())


def outcome(inquiry: Inquiry, body: Body, *, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Outcome:
    kind = "text/event-stream" if inquiry.is_stream else "application/json"
    return Outcome(
        status=status,
        headers=(("content-type", kind), *headers),
        body=body,
        report=Report(request_id=inquiry.request_id, model_asked=inquiry.model),
    )


async def echo(inquiry: Inquiry) -> Outcome:
    if inquiry.is_stream:
        return outcome(inquiry, chunked(b'data: {"n":1}\n\n', b'data: {"n":2}\n\n'))
    return outcome(inquiry, chunked(b'{"model":"', inquiry.model.encode(), b'"}'))


@dataclass
class FakeDispatcher:
    answer: Callable[[Inquiry], Awaitable[Outcome]] = echo
    inquiries: list[Inquiry] = field(default_factory=list)

    async def open(self, inquiry: Inquiry) -> Outcome:
        self.inquiries.append(inquiry)
        return await self.answer(inquiry)


@dataclass
class FakeListing:
    reach: Reach = EVERYTHING
    ids: Sequence[str] = ("a-1", "a-2")

    def models(self) -> Sequence[Model]:
        return [model for model in MODELS if self.reach.may_name(model.id)]

    def accounts(self) -> Sequence[str]:
        return [each for each in self.ids if each in (self.reach.accounts or self.ids)]

    def within(self, reach: Reach) -> FakeListing:
        return FakeListing(reach, self.ids)


@dataclass
class FakeStatus:
    states: list[AccountState] = field(
        default_factory=lambda: [AccountState(id="a-1", label="first", provider="anthropic", state="ready")]
    )
    error: str | None = None
    broken: Sequence[Quarantine] = ()

    def accounts(self) -> Sequence[AccountState]:
        return self.states

    def quarantined(self) -> Sequence[Quarantine]:
        return self.broken

    def reload_error(self) -> str | None:
        return self.error


class House:
    """The server, its scripted parts, and ways to talk to it."""

    def __init__(self, config: Config, patience: Patience, host: str) -> None:
        self.dispatcher = FakeDispatcher()
        self.status = FakeStatus()
        self.written = io.BytesIO()
        self.edition = Edition(
            config=config, keys=ClientKeys.of(config.api_keys, general=config.limits.key), listing=FakeListing()
        )
        ids = itertools.count(1)
        self.app = App(
            edition=lambda: self.edition,
            dispatcher=self.dispatcher,
            wire=wire_named,
            status=self.status,
            metrics=Metrics(version="0.0"),
            log=make_log(self.written, redact=lambda _log, _method, event: event, is_json=True),
            now=lambda: 1_800_000_000.0,
            new_id=lambda: f"made-{next(ids)}",
        )
        self.listener = Listener(self.app, host=host, port=0, tls=config.tls, patience=patience)
        self.session: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return self.listener.addresses[0][1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> list[dict[str, object]]:
        return [msgspec.json.decode(line) for line in self.written.getvalue().splitlines()]

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, None, **headers)

    async def post(self, path: str, content: object = None, **headers: str) -> Answer:
        return await self.ask("POST", path, {"model": "big"} if content is None else content, **headers)

    async def ask(self, method: str, path: str, content: object, **headers: str) -> Answer:
        data = content if isinstance(content, bytes) or content is None else msgspec.json.encode(content)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            named.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method,
            aiohttp.client.URL(self.url + path, encoded=True),
            data=None if data is None else io.BytesIO(data),
            headers={name: value for name, value in named.items() if value != "absent"},
            skip_auto_headers=["Content-Type", "Accept-Encoding"],
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def raw(self, data: bytes, *, until_closed: bool = True) -> bytes:
        """Sends bytes and gives what comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(0.8 * Patience().head_seconds):
                return await (reader.read() if until_closed else reader.readuntil(b"\r\n\r\n"))
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> JsonObject:
        value: JsonObject = msgspec.json.decode(self.body)
        return value

    @property
    def error(self) -> JsonObject:
        error = self.json["error"]
        assert isinstance(error, dict)
        return error

    @property
    def dialect(self) -> str:
        """Whose envelope the error has."""
        if self.json.get("type") == "error":
            return "anthropic"
        return "gemini" if isinstance(self.error["code"], int) else "openai"


TRANSPORT_TESTS = {
    "test_connection.py", "test_front.py", "test_lifecycle.py", "test_stream.py", "test_websocket.py",
    "test_responses_socket.py",
}  # fmt: skip


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What depends on transports is tested with both kinds of them: uvloop is what serves, where there is one."""
    if item.path.name in TRANSPORT_TESTS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


Open = Callable[..., Awaitable[House]]


@pytest.fixture
async def open_house() -> AsyncIterator[Open]:
    """Starts servers; keyword arguments are settings of `config.server`, and those below."""
    houses: list[House] = []

    async def start(
        *,
        keys: Sequence[str | ClientKey] = (),
        keepalive_seconds: int = 15,
        patience: Patience | None = None,
        host: str = "127.0.0.1",
        tls: Tls | None = None,
        limits: RateLimits | None = None,
        **server: object,
    ) -> House:
        config = Config(
            api_keys=tuple(
                key if isinstance(key, ClientKey) else ClientKey(api_key=Secret(key), name=f"client {n}")
                for n, key in enumerate(keys)
            ),
            server=Server(**server),  # type: ignore[arg-type]  # the tests name them
            streaming=Streaming(keepalive_seconds=keepalive_seconds),
            tls=tls or Tls(),
            limits=limits or RateLimits(),
        )
        house = House(config, patience or Patience(), host)
        await house.listener.open()
        house.session = aiohttp.ClientSession(auto_decompress=False)
        houses.append(house)
        return house

    yield start
    for house in houses:
        await house.session.close()
        await house.listener.close()


@pytest.fixture
async def house(open_house: Open) -> House:
    return await open_house()
