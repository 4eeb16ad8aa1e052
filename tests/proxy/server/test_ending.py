"""A request that asked a model is in the ledger when it is over, once, however it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from auth.secret import Secret
from proxy.config.client_keys import ClientKey
from proxy.config.schema import Config
from proxy.dispatch.inquiry import AttemptRecord, Inquiry, Outcome, Refused, Report
from proxy.hub.events import Failure
from proxy.hub.response import Usage
from proxy.observe.ledger import Ledger
from proxy.observe.usage_queries import Filter, requests
from proxy.server.access import ClientKeys
from proxy.server.app import Edition
from tests.pace import SECONDS_MAX


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "usage.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def house(house: Any, ledger: Ledger) -> Any:
    house.app.ledger = ledger
    return house


def kept(ledger: Ledger) -> list[dict[str, object]]:
    return ledger.read(lambda connection: [*requests(connection, Filter(), limit=100)])


def report(inquiry: Inquiry) -> Report:
    return Report(
        request_id=inquiry.request_id,
        model_asked=inquiry.model,
        model_served="big-1",
        provider="acme",
        wire="anthropic",
        credential="a-1",
        account="work",
        attempts=[AttemptRecord(provider="acme", credential="a-1", model="big-1", status=200)],
        usage=Usage(input_uncached=3, cache_read=2, output=1),
        finish="stop",
    )


class Endless:
    """A stream that never ends, until its reader goes."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.given = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.given:
            await self.closed.wait()
        self.given += 1
        return b'data: {"n":1}\n\n'

    async def aclose(self) -> None:
        self.closed.set()


async def test_a_good_answer(house: Any, ledger: Ledger) -> None:
    async def answer(inquiry: Inquiry) -> Outcome:
        async def body() -> AsyncIterator[bytes]:
            yield b"{}"

        return Outcome(status=200, headers=(), body=body(), report=report(inquiry))

    house.dispatcher.answer = answer
    await house.post("/v1/chat/completions", x_request_id="mine", session_id="talk")
    (row,) = kept(ledger)
    wanted = {
        "request_id": "mine", "route": "/v1/chat/completions", "operation": "generate", "status": 200,
        "model_asked": "big", "model_served": "big-1", "provider": "acme", "credential": "a-1", "account": "work",
        "wire_in": "openai_chat", "wire_out": "anthropic", "is_stream": False, "input_uncached": 3, "cache_read": 2,
        "cache_write": None, "output": 1, "reasoning": None, "cost": None, "retries": 0, "finish": "stop",
        "error": None, "session": "talk", "at": 1_800_000_000.0,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted


async def test_a_stream_that_its_client_left(house: Any, ledger: Ledger) -> None:
    body = Endless()

    async def answer(inquiry: Inquiry) -> Outcome:
        return Outcome(status=200, headers=(), body=body, report=report(inquiry))

    house.dispatcher.answer = answer
    async with house.session.post(f"{house.url}/v1/messages", json={"model": "big", "stream": True}) as stream:
        await stream.content.readany()
    async with asyncio.timeout(SECONDS_MAX):
        await body.closed.wait()
        while house.app.exchanges:
            await asyncio.wait({each.task for each in house.app.exchanges})
    house.app.books.flush()
    assert [(row["status"], row["input_uncached"]) for row in kept(ledger)] == [(499, 3)]


async def test_what_nobody_could_answer_belongs_to_the_last_who_tried(house: Any, ledger: Ledger) -> None:
    async def answer(inquiry: Inquiry) -> Outcome:
        tried = Report(request_id=inquiry.request_id, model_asked=inquiry.model)
        tried.attempts = [
            AttemptRecord(provider="acme", credential=f"a-{n}", model="big-1", status=500) for n in range(3)
        ]
        raise Refused(Failure(kind="overloaded", status=529, message="of a-private-word", code="busy"), tried)

    house.dispatcher.answer = answer
    await house.post("/v1/messages")
    (row,) = kept(ledger)
    assert (row["credential"], row["retries"], row["status"], row["error"]) == ("a-2", 2, 529, "overloaded busy")
    assert "a-private-word" not in str(row)


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/nothing"])
async def test_what_asks_no_model_is_not_in_it(house: Any, ledger: Ledger, path: str) -> None:
    await house.get(path)
    assert kept(ledger) == []


async def test_who_has_no_key_cannot_fill_it(house: Any, ledger: Ledger) -> None:
    config = Config(api_keys=(ClientKey(api_key=Secret("a-good-long-key")),))
    house.edition = Edition(config=config, keys=ClientKeys.of(config.api_keys), listing=house.edition.listing)
    assert (await house.post("/v1/messages")).status == 401
    assert kept(ledger) == []


async def test_it_can_be_switched_off(house: Any, ledger: Ledger) -> None:
    config = Config(usage_statistics_enabled=False)
    house.edition = Edition(config=config, keys=ClientKeys.of(()), listing=house.edition.listing)
    assert (await house.post("/v1/messages")).status == 200
    assert kept(ledger) == []
