"""The official SDK over a WebSocket, in front of a provider that takes WebSockets itself: two accounts of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter

from auth.pool import Pool
from auth.secret import Secret
from proxy.config.provider_keys import ModelAlias, ProviderKey
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.snapshot import Snapshot
from proxy.server.connection import Patience
from proxy.upstream.http import HttpUpstream
from proxy.upstream.sockets import SocketUpstream
from tests.pace import SECONDS_MAX
from tests.proxy.server.conftest import House
from tests.socket_vendor import Asked, Close, Hold, SocketVendor, Step, error, messages

EVENTS: TypeAdapter[ResponsesServerEvent] = TypeAdapter(ResponsesServerEvent)
ENDS = {"response.completed", "response.failed", "response.incomplete", "error"}
MODEL = "gpt-5.5"
EXHAUSTED = error(429, "usage_limit_reached", "The allowance is used up.", headers={"retry-after": "7200"})


@pytest_asyncio.fixture
async def vendor() -> AsyncIterator[SocketVendor]:
    async with SocketVendor() as vendor:
        yield vendor


@asynccontextmanager
async def opened(vendor: SocketVendor, **settings: Any) -> AsyncIterator[AsyncOpenAI]:
    keys = tuple(
        ProviderKey(api_key=Secret(name), base_url=f"{vendor.url}/v1", **settings) for name in ("key-one", "key-two")
    )
    snapshot = Snapshot.of(Config(codex_api_key=keys, request_retry=0, max_retry_interval=0))
    upstream = SocketUpstream(HttpUpstream())
    house = House(Config(), Patience(), "127.0.0.1")
    house.app.dispatcher = Dispatcher(
        snapshot=lambda: snapshot, upstreams={"http": upstream}, pool=Pool(), clock=Clock()
    )
    await house.listener.open()
    try:
        async with AsyncOpenAI(api_key="any-word", base_url=f"{house.url}/v1", max_retries=0) as client:
            yield client
    finally:
        await house.listener.close()
        await upstream.close()


class Conversation:
    """What a client of the provider does: it says what is new, and what it goes on from."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.last: str | None = None

    async def say(self, text: str, **more: Any) -> list[ResponsesServerEvent]:
        items = [{"role": "user", "content": text}]
        words = {"model": MODEL, "store": False, **more}
        if self.last is not None:
            words["previous_response_id"] = self.last
        await self._connection.response.create(input=items, **words)
        events = [EVENTS.validate_json(await self._connection.recv_bytes())]
        while events[-1].type not in ENDS:
            events.append(EVENTS.validate_json(await self._connection.recv_bytes()))
        last: Any = events[-1]
        self.last = last.response.id if last.type != "error" else self.last
        return events

    async def ends(self, text: str, **more: Any) -> Any:
        return (await self.say(text, **more))[-1]


@asynccontextmanager
async def conversation(vendor: SocketVendor, **settings: Any) -> AsyncIterator[Conversation]:
    async with opened(vendor, **settings) as client, client.responses.connect() as connection:
        yield Conversation(connection)


def words(asked: Asked) -> list[str]:
    """What a request says, in its order."""
    told = []
    for item in asked.body["input"]:
        content = item["content"]
        told.append(content if isinstance(content, str) else content[0]["text"])
    return told


def refusing(*keys: str, step: Step = EXHAUSTED) -> Any:
    """The provider, for whom these accounts are no good."""

    def play(asked: Asked) -> Sequence[Step]:
        if asked.key in keys:
            return [step]
        return messages(response_id=f"resp_of_{asked.key}", stored=asked.body.get("store") is not False)

    return play


