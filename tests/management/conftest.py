"""The whole server in this process, with a config file and an auth-dir of its own, and its management API."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from management import key_ring
from proxy.cli import ServeOptions
from proxy.config.load import load
from proxy.house import House

KEY = "the-management-key-of-the-tests"
START_SECONDS_MAX = 60


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Stage:
    """`ask` with the key, unless it is told another or none."""

    def __init__(self, house: House, url: str, session: aiohttp.ClientSession, folder: Path) -> None:
        self.house = house
        self.url = url
        self.session = session
        self.folder = folder
        self.config = folder / "config.yaml"
        self.accounts = folder / "accounts"

    async def ask(
        self,
        method: str,
        path: str,
        content: object = None,
        *,
        key: str | None = KEY,
        base: str = "/v0/management",
        **headers: str,
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named.setdefault("Authorization", f"Bearer {key}")
        data: Any = content if isinstance(content, bytes | aiohttp.FormData | None) else msgspec.json.encode(content)
        if data is not None and not isinstance(data, aiohttp.FormData):
            named.setdefault("Content-Type", "application/json")
        if isinstance(data, bytes):
            data = io.BytesIO(data)
        url = aiohttp.client.URL(self.url + base + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=named) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    async def chat(self, model: str = "sandbox-gpt", **headers: str) -> Answer:
        body = {"model": model, "messages": [{"role": "user", "content": "a-private-prompt"}]}
        return await self.ask("POST", "/v1/chat/completions", body, key=None, base="", **headers)


@asynccontextmanager
async def opened(folder: Path, text: str) -> AsyncIterator[Stage]:
    path = folder / "config.yaml"
    path.write_text(text)
    loaded = load(path)
    house = House(path, ServeOptions(config=path, host="127.0.0.1", port=0, is_sandbox=True), loaded)
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    house.greet = lambda urls: listening.set_result(urls[0])  # type: ignore[method-assign]
    serving = asyncio.create_task(house.live(loaded))
    try:
        async with aiohttp.ClientSession() as session:
            await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED, timeout=START_SECONDS_MAX)
            yield Stage(house, listening.result(), session, folder)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


@pytest.fixture
def cheap_hash(monkeypatch: pytest.MonkeyPatch) -> str:
    """Bcrypt at its lowest cost: what is tested here is something else."""
    monkeypatch.setattr("management.api.hashed", lambda key: key_ring.hashed(key, 4))
    return key_ring.hashed(KEY, 4)


@pytest.fixture
def open_stage(tmp_path: Path, cheap_hash: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """With the text of a config beside the key and the folder."""
    monkeypatch.setattr(key_ring, "DELAY_SECONDS", 0.0)
    monkeypatch.delenv("MANAGEMENT_PASSWORD", raising=False)
    head = f"auth-dir: {tmp_path / 'accounts'}\nremote-management:\n  secret-key: '{cheap_hash}'\n"
    return lambda text="": opened(tmp_path, head + text)


@pytest.fixture
async def stage(open_stage: Callable[[str], Any]) -> AsyncIterator[Stage]:
    async with open_stage("") as stage:
        yield stage
