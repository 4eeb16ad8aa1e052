"""The program as a process, its log read as it comes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

START_SECONDS_MAX = 60


@dataclass
class Running:
    process: asyncio.subprocess.Process
    url: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)
    _has_more: asyncio.Event = field(default_factory=asyncio.Event)

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(msgspec.json.decode(line))
            self._has_more.set()

    async def logged(self, event: str, *, count: int = 1) -> dict[str, Any]:
        """The so-manieth line of that event."""
        async with asyncio.timeout(START_SECONDS_MAX):
            while True:
                self._has_more.clear()
                found = [line for line in self.log if line["event"] == event]
                if len(found) >= count:
                    return found[count - 1]
                await self._has_more.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        async with asyncio.timeout(START_SECONDS_MAX):
            return await self.process.wait()


@asynccontextmanager
async def started(folder: Path, *arguments: str, module: tuple[str, ...] = ("proxy",)) -> AsyncIterator[Running]:
    """In `folder`, which is its home, too."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *module, "--port", "0", *arguments, cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    running = Running(process)
    reading = asyncio.create_task(running.read_log())
    try:
        running.url = (await running.logged("server.started"))["urls"][0]
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading
