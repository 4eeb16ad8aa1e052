"""The processes of a soak: the proxy, and the vendors that are killed and come up again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.soak_wires import MODEL, Wire

ROOT = Path(__file__).parents[1]
ACCOUNTS = 8
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
SETTLE_SECONDS_MAX = 30.0
QUIET_SECONDS = 1.5
_SETTINGS = {"anthropic": "claude-api-key", "openai_responses": "codex-api-key", "gemini": "gemini-api-key"}
_FIGURES = {
    "descriptors": re.compile(r"^process_open_fds (\S+)$", re.MULTILINE),
    "tasks": re.compile(r"^proxy_tasks (\S+)$", re.MULTILINE),
    "bytes": re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE),
}


@dataclass
class Vendor:
    """One of the six. `port` is chosen at its first start and kept."""

    number: int
    wire: Wire
    books: Path
    port: int = 0
    starts: int = 0
    process: asyncio.subprocess.Process | None = None

    async def start(self, mood: str = "scripted") -> None:
        self.starts += 1
        arguments = [str(self.port), str(self.books), str(self.number * 1000 + self.starts), mood]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "bench" / "soak_vendor.py"), *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(await self.process.stdout.readline())

    async def kill(self) -> None:
        process, self.process = self.process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    def settings(self, salt: int) -> tuple[str, list[Any]]:
        """Where its accounts stand in the configuration; the last one is another each time."""
        base_url = f"http://127.0.0.1:{self.port}"
        keys = [f"vendor-{self.number}-key-{n if n < ACCOUNTS - 1 else f'{n}-{salt}'}" for n in range(ACCOUNTS)]
        models = [{"name": MODEL}]
        if self.wire == "openai_chat":
            entries = [{"api-key": key} for key in keys]
            entry = {"name": f"vendor-{self.number}", "base-url": f"{base_url}/v1", "api-key-entries": entries}
            return "openai-compatibility", [{**entry, "models": models}]
        base_url += "/v1" if self.wire == "openai_responses" else ""
        return _SETTINGS[self.wire], [{"api-key": key, "base-url": base_url, "models": models} for key in keys]


async def restart(vendors: list[Vendor], mood: str = "scripted") -> None:
    await asyncio.gather(*(vendor.kill() for vendor in vendors))
    await asyncio.gather(*(vendor.start(mood) for vendor in vendors))


@dataclass
class Server:
    """The proxy."""

    process: asyncio.subprocess.Process
    url: str = ""

    async def figures(self) -> dict[str, float]:
        async with aiohttp.ClientSession(self.url) as session, session.get("/metrics") as answer:
            told = await answer.text()
        return {name: float(pattern.findall(told)[0]) for name, pattern in _FIGURES.items()}

    async def at_rest(self) -> dict[str, float]:
        """Its figures, when no descriptor and no task has come or gone for a while."""
        figures = await self.figures()
        began = since = time.monotonic()
        while time.monotonic() < min(began + SETTLE_SECONDS_MAX, since + QUIET_SECONDS):
            await asyncio.sleep(0.1)
            before, figures = figures, await self.figures()
            if any(figures[name] != before[name] for name in ("descriptors", "tasks")):
                since = time.monotonic()
        return figures

    async def under_way(self) -> int:
        """Requests and leases that it thinks are still going on."""
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.get("/health", params={"detail": "1"}) as answer,
        ):
            health = await answer.json()
        asking = 1
        lent = sum(int(each.get("in_flight", 0)) for each in health["accounts"])
        return int(health["requests_in_flight"]) - asking + lent


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    """In `folder`, which holds its configuration and is its home. It is stopped as an operator would."""
    with (folder / "log").open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy", "--port", "0", cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=stderr,
        )  # fmt: skip
    server = Server(process)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while not server.url and (line := await process.stdout.readline()):
                found = re.search(r"http://127\.0\.0\.1:\d+", line.decode())
                server.url = found[0] if found else ""
        if not server.url:
            raise RuntimeError((folder / "log").read_text())
        yield server
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
