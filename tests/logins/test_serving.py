"""What a login is for: an official CLI's own request goes on with the account's token, and nothing else is changed."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from tests.logins.conftest import House
from tests.logins.person import comes_back
from tests.logins.vendor import Vendor

SECONDS_MAX = 90
KEY = "the-key-of-the-ferryman-4711"


@dataclass(slots=True)
class Server:
    house: House
    url: str = ""
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        folder = self.house.folder.parent
        settings = f"auth-dir: {self.house.folder}\nproxy-url: {self.house.environment['HTTPS_PROXY']}\n"
        (folder / "config.yaml").write_text(f"{settings}api-keys: [{KEY}]\n")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy", "--config", str(folder / "config.yaml"), "--port", "0",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**self.house.environment, "HOME": str(folder)},
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
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            await self.process.communicate()


@pytest.fixture
async def server(house: House) -> AsyncIterator[Server]:
    server = Server(house)
    yield server
    await server.close()


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


async def test_claude_code_s_own_request_goes_on_with_the_account_s_token(
    house: House, server: Server, vendor: Vendor
) -> None:
    await house.login("claude-code", comes_back()).finish()
    await server.start()
    said = await run(
        house, "claude", "-p", "hello", "--model", "claude-sonnet-5",
        ANTHROPIC_BASE_URL=server.url, ANTHROPIC_AUTH_TOKEN=KEY,
    )  # fmt: skip
    assert "Ahoy from the quay." in said
    asked = next(asked for asked in vendor.asked if asked.path == "/v1/messages")
    assert asked.headers["authorization"] == "Bearer sk-ant-oat01-fake-1"
    assert "x-api-key" not in asked.headers
    assert "x-claude-code-session-id" in asked.headers
    assert KEY not in str(vendor.asked)


async def test_codex_s_own_request_goes_on_with_the_account_s_token(
    house: House, server: Server, vendor: Vendor
) -> None:
    await house.login("codex", comes_back()).finish()
    await server.start()
    provider = f'{{name="p", base_url="{server.url}/v1", env_key="THE_KEY", wire_api="responses"}}'
    said = await run(
        house, "codex", "exec", "--skip-git-repo-check", "-c", f"model_providers.p={provider}",
        "-c", 'model_provider="p"', "-m", "gpt-5.5", "hello", THE_KEY=KEY,
    )  # fmt: skip
    assert "Ahoy from the quay." in said
    asked = next(asked for asked in vendor.asked if asked.path == "/backend-api/codex/responses")
    assert asked.headers["authorization"].startswith("Bearer e")
    assert asked.headers["chatgpt-account-id"] == vendor.person.account
    assert asked.headers["originator"].startswith("codex")
    assert KEY not in str(vendor.asked)


async def test_nobody_else_s_request_is_served_through_a_login(house: House, server: Server, vendor: Vendor) -> None:
    await house.login("claude-code", comes_back()).finish()
    await server.start()
    body = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
        session.post(f"{server.url}/v1/messages", json=body) as response,
    ):
        assert response.status == 400
        assert "is a login of Claude Code: it serves that CLI's own requests only" in await response.text()
    assert not any(asked.path == "/v1/messages" for asked in vendor.asked)


async def test_a_login_made_while_the_server_runs_is_an_account_of_it(house: House, server: Server) -> None:
    await server.start()
    await house.login("claude-code", comes_back()).finish()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session, asyncio.timeout(10):
        while True:
            async with session.get(f"{server.url}/health", params={"detail": "1"}) as response:
                if "claude-code" in await response.text():
                    break
            await asyncio.sleep(0.05)
