"""Lists of models, asked of providers that are real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from auth.pool import Pool
from auth.secret import Secret
from auth.standing import ALL_MODELS, Setback
from proxy.accounts.model_lists import AGAIN_SECONDS, KEPT_SECONDS, ModelLists
from proxy.config.provider_keys import CompatibleProvider, ModelAlias, ProviderKey
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.snapshot import Snapshot
from proxy.observe.recording import Frame, Recording, Request, Response
from proxy.upstream.http import HttpUpstream
from proxy.upstream.replay_server import ReplayServer
from tests.pace import SECONDS_MAX

HOUR = 3600.0


class Provider:
    """`lists`: by path, the models; a number: that status."""

    def __init__(self) -> None:
        self.lists: dict[str, list[str] | int] = {}
        self.asked: list[Request] = []

    def draw(self, request: Request) -> Recording:
        self.asked.append(request)
        told = self.lists.get(request.path, 404)
        status, names = (told, []) if isinstance(told, int) else (200, told)
        body: dict[str, Any] = {"data": [{"id": name} for name in names]}
        if request.path.startswith("/google"):
            body = {"models": [{"name": f"models/{name}"} for name in names]}
        if request.path.startswith("/paged"):
            after = dict(request.query).get("after_id")
            at = 0 if after is None else names.index(after) + 1
            body = {"data": [{"id": name} for name in names[at : at + 1]], "has_more": at + 1 < len(names)}
            body["last_id"] = names[at]
        frame = Frame(data=msgspec.json.encode(body))
        headers = (("Content-Type", "application/json"),)
        return Recording(request=request, response=Response(status=status, headers=headers, frames=(frame,)))


class House:
    def __init__(self, folder: Path, url: str, upstream: HttpUpstream) -> None:
        self.folder = folder
        self.url = url
        self.upstream = upstream
        self.now = 1_800_000_000.0
        self.pool = Pool()
        self.changes = 0
        self.is_real = True
        self.config = Config()
        self.lists = self.opened()

    def opened(self) -> ModelLists:
        return ModelLists(
            self.folder,
            snapshot=lambda: Snapshot.of(self.config),
            pool=self.pool,
            clock=Clock(monotonic=lambda: self.now, unix=lambda: self.now),
            is_wanted=lambda: self.is_real,
            on_change=self.changed,
            log=structlog.get_logger(),
        )

    def changed(self) -> None:
        self.changes += 1

    def key(self, path: str = "", **fields: Any) -> ProviderKey:
        return ProviderKey(api_key=Secret(f"key-{path or 'one'}"), base_url=f"{self.url}{path}", **fields)

    async def names(self) -> list[str]:
        """What clients are shown after a look."""
        await self.lists.look(self.upstream)
        return self.shown()

    def shown(self) -> list[str]:
        return [model.id for model in self.lists.applied(Snapshot.of(self.config)).catalogue.models()]


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def house(tmp_path: Path, provider: Provider) -> AsyncIterator[House]:
    upstream = HttpUpstream()
    async with ReplayServer(provider, pace=0) as server:
        yield House(tmp_path, server.url, upstream)
    await upstream.close()


async def test_each_in_its_own_way(house: House, provider: Provider) -> None:
    provider.lists = {
        "/v1/models": ["claude-sonnet-5"],
        "/openai/v1/models": ["gpt-5.5"],
        "/google/v1beta/models": ["gemini-3.5-flash"],
        "/local/v1/models": ["llama"],
    }
    local = CompatibleProvider(name="local", base_url=f"{house.url}/local/v1")
    house.config = Config(
        claude_api_key=(house.key(),),
        codex_api_key=(house.key("/openai/v1"),),
        gemini_api_key=(house.key("/google"),),
        openai_compatibility=(local,),
    )
    assert await house.names() == ["claude-sonnet-5", "gemini-3.5-flash", "gpt-5.5", "llama"]
    by_path = {each.path: {name.lower(): value for name, value in each.headers} for each in provider.asked}
    assert by_path["/v1/models"]["x-api-key"] == "key-one"
    assert by_path["/v1/models"]["anthropic-version"]
    assert by_path["/openai/v1/models"]["authorization"] == "Bearer key-/openai/v1"
    assert by_path["/google/v1beta/models"]["x-goog-api-key"] == "key-/google"
    assert "authorization" not in by_path["/local/v1/models"]
    assert {each.method for each in provider.asked} == {"GET"}


async def test_a_model_that_nobody_listed_is_found_all_the_same(house: House, provider: Provider) -> None:
    provider.lists = {"/v1/models": ["gpt-5.5"]}
    house.config = Config(codex_api_key=(house.key("/v1"),))
    await house.names()
    found = house.lists.applied(Snapshot.of(house.config)).catalogue.find("gpt-9", "generate", "openai_responses")
    assert found.candidates[0].model == "gpt-9"


async def test_pages(house: House, provider: Provider) -> None:
    provider.lists = {"/paged/v1/models": ["claude-sonnet-5", "claude-opus-5", "claude-haiku-5-5"]}
    house.config = Config(claude_api_key=(house.key("/paged"),))
    assert len(await house.names()) == 3
    assert len(provider.asked) == 3


async def test_nobody_is_asked_whose_models_are_written_down_or_who_is_not_ready(
    house: House, provider: Provider
) -> None:
    house.config = Config(
        codex_api_key=(house.key("/a/v1", models=(ModelAlias(name="gpt-5.5"),)), house.key("/tired/v1")),
        vertex_api_key=(house.key("/vertex"),),
        openai_compatibility=(CompatibleProvider(name="off", base_url=f"{house.url}/off/v1", disabled=True),),
    )
    house.pool.disable(Snapshot.of(house.config).credentials[1].id)
    await house.names()
    assert provider.asked == []


@pytest.mark.parametrize("is_real", [True, False])
async def test_hours(house: House, provider: Provider, is_real: bool) -> None:
    provider.lists = {"/v1/models": ["gpt-5.5"]}
    house.is_real = is_real
    house.config = Config(codex_api_key=(house.key("/v1"),), model_list_hours=2 if is_real else 1)
    asked = []
    for hours in (0, 1, 1.5, 2, 3.9, 4):
        house.now = 1_800_000_000.0 + hours * HOUR
        await house.lists.look(house.upstream)
        asked.append(len(provider.asked))
    assert asked == ([1, 1, 1, 2, 2, 3] if is_real else [0] * 6)
    assert house.changes == int(is_real), "the same list is no news"


async def test_never(house: House, provider: Provider) -> None:
    house.config = Config(codex_api_key=(house.key("/v1"),), model_list_hours=0)
    await house.lists.look(house.upstream)
    assert provider.asked == []


@pytest.mark.parametrize("failure", [500, 401, [], ["gpt-realtime"]])
async def test_a_failure_keeps_the_last_list(house: House, provider: Provider, failure: int | list[str]) -> None:
    provider.lists = {"/v1/models": ["gpt-9"]}
    house.config = Config(codex_api_key=(house.key("/v1"),), model_list_hours=1)
    await house.names()
    provider.lists["/v1/models"] = failure
    house.now += HOUR
    assert await house.names() == ["gpt-9"]
    house.now += AGAIN_SECONDS - 1
    await house.names()
    assert len(provider.asked) == 2, "not at once again"
    provider.lists["/v1/models"] = ["gpt-10"]
    house.now += 1
    assert await house.names() == ["gpt-10"]


async def test_without_any_it_is_the_built_in_one(house: House) -> None:
    house.config = Config(codex_api_key=(house.key("/nothing/v1"),))
    assert "gpt-5.5" in await house.names()
    assert house.changes == 0


async def test_nobody_is_there(house: House) -> None:
    house.url = "http://127.0.0.1:1"
    house.config = Config(codex_api_key=(house.key("/v1"),))
    assert "gpt-5.5" in await house.names()


async def test_it_is_kept_for_the_next_start(house: House, provider: Provider) -> None:
    provider.lists = {"/v1/models": ["gpt-9"]}
    house.config = Config(codex_api_key=(house.key("/v1"),))
    await house.names()
    assert house.lists.path.stat().st_mode & 0o777 == 0o600
    house.lists = house.opened()
    assert house.shown() == ["gpt-9"]
    await house.lists.look(house.upstream)
    assert len(provider.asked) == 1
    house.config = Config(codex_api_key=(house.key("/other/v1"),))
    house.now += KEPT_SECONDS
    await house.lists.look(house.upstream)
    assert msgspec.json.decode(house.lists.path.read_bytes())["lists"] == {}


@pytest.mark.parametrize("break_it", [lambda path: path.write_bytes(b"{torn"), lambda path: path.mkdir()])
async def test_a_file_that_is_none_is_ignored(house: House, break_it: Callable[[Path], object]) -> None:
    house.lists.path.parent.mkdir()
    break_it(house.lists.path)
    house.config = Config(codex_api_key=(house.key("/v1"),))
    house.lists = house.opened()
    assert "gpt-5.5" in house.shown()


async def test_models_of_an_account_that_a_human_must_see_to_are_not_shown(house: House) -> None:
    house.config = Config(codex_api_key=(house.key("/v1"),), claude_api_key=(house.key("/a"),))
    lost = next(each for each in Snapshot.of(house.config).credentials if each.provider == "anthropic")
    lease = house.pool.lend((lost.id, "claude-opus-5"), house.now, at_most=0)
    house.pool.fail(lease, Setback(model=ALL_MODELS, why="its login was revoked", seconds=None), house.now)
    assert not [name for name in house.shown() if name.startswith("claude")]
    assert "gpt-5.5" in house.shown()


async def test_it_goes_on_until_it_is_cancelled(
    house: House, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.accounts.model_lists.FIRST_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("proxy.accounts.model_lists.LOOK_SECONDS", 0.0)
    provider.lists = {"/v1/models": ["gpt-9"]}
    house.config = Config(codex_api_key=(house.key("/v1"),))
    task = asyncio.create_task(house.lists.keep(house.upstream))
    async with asyncio.timeout(SECONDS_MAX):
        while not house.changes:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
