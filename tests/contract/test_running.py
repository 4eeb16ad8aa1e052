"""A running server around its answers: who may ask, how it is encoded, how much; a reload and an end in mid-stream."""

from __future__ import annotations

import asyncio
import base64
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import brotli
import openai
import pytest
from backports import zstd
from google.genai import errors as genai_errors

from proxy.observe.recording import Frame, Recording
from tests.contract.carried import CARRIED
from tests.contract.clients import CONTRACT, Clients
from tests.contract.house import CLIENT_KEY, STRICT_KEY, Account, House, account, settings
from tests.contract.judges import JUDGES
from tests.contract.scenarios import SCENARIOS, Ask
from tests.contract.stage import FORMATS, VENDORS, Stage, answer, header
from tests.pace import SECONDS_MAX

pytestmark = CONTRACT

TEXT = SCENARIOS["text"]
JSON = {"Content-Type": "application/json"}
DENIED = {
    "openai_chat": openai.AuthenticationError,
    "openai_responses": openai.AuthenticationError,
    "anthropic": anthropic.AuthenticationError,
    "gemini": genai_errors.ClientError,
}


class TestKeys:
    @pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
    @pytest.mark.parametrize("wire", FORMATS)
    async def test_a_wrong_key_is_the_sdks_own_error(
        self, stage: Stage, house: House, wire: str, is_stream: bool
    ) -> None:
        async with Clients(house.url, "not-a-key-of-this-harbour") as strangers:
            judge = JUDGES[wire](strangers)
            with pytest.raises(DENIED[wire], match="key") as caught:
                await judge.ask(judge.words(TEXT.ask, f"{wire}-home"), is_stream=is_stream)
        assert getattr(caught.value, "status_code", None) == 401 or getattr(caught.value, "code", None) == 401
        assert "not-a-key-of-this-harbour" not in str(caught.value)
        assert stage.heard == []

    async def test_a_bearer_token_of_anthropics_sdk(self, stage: Stage, house: House) -> None:
        stage.plays(answer("anthropic", "text", is_stream=False))
        async with anthropic.AsyncAnthropic(base_url=house.url, auth_token=CLIENT_KEY, max_retries=0) as client:
            messages: Any = [{"role": "user", "content": "Tide?"}]
            made = await client.messages.create(model="anthropic-home", max_tokens=64, messages=messages)
        assert made.content[0].type == "text"
        assert header(stage.request, "authorization") is None
        assert header(stage.request, "x-api-key") == "sk-anthropic-home-key-1"

    async def test_a_strict_key_is_refused_what_would_be_lost(
        self, stage: Stage, house: House, clients: Clients
    ) -> None:
        stage.plays(answer("anthropic", "text", is_stream=False))
        words: dict[str, Any] = {
            "model": "anthropic-home",
            "messages": [{"role": "user", "content": "Tide?"}],
            "seed": 7,
            "max_completion_tokens": 64,
        }
        async with Clients(house.url, STRICT_KEY) as pilot:
            with pytest.raises(openai.BadRequestError, match="seed") as caught:
                await pilot.openai.chat.completions.create(**words)
            assert caught.value.code == "lossy_translation"
            assert stage.heard == []
            del words["seed"]
            await pilot.openai.chat.completions.create(**words)
        await clients.openai.chat.completions.create(**words, seed=7)
        assert clients.headers["x-proxy-losses"] == "1: seed: seed"
        assert len(stage.heard) == 2


def _deflate(data: bytes) -> bytes:
    return zlib.compress(data)


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": _deflate,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


class TestBodies:
    @pytest.mark.parametrize("coding", ENCODINGS)
    async def test_encoded(self, stage: Stage, raw: aiohttp.ClientSession, coding: str) -> None:
        stage.plays(answer("openai_responses", "text", is_stream=False))
        model = VENDORS["openai_responses"].model
        body = f'{{"model":"{model}","input":"{"Tide? " * 5000}"}}'.encode()
        headers = {**JSON, "Content-Encoding": coding}
        async with raw.post("/v1/responses", data=ENCODINGS[coding](body), headers=headers) as response:
            assert response.status == 200, await response.read()
        assert stage.request.body == body
        assert header(stage.request, "content-encoding") is None

    @pytest.mark.parametrize(("client", "upstream"), [("anthropic", "anthropic"), ("openai_chat", "gemini")])
    async def test_an_image_of_20_megabytes(self, stage: Stage, clients: Clients, client: str, upstream: str) -> None:
        image = bytes(range(256)) * (20 * 4096)
        stage.plays(answer(upstream, "image", is_stream=False))
        judge = JUDGES[client](clients)
        said = await judge.ask(
            judge.words(Ask(text="Which harbour?", image=image), f"{upstream}-home"), is_stream=False
        )
        assert said.text == SCENARIOS["image"].text
        assert base64.b64encode(image) in stage.request.body
        ((media_type, arrived),) = CARRIED[upstream](stage.request).images
        assert (media_type, arrived == image) == ("image/png", True)


