"""Codex's app server: what its editors' extensions speak with, one message of JSON a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.clients.stage import SECONDS_MAX, Stage, killed


@dataclass(slots=True)
class AppServer:
    """`heard`: all that it has said so far, but for the answers to calls."""

    process: asyncio.subprocess.Process
    heard: list[dict[str, Any]] = field(default_factory=list)
    _calls: int = 0

    async def ask(self, method: str, **parameters: object) -> Any:
        """The result. Fails where it refuses."""
        number = self.say(method, **parameters)
        async with asyncio.timeout(SECONDS_MAX):
            while (message := await self._hear()).get("id") != number or "method" in message:
                self.heard.append(message)
        assert "error" not in message, message
        return message["result"]

    def say(self, method: str, **parameters: object) -> int:
        assert self.process.stdin is not None
        self._calls += 1
        told = {"id": self._calls, "method": method, "params": parameters}
        self.process.stdin.write(msgspec.json.encode(told) + b"\n")
        return self._calls

    async def until(self, method: str) -> dict[str, Any]:
        """Its next notification of that name: its parameters."""
        async with asyncio.timeout(SECONDS_MAX):
            while (message := await self._hear()).get("method") != method:
                self.heard.append(message)
        self.heard.append(message)
        told: dict[str, Any] = message["params"]
        return told

    async def thread(self, **parameters: object) -> str:
        """A new one: its id."""
        wish = {"cwd": None, "approvalPolicy": "never", "sandbox": "danger-full-access", **parameters}
        thread: str = (await self.ask("thread/start", **wish))["thread"]["id"]
        return thread

    async def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "the app server has gone"
        message: dict[str, Any] = msgspec.json.decode(line)
        return message


@asynccontextmanager
async def app_server(stage: Stage, *command: str, **environment: str) -> AsyncIterator[AppServer]:
    """`command`: that starts it."""
    process = await stage.started(*command, stdin=asyncio.subprocess.PIPE, **environment)
    try:
        server = AppServer(process)
        await server.ask("initialize", clientInfo={"name": "test", "title": "test", "version": "1"})
        yield server
    finally:
        await killed(process)


def text(words: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": words}]
