"""Codex makes a long conversation shorter: its vendor does it where it is asked, any other model writes a summary."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from tests.clients import test_codex
from tests.clients.answers import Compacted, Say
from tests.clients.app_server import AppServer, app_server, text
from tests.clients.over_socket import on_socket
from tests.clients.stage import CLIENT_KEY, MODELS, Stage

CONTENT = "gAAAAABharbour"
SUMMARY = "They spoke of bergamot."


@pytest.fixture(autouse=True)
def _furnish(stage: Stage) -> None:
    stage.furniture = test_codex.TestCodex.home


async def turn(server: AppServer, thread: str, words: str) -> str:
    """How it ended."""
    await server.ask("turn/start", threadId=thread, input=text(words))
    status: str = (await server.until("turn/completed"))["turn"]["status"]
    return status


async def compacted(server: AppServer, thread: str) -> None:
    await server.ask("thread/compact/start", threadId=thread)
    ended = (await server.until("turn/completed"))["turn"]
    assert (ended["status"], ended["error"]) == ("completed", None)


@pytest.mark.parametrize("is_by_socket", [True, False], ids=["WebSocket", "HTTP"])
async def test_its_vendor_does_it(stage: Stage, is_by_socket: bool) -> None:
    """By an item that asks for it in an ordinary request; the item that comes back stands for all that was said."""
    async with on_socket(stage.upstream) as vendor:
        stage.by_socket = vendor
        vendor.refuses = None if is_by_socket else 426
        await stage.open(openai_responses=["key-one-of-the-harbour"])
        stage.upstream.in_turn(Say("Ahoy."), Compacted(CONTENT), Say("Bergamot."))
        async with test_codex.served_by_socket(stage) as server:
            thread = await server.thread(model=MODELS["openai_responses"])
            assert await turn(server, thread, "Hello there") == "completed"
            await compacted(server, thread)
            assert await turn(server, thread, "What was it?") == "completed"
    _, trigger, later = stage.upstream.asked
    assert trigger.body["input"][-1]["type"] == "compaction_trigger"
    (kept,) = [each for each in later.body["input"] if each["type"] == "compaction"]
    assert kept["encrypted_content"] == CONTENT
    assert b"Ahoy." not in later.request.body


@pytest.mark.parametrize("is_by_socket", [True, False], ids=["WebSocket", "HTTP"])
async def test_a_model_that_cannot_writes_notes_in_its_place(stage: Stage, is_by_socket: bool) -> None:
    """Codex asks as it asks its vendor, and gets such an item as it wants."""
    await stage.open(anthropic=["key-one-of-the-harbour"])
    stage.upstream.in_turn(Say("Ahoy."), Say(SUMMARY), Say("Bergamot."))
    server = test_codex.served_by_socket(stage) if is_by_socket else over_http(stage)
    async with server as codex:
        thread = await codex.thread(model=MODELS["anthropic"])
        assert await turn(codex, thread, "Hello there") == "completed"
        await compacted(codex, thread)
        assert await turn(codex, thread, "What was it?") == "completed"
    _, asked, later = stage.upstream.asked
    assert b"Ahoy." in asked.request.body
    assert b"Ahoy." not in later.request.body
    assert SUMMARY.encode() in later.request.body


def over_http(stage: Stage) -> AbstractAsyncContextManager[AppServer]:
    """By a provider that goes by OpenAI's name."""
    provider = f'{{name="OpenAI",base_url="{stage.url}/v1",wire_api="responses",env_key="HARBOUR_KEY"}}'
    choice = ("-c", 'model_provider="p"', "-c", f"model_providers.p={provider}")
    return app_server(stage, "codex", *choice, "app-server", HARBOUR_KEY=CLIENT_KEY)


async def test_any_other_model_writes_a_summary(stage: Stage) -> None:
    await stage.open(anthropic=["key-one-of-the-harbour"])
    stage.upstream.small_talk = Say(SUMMARY)
    stage.upstream.in_turn(Say("Ahoy."), Say("Bergamot."))
    wish = ("--url", stage.url, "--model", MODELS["anthropic"])
    async with app_server(stage, "proxy", "run", *wish, "codex", "app-server", PROXY_KEY=CLIENT_KEY) as server:
        thread = await server.thread(model=MODELS["anthropic"])
        assert await turn(server, thread, "Hello there") == "completed"
        await compacted(server, thread)
        assert await turn(server, thread, "What was it?") == "completed"
    _, later = stage.upstream.asked
    assert b"Ahoy." not in later.request.body
    assert SUMMARY.encode() in later.request.body
