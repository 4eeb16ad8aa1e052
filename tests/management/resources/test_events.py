"""Live events, as somebody who listens gets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from management.resources import events
from tests.pace import SECONDS_MAX

KEY = "the-management-key-of-the-tests"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PERIOD_SECONDS", 0.02)


async def told(answer: Any) -> AsyncIterator[tuple[str, Any]]:
    kind = ""
    while line := (await answer.content.readline()).decode().rstrip():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, msgspec.json.decode(line.removeprefix("data: "))
        if line.startswith(("data: ", ": ")):
            await answer.content.readline()


def listening(stage: Any, topics: str) -> Any:
    url = f"{stage.url}/v0/management/events?topics={topics}"
    return stage.session.get(url, headers={"Authorization": f"Bearer {KEY}"})


async def test_a_request_is_told_with_its_decision(stage: Any) -> None:
    async with asyncio.timeout(SECONDS_MAX), listening(stage, "decisions,usage") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["X-Request-ID"]
        await asyncio.to_thread(stage.house.ledger.read, lambda _connection: None)
        found: dict[str, Any] = {}
        sending = asyncio.create_task(until_told(stage, found))
        async for kind, value in told(answer):
            found[kind] = value
            if len(found) == 2:
                break
        await sending
    assert found["decision"]["request_id"].startswith("r-")
    assert found["usage"]["request_id"].startswith("r-")
    assert found["usage"]["provider"] == "sandbox-gpt"


async def until_told(stage: Any, found: dict[str, Any]) -> None:
    """A usage event is of what came after the first look."""
    number = 0
    while len(found) < 2:
        await stage.chat(X_Request_ID=f"r-{number}")
        number += 1


async def test_accounts_are_told_and_then_what_changes(stage: Any) -> None:
    house = stage.house
    ids = {each.id for each in house.standpoint.snapshot.credentials}
    async with asyncio.timeout(SECONDS_MAX), listening(stage, "accounts") as answer:
        seen = set()
        async for kind, value in told(answer):
            assert (kind, value["status"]) == ("account", "active")
            seen.add(value["id"])
            if seen == ids:
                break
        house.pool.disable(min(ids))
        async for _, value in told(answer):
            assert (value["id"], value["status"]) == (min(ids), "disabled")
            break


async def test_a_shutdown_ends_it(open_stage: Any) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        async with open_stage("server: {drain-seconds: 600}\n") as stage:
            answer = await listening(stage, "accounts")
            await answer.content.readline()
            exchange = next(iter(stage.house._management._state.listeners), None)
            assert exchange is not None
        answer.close()


@pytest.mark.parametrize("topics", ["everything", "usage,", "usage,x"])
async def test_topics_are_known(stage: Any, topics: str) -> None:
    assert (await stage.ask("GET", f"/events?topics={topics}")).status == 400


async def test_not_more_than_so_many_listen(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LISTENERS_MAX", 0)
    assert (await stage.ask("GET", "/events")).status == 503
