"""A running server with logins, and the person's own CLIs in front of it."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from auth.tokens import read_token
from tests.logins.vendor import ASKED, Vendor

if TYPE_CHECKING:
    from tests.logins.conftest import House

SECONDS_MAX = 180
"""Of whatever is waited for, on a machine that has ten times as much to do as it can."""
KEY = "the-key-of-the-ferryman-4711"
MANAGEMENT_KEY = "the-key-of-the-harbour-master-4712"
MODELS = {"claude-code": "claude-sonnet-5", "codex": "gpt-5.5", "gemini-cli": "gemini-3-pro-preview"}
"""By kinds whose CLI asks for everybody."""


@dataclass(slots=True)
class Server:
    house: House
    url: str = ""
    process: asyncio.subprocess.Process | None = None

    def configured(self) -> Path:
        """Its config file."""
        path = self.house.folder.parent / "config.yaml"
        settings = f"auth-dir: {self.house.folder}\nproxy-url: {self.house.environment['HTTPS_PROXY']}\n"
        path.write_text(f"{settings}api-keys: [{KEY}]\n")
        return path

    async def start(self) -> None:
        path = self.configured()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy", "--config", str(path), "--port", "0",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**self.house.environment, "HOME": str(path.parent), "MANAGEMENT_PASSWORD": MANAGEMENT_KEY},
        )  # fmt: skip
        assert self.process.stdout is not None
        told = b""
        async with asyncio.timeout(SECONDS_MAX):
            while not (found := re.search(rb"http://127\.0\.0\.1:\d+", told)):
                piece = await self.process.stdout.read(4096)
                assert piece, told.decode()
                told += piece
        self.url = found[0].decode()

    async def close(self) -> None:
        """May be called again."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            await process.communicate()


@dataclass(frozen=True, slots=True)
class Manager:
    """Whoever has the management key."""

    server: Server

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {MANAGEMENT_KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.server.url}/v0/management{path}", json=body) as response,
        ):
            return response.status, await response.json()

    async def get(self, path: str) -> Any:
        status, told = await self.ask("GET", path)
        assert status == 200, told
        return told

    async def begin(self, kind: str, **wish: object) -> Any:
        status, told = await self.ask("POST", "/logins", {"kind": kind, **wish})
        assert status == 200, told
        return told

    async def ended(self, login_id: str) -> Any:
        """As a panel asks, until it is over."""
        async with asyncio.timeout(SECONDS_MAX):
            while (told := await self.get(f"/logins/{login_id}"))["step"] not in {"done", "aborted"}:  # noqa: ASYNC110 - as said
                await asyncio.sleep(0.05)
        return told


async def run(house: House, *command: str, **environment: str) -> str:
    """A CLI of the person's own, in a home of its own."""
    home = house.folder.parent / "their-home"
    home.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=home, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        env={**house.environment, "HOME": str(home), "DISABLE_TELEMETRY": "1", "TERM": "dumb", **environment},
    )  # fmt: skip
    async with asyncio.timeout(SECONDS_MAX):
        out, _ = await process.communicate()
    return out.decode()


async def says_hello(house: House, server: Server, kind: str) -> str:
    """Through the person's own CLI."""
    if kind == "claude-code":
        return await run(
            house, "claude", "-p", "hello", "--model", "claude-sonnet-5",
            ANTHROPIC_BASE_URL=server.url, ANTHROPIC_AUTH_TOKEN=KEY,
        )  # fmt: skip
    if kind == "gemini-cli":
        return await run(
            house, "gemini", "--skip-trust", "-m", "gemini-3-pro-preview", "-p", "hello",
            CODE_ASSIST_ENDPOINT=server.url, GOOGLE_CLOUD_ACCESS_TOKEN=KEY,
            GOOGLE_GENAI_USE_GCA="true", GEMINI_CLI_NO_RELAUNCH="1",
        )  # fmt: skip
    provider = f'{{name="p", base_url="{server.url}/v1", env_key="THE_KEY", wire_api="responses"}}'
    return await run(
        house, "codex", "exec", "--skip-git-repo-check", "-c", f"model_providers.p={provider}",
        "-c", 'model_provider="p"', "-m", "gpt-5.5", "hello", THE_KEY=KEY,
    )  # fmt: skip


def tokens(house: House) -> list[str]:
    """Of all logins, as they stand on disk."""
    return [
        read_token(file["type"], house.folder / "homes" / file["home"]).access.reveal() for file in house.files.values()
    ]


def served(vendor: Vendor) -> list[str]:
    """The tokens that models were asked with, in order."""
    return [asked.headers["authorization"].removeprefix("Bearer ") for asked in vendor.asked if asked.path in ASKED]


async def asks(server: Server, kind: str, number: int) -> str:
    """As a client that is none of the official CLIs."""
    body = {"model": MODELS[kind], "messages": [{"role": "user", "content": f"hello {number}"}]}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
        session.post(f"{server.url}/v1/chat/completions", json=body) as response,
    ):
        return await response.text()
