"""The SDKs for Node.js, in one process that asks with any of them, one after the other (play.mjs)."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec

from tests.clients.stage import MODULES as CLIENTS

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
LINE_BYTES_MAX = 16 * 1024 * 1024
ANSWER_SECONDS_MAX = 240


@dataclass(frozen=True, slots=True)
class At:
    """Whom the SDK asks, and how."""

    url: str
    key: str
    model: str
    is_stream: bool = False


class Refused(Exception):
    """What an SDK threw. `status`: where it tells one."""

    def __init__(self, name: str, message: str, status: int | None) -> None:
        super().__init__(f"{name}: {message}")
        self.status = status


@dataclass(slots=True)
class Node:
    """``async with Node() as node: await node.ask(…)``. The Node is the one that runs the coding CLIs."""

    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def __aenter__(self) -> Self:
        program = shutil.which("node", path=str(CLIENTS / ".bin"))
        assert program is not None
        self._process = await asyncio.create_subprocess_exec(
            program, str(HERE / "play.mjs"), limit=LINE_BYTES_MAX, env={},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0

    async def ask(self, sdk: str, task: str, at: At, what: object = None) -> Any:
        """Raises `Refused`."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        where = {"url": at.url, "key": at.key, "model": at.model, "stream": at.is_stream}
        said = {"sdk": sdk, "task": task, "at": where, "what": what}
        process.stdin.write(msgspec.json.encode(said) + b"\n")
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            line = await process.stdout.readline()
        assert line, "the Node has gone"
        answer = msgspec.json.decode(line)
        if error := answer.get("error"):
            raise Refused(error["name"], error["message"], error["status"])
        return answer["said"]
