"""What a request leaves behind, however it ends: nothing that waits for the collector of cycles.

What waits for it is memory that grows until it comes by, with each request's body and answer in it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import msgspec

from bench.soak_vendor import Vendor
from bench.soak_wires import MODEL, WIRES, Reading, Wire, ask
from tests.faults.running import Running, started
from tests.pace import SECONDS_MAX

REQUESTS = AT_ONCE = 32
SETTINGS = {"anthropic": "claude-api-key", "openai_responses": "codex-api-key", "gemini": "gemini-api-key"}


class Vendors:
    """One for each wire. `mood`: of all of them (`bench.soak_vendor`)."""

    def __init__(self, books: Path) -> None:
        self.mood = "well"
        self.ports: dict[Wire, int] = {}
        self.servers: list[asyncio.Server] = []
        self._books = books

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):
            await Vendor(self._books, 1, self.mood).serve(reader, writer)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for wire in WIRES:
                server = await asyncio.start_server(self.serve, "127.0.0.1", self.ports.get(wire, 0), limit=1 << 20)
                self.ports[wire] = server.sockets[0].getsockname()[1]
                self.servers.append(await stack.enter_async_context(server))
            yield

    def config(self) -> bytes:
        entries: dict[str, object] = {"auth-dir": "accounts", "log-format": "json"}
        for wire, port in self.ports.items():
            models = [{"name": MODEL}]
            url = f"http://127.0.0.1:{port}" + ("/v1" if wire.startswith("openai") else "")
            if wire in SETTINGS:
                entries[SETTINGS[wire]] = [{"api-key": f"key-{wire}", "base-url": url, "models": models}]
            else:
                keys = [{"api-key": "key-chat"}]
                entries["openai-compatibility"] = [
                    {"name": "chat", "base-url": url, "api-key-entries": keys, "models": models}
                ]
        return msgspec.json.encode(entries)


async def storm(server: Running, *, is_leaving: bool = False) -> None:
    numbers = iter(range(REQUESTS))

    async def client(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            wire: Wire = WIRES[number % len(WIRES)]
            path, body = ask(wire, f"canary-{number}")
            reading = Reading(wire, f"canary-{number}")
            async with session.post(path, data=body, headers={"content-type": "application/json"}) as answer:
                async for data in answer.content.iter_any():
                    if answer.status == 200:
                        reading.feed(data)
                    if is_leaving and reading.text:
                        answer.close()
                        break

    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session) for _ in range(AT_ONCE)))


async def left_behind(server: Running) -> dict[str, int]:
    async with asyncio.timeout(SECONDS_MAX), aiohttp.ClientSession(server.url) as session:
        while True:
            async with session.get("/health", params={"detail": "1"}) as answer:
                health = await answer.json()
            if health["requests_in_flight"] == 1 and not any(each.get("in_flight", 0) for each in health["accounts"]):
                break
        before = sum(line["event"] == "garbage.found" for line in server.log)
        server.process.send_signal(signal.SIGUSR1)
        names: dict[str, int] = (await server.logged("garbage.found", count=before + 1))["names"]
    return names


async def test_nothing_waits_for_the_collector(tmp_path: Path) -> None:
    vendors = Vendors(tmp_path / "books")
    found: dict[str, dict[str, int]] = {}
    async with AsyncExitStack() as stack:
        async with vendors.up():
            (tmp_path / "config.yaml").write_bytes(vendors.config())
            server = await stack.enter_async_context(started(tmp_path, module=("tests.faults.collected",)))
            await storm(server)
            await left_behind(server)  # what the start leaves is left once
            await storm(server)
            found["well"] = await left_behind(server)
            await storm(server, is_leaving=True)
            found["leaving"] = await left_behind(server)
            for mood in ("error-inside", "cut-before", "reset-inside", "overloaded", "outage"):
                vendors.mood = mood
                await storm(server)
                found[mood] = await left_behind(server)
        await storm(server)
        found["nobody there"] = await left_behind(server)
        vendors.mood = "limited"
        async with vendors.up():
            await storm(server)
            found["limited"] = await left_behind(server)
    assert {mood: names for mood, names in found.items() if names} == {}