async def test_it_is_told_what_is_new(vendor: SocketVendor) -> None:
    async with conversation(vendor) as talk:
        warm = await talk.ends("Be brief.", generate=False)
        assert warm.response.output == []
        for text in ("one", "two"):
            assert (await talk.ends(text)).response.output_text == "Ahoy."
    first, second, third = vendor.asked
    assert [words(each) for each in vendor.asked] == [["Be brief."], ["one"], ["two"]]
    assert {each.socket for each in vendor.asked} == {1}
    assert first.body == {
        "type": "response.create", "model": MODEL, "store": False, "generate": False,
        "input": [{"role": "user", "content": "Be brief."}],
    }  # fmt: skip
    assert second.body["previous_response_id"] == warm.response.id
    assert third.body["previous_response_id"] == "resp_2"
    assert "generate" not in second.body


async def test_an_account_that_is_exhausted_is_not_noticed(vendor: SocketVendor) -> None:
    async with conversation(vendor) as talk:
        await talk.ends("one")
        tired = vendor.asked[0].key
        vendor.plays = refusing(tired)
        assert (await talk.ends("two")).response.output_text == "Ahoy."
        await talk.ends("three")
    _, refused, whole, after = vendor.asked
    assert words(refused) == ["two"]
    assert (whole.key != tired, words(whole)) == (True, ["one", "Ahoy.", "two"])
    assert "previous_response_id" not in whole.body
    assert (after.socket, words(after)) == (whole.socket, ["three"]), "and from there on it is told what is new again"


async def test_a_prewarm_finds_another_account_too(vendor: SocketVendor) -> None:
    vendor.plays = refusing("key-one")
    async with conversation(vendor) as talk:
        assert (await talk.ends("Be brief.", generate=False)).type == "response.completed"
        assert (await talk.ends("one")).type == "response.completed"
    assert vendor.asked[-1].key == "key-two"
    assert words(vendor.asked[-1]) == ["one"]


async def test_nobody_is_left(vendor: SocketVendor) -> None:
    vendor.plays = refusing("key-one", "key-two")
    async with conversation(vendor) as talk:
        warm = await talk.ends("Be brief.", generate=False)
        assert warm.type == "response.completed", "nothing was to be generated: that is for the turn to say"
        refused = await talk.ends("one")
    assert (refused.type, refused.status, refused.error.type) == ("error", 429, "usage_limit_reached")
    assert [words(each) for each in vendor.asked] == [["Be brief."]] * 2


async def test_a_socket_that_is_closed_between_turns(vendor: SocketVendor) -> None:
    """The provider ends each after an hour."""
    vendor.plays = lambda _asked: [*messages(response_id=f"r{len(vendor.asked)}", stored=False), Close(1001)]
    async with conversation(vendor) as talk:
        for text in ("one", "two"):
            assert (await talk.ends(text)).type == "response.completed"
    assert [(each.socket, words(each)) for each in vendor.asked] == [(1, ["one"]), (2, ["one", "Ahoy.", "two"])]


@pytest.mark.parametrize("status", [426, 404])
async def test_a_provider_that_takes_none(vendor: SocketVendor, status: int) -> None:
    vendor.refuses = status
    async with conversation(vendor) as talk:
        assert (await talk.ends("Be brief.", generate=False)).response.output == []
        for text in ("one", "two"):
            assert (await talk.ends(text)).type == "response.completed"
    assert [(each.socket, words(each)) for each in vendor.asked] == [
        (0, ["Be brief.", "one"]),
        (0, ["Be brief.", "one", "Ahoy.", "two"]),
    ]
    assert all(each.body["stream"] is True for each in vendor.asked)
    assert len(vendor.handshakes) == 1


async def test_a_key_that_is_asked_over_http(vendor: SocketVendor) -> None:
    async with conversation(vendor, websockets=False) as talk:
        await talk.ends("one")
    assert (vendor.handshakes, vendor.asked[0].socket) == ([], 0)


async def test_it_breaks_before_its_content(vendor: SocketVendor) -> None:
    head = messages(response_id="r")[:2]
    vendor.plays = lambda _asked: [*head, Close(0)] if len(vendor.asked) == 1 else messages(response_id="s")
    async with conversation(vendor) as talk:
        assert (await talk.ends("one")).response.output_text == "Ahoy."
    assert len({each.key for each in vendor.asked}) == 2


