"""The official SDK over a WebSocket, and its stored conversations, in front of simulated accounts on every wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter

from auth.pool import Pool
from proxy.config.schema import Config, Streaming
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.snapshot import Snapshot
from proxy.providers.sandbox import CREDENTIALS, PROVIDERS, Sandbox
from proxy.server.connection import Patience
from tests.proxy.server.conftest import House

MODELS = ("sandbox-claude", "sandbox-gpt", "sandbox-gemini")
TRANSLATED = ("sandbox-claude", "sandbox-gemini")
EVENTS: TypeAdapter[ResponsesServerEvent] = TypeAdapter(ResponsesServerEvent)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[AsyncOpenAI]:
    config = Config(streaming=Streaming(keepalive_seconds=5))
    snapshot = Snapshot.of(config, providers=PROVIDERS, credentials=CREDENTIALS)
    sandbox = Sandbox(pace_seconds=0)
    house = House(config, Patience(), "127.0.0.1")
    house.app.dispatcher = Dispatcher(
        snapshot=lambda: snapshot, upstreams={"sandbox": sandbox}, pool=Pool(), clock=Clock()
    )
    await house.listener.open()
    async with AsyncOpenAI(api_key="any-word", base_url=f"{house.url}/v1", max_retries=0) as client:
        yield client
    await house.listener.close()
    await sandbox.close()


async def events_of(connection: Any) -> list[ResponsesServerEvent]:
    """Up to the end of an answer, each as strictly as the SDK's own types have it."""
    events: list[ResponsesServerEvent] = []
    while not events or events[-1].type not in {"response.completed", "response.failed", "error"}:
        events.append(EVENTS.validate_json(await connection.recv_bytes()))
    return events


@pytest.mark.parametrize("model", MODELS)
async def test_a_conversation_of_new_words_only(client: AsyncOpenAI, model: str) -> None:
    async with client.responses.connect() as connection:
        await connection.response.create(model=model, input="My name is Ada.", store=False)
        first = await events_of(connection)
        assert first[0].type == "response.created"
        assert first[-1].type == "response.completed"
        assert first[-1].response.output_text
        assert first[-1].response.usage is not None
        await connection.response.create(
            model=model, input="What did I say?", previous_response_id=first[-1].response.id, store=False
        )
        second = await events_of(connection)
        assert second[-1].type == "response.completed"
        assert second[-1].response.usage is not None
        assert second[-1].response.usage.input_tokens > first[-1].response.usage.input_tokens


async def test_an_account_that_fails_before_its_first_word_is_not_noticed(client: AsyncOpenAI) -> None:
    async with client.responses.connect() as connection:
        for _ in range(4):
            await connection.response.create(model="sandbox-flaky", input="Hi", store=False)
            events = await events_of(connection)
            assert [event.type for event in events].count("response.created") == 1
            assert events[-1].type == "response.completed"


async def test_a_prewarm_then_a_turn(client: AsyncOpenAI) -> None:
    async with client.responses.connect() as connection:
        await connection.response.create(model="sandbox-claude", input=[], generate=False, store=False)
        warm = (await events_of(connection))[-1]
        assert warm.type == "response.completed"
        assert warm.response.output == []
        await connection.response.create(model="sandbox-claude", input="Hi", previous_response_id=warm.response.id)
        assert (await events_of(connection))[-1].type == "response.completed"


async def test_lanes_and_what_goes_wrong(client: AsyncOpenAI) -> None:
    async with client.responses.connect() as connection:
        await connection.response.create(model="sandbox-gemini", input="Hi", stream_id="left")
        assert {event.stream_id for event in await events_of(connection)} == {"left"}
        await connection.response.create(model="nobody-serves-this", input="Hi", stream_id="right")
        (error,) = await events_of(connection)
        assert error.type == "error"
        assert (error.status, error.stream_id) == (404, "right")
        await connection.response.steer(input="faster", previous_response_id="resp_x")
        assert EVENTS.validate_json(await connection.recv_bytes()).type == "response.steer.failed"


@pytest.mark.parametrize("model", TRANSLATED)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_stored_conversations_over_http(client: AsyncOpenAI, model: str, is_stream: bool) -> None:
    """Before providers that store nothing."""

    async def ask(text: str, previous: str | None) -> Any:
        answer: Any = await client.responses.create(
            model=model, input=text, previous_response_id=previous, stream=is_stream
        )
        return [event async for event in answer][-1].response if is_stream else answer

    first = await ask("My name is Ada.", None)
    second = await ask("What did I say?", first.id)
    assert second.usage.input_tokens > first.usage.input_tokens
    stored = await client.responses.retrieve(first.id)
    assert (stored.id, stored.output_text) == (first.id, first.output_text)
    await client.responses.delete(first.id)
    with pytest.raises(NotFoundError):
        await client.responses.retrieve(first.id)
    third = await ask("And before?", second.id)
    assert third.status == "completed", "what was deleted is still part of what goes on from it"


@pytest.mark.parametrize("model", TRANSLATED)
async def test_what_nobody_knows_is_refused(client: AsyncOpenAI, model: str) -> None:
    with pytest.raises(BadRequestError, match="previous_response_id"):
        await client.responses.create(model=model, input="x", previous_response_id="resp_of_another_day")


async def test_a_count_of_a_stored_conversation(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="sandbox-claude", input="My name is Ada.")
    alone = await client.responses.input_tokens.count(model="sandbox-claude", input="x")
    after = await client.responses.input_tokens.count(model="sandbox-claude", input="x", previous_response_id=first.id)
    assert after.input_tokens > alone.input_tokens