def slow(wire: str, *, pings: int = 400) -> Recording:
    """A stream that waits in its middle, in small steps, as long as the upstream's `pace` is not 0."""
    recording = answer(wire, "text", is_stream=True)
    frames = recording.response.frames
    pause = (Frame(data=b": the tide turns\n\n", after_seconds=0.05),) * pings
    return replace(recording, response=replace(recording.response, frames=(*frames[:-3], *pause, *frames[-3:])))


@asynccontextmanager
async def small_house(stage: Stage, folder: Path, accounts: list[Account]) -> AsyncIterator[House]:
    house = House(folder=folder)
    house.configure(settings(stage.server.url, {"anthropic": accounts}))
    async with house:
        yield house


async def begun(stage: Stage, clients: Clients, model: str) -> asyncio.Task[Any]:
    """A stream whose first text has arrived, and that waits."""
    stage.plays(slow("anthropic"), answer("anthropic", "text", is_stream=True))
    started = asyncio.Event()

    async def read() -> Any:
        messages: Any = [{"role": "user", "content": "Tide?"}]
        async with clients.anthropic.messages.stream(model=model, max_tokens=64, messages=messages) as stream:
            async for _ in stream.text_stream:
                started.set()
            return await stream.get_final_message()

    task = asyncio.create_task(read())
    start = asyncio.create_task(started.wait())
    await asyncio.wait({task, start}, return_when=asyncio.FIRST_COMPLETED)
    assert start.done(), task.exception()
    return task


async def offered(clients: Clients) -> set[str]:
    return {model.id async for model in clients.openai.models.list()}


async def until_offered(clients: Clients, model: str) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while model not in await offered(clients):  # noqa: ASYNC110 - the other end is another process
            await asyncio.sleep(0.02)


class TestChange:
    async def test_a_reload_leaves_what_is_under_way_alone(
        self, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stage.server, "pace", 1.0)
        old, new = account("anthropic", "old"), account("anthropic", "new")
        async with small_house(stage, tmp_path, [old]) as house, Clients(house.url, "any-word") as clients:
            under_way = await begun(stage, clients, old.alias)
            house.configure(settings(stage.server.url, {"anthropic": [new]}))
            await until_offered(clients, new.alias)
            assert old.alias not in await offered(clients)
            stage.server.pace = 0
            message = await under_way
            assert (message.model, message.content[0].text) == (old.alias, TEXT.text)
            judge = JUDGES["anthropic"](clients)
            assert (await judge.ask(judge.words(TEXT.ask, new.alias), is_stream=True)).text == TEXT.text
            with pytest.raises(anthropic.NotFoundError, match=old.alias):
                await judge.ask(judge.words(TEXT.ask, old.alias), is_stream=False)
        assert [header(each.request, "x-api-key") for each in stage.heard] == [*old.keys, *new.keys]

    async def test_a_bad_config_changes_nothing_until_it_is_mended(self, stage: Stage, tmp_path: Path) -> None:
        old, new = account("anthropic", "old"), account("anthropic", "new")
        async with small_house(stage, tmp_path, [old]) as house, Clients(house.url, "any-word") as clients:
            house.configure({**settings(stage.server.url, {"anthropic": [new]}), "claude-api-kye": []})
            async with aiohttp.ClientSession(house.url) as session, asyncio.timeout(SECONDS_MAX):
                detail = ""
                while "claude-api-kye" not in detail:
                    async with session.get("/health?detail=1") as response:
                        detail = await response.text()
            stage.plays(answer("anthropic", "text", is_stream=False))
            judge = JUDGES["anthropic"](clients)
            assert (await judge.ask(judge.words(TEXT.ask, old.alias), is_stream=False)).text == TEXT.text
            house.configure(settings(stage.server.url, {"anthropic": [new]}))
            await until_offered(clients, new.alias)
        assert [line["event"] for line in house.log if line["level"] == "error"] == ["config.refused"]

    async def test_a_sigterm_lets_streams_finish(
        self, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stage.server, "pace", 1.0)
        only = account("anthropic", "only")
        async with small_house(stage, tmp_path, [only]) as house, Clients(house.url, "any-word") as clients:
            under_way = await begun(stage, clients, only.alias)
            stopping = asyncio.create_task(house.stop())
            async with asyncio.timeout(SECONDS_MAX):
                while not await is_closed(house.url):  # noqa: ASYNC110 - the other end is another process
                    await asyncio.sleep(0.02)
            assert not under_way.done()
            stage.server.pace = 0
            message = await under_way
            assert message.content[0].text == TEXT.text
            assert await stopping == 0


async def is_closed(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/livez"):
            return False
    except aiohttp.ClientConnectionError:
        return True