async def test_it_breaks_in_its_content(vendor: SocketVendor) -> None:
    vendor.plays = lambda _asked: [*messages(response_id="r")[:5], Close(0)]
    async with opened(vendor) as client, client.responses.connect() as connection:
        await connection.response.create(model=MODEL, input="one")
        events = [msgspec.json.decode(await connection.recv_bytes()) for _ in range(6)]
    assert (events[-1]["type"], events[-1]["response"]["id"]) == ("response.failed", "r")
    assert [each["sequence_number"] for each in events] == [*range(6)]
    assert len(vendor.asked) == 1


async def test_the_client_goes_in_the_middle_of_an_answer(vendor: SocketVendor) -> None:
    vendor.plays = lambda _asked: [*messages(response_id="r")[:5], Hold()]
    async with opened(vendor) as client:
        async with client.responses.connect() as connection:
            await connection.response.create(model=MODEL, input="Hi")
            for _ in range(5):
                await connection.recv_bytes()
        async with asyncio.timeout(SECONDS_MAX):
            await vendor.asked[0].is_cut.wait()


async def test_lanes_have_a_socket_each(vendor: SocketVendor) -> None:
    held = asyncio.Event()

    def play(asked: Asked) -> Sequence[Step]:
        if words(asked) == ["slow"]:
            held.set()
            return [*messages(response_id="slow")[:5], Hold()]
        return messages(response_id=f"r{len(vendor.asked)}")

    vendor.plays = play
    async with opened(vendor) as client, client.responses.connect() as connection:
        await connection.response.create(model=MODEL, input=[{"role": "user", "content": "slow"}], stream_id="a")
        await held.wait()
        await connection.response.create(model=MODEL, input=[{"role": "user", "content": "fast"}], stream_id="b")
        ended: Any = EVENTS.validate_json(await connection.recv_bytes())
        while ended.type not in ENDS:
            ended = EVENTS.validate_json(await connection.recv_bytes())
        assert (ended.type, ended.stream_id) == ("response.completed", "b")
    assert [each.socket for each in vendor.asked] == [1, 2]
    assert all("stream_id" not in each.body for each in vendor.asked)


async def test_what_the_provider_stores_may_be_gone_on_from_anywhere(vendor: SocketVendor) -> None:
    """Over another connection, and over HTTP."""
    async with opened(vendor) as client:
        async with client.responses.connect() as connection:
            stored = await Conversation(connection).ends("one", store=True)
        answer: Any = await client.responses.create(
            model=MODEL, input="two", previous_response_id=stored.response.id, stream=True
        )
        assert [event async for event in answer][-1].type == "response.completed"
    socket, post = vendor.asked
    assert (post.key, post.body["previous_response_id"]) == (socket.key, stored.response.id)


async def test_one_client_s_words_are_never_said_on_another_s_socket(vendor: SocketVendor) -> None:
    async with (
        opened(vendor) as client,
        client.responses.connect() as mine,
        client.responses.connect() as yours,
    ):
        first, second = Conversation(mine), Conversation(yours)
        await first.ends("mine")
        await second.ends("yours")
        await first.ends("mine again")
        second.last = first.last
        assert (await second.ends("whose?")).error.code == "previous_response_not_found"
    by_socket = {each.socket: [] for each in vendor.asked}
    for each in vendor.asked:
        by_socket[each.socket] += words(each)
    assert sorted(by_socket.values()) == [["mine", "mine again"], ["yours"]]


async def test_a_model_under_another_name(vendor: SocketVendor) -> None:
    async with conversation(vendor, models=(ModelAlias(name="gpt-5.5", alias="harbour"),)) as talk:
        ended = await talk.ends("one", model="harbour")
    assert vendor.asked[0].body["model"] == "gpt-5.5"
    assert ended.response.model == "harbour"
