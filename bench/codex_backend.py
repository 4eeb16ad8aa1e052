"""What it costs that Codex asks, and not we: part of `make bench-clis`

Time to the first token, as in `bench.cli_backends`: medians over rounds in which all variants take turns, against a
stub of the backend on this machine that answers at once, beside a direct HTTP call to it by the same way. The cold
figure is a `codex exec` for each request; it tells whole answers only.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bench.cli_backends import ANSWER, MODULES, PIXEL, ROUNDS
from tests.backends.codex_backend import HOST, MODEL, PATH, CodexBackend, Turn, called, login, said
from tests.backends.stage import KEY, CodexStage

REST_SECONDS = 0.3
"""For the machine to be quiet."""
AT_ONCE = 8
TARGETS = {"continuing turn": 30, "results of tools": 30, "new conversation": 60, "20 turns of history": 120}
"""Added milliseconds at most, on two cores of their own."""
TOOL: dict[str, Any] = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
TOLD = b"output_text.delta"


class Bench:
    def __init__(self, backend: CodexBackend, stage: CodexStage, session: aiohttp.ClientSession) -> None:
        self.backend, self.stage, self.session = backend, stage, session
        self.talk: list[dict[str, Any]] = [{"role": "user", "content": "Who is there?"}]
        self.serial = 0
        self.tls = ssl.create_default_context(cafile=str(backend.authority))
        backend.plays = _play

    async def direct(self) -> float:
        account = {"chatgpt-account-id": "harbour"}
        how: dict[str, Any] = {"proxy": self.backend.environment["HTTPS_PROXY"], "ssl": self.tls}
        return await self._first(
            f"https://{HOST}{PATH}", [{"role": "user", "content": "Hello."}], headers=account, **how
        )

    async def continuing(self) -> float:
        seconds = await self._ours(self.talk)
        self.talk += [{"role": "assistant", "content": ANSWER}, {"role": "user", "content": "And now?"}]
        return seconds

    async def results(self) -> float:
        self.serial += 1
        asked = {"role": "user", "content": f"What is it like? {self.serial}"}
        await self._ours([asked], tools=[TOOL], until=b"response.completed")
        call = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
        result = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        return await self._ours([asked, call, result], tools=[TOOL])

    async def new(self) -> float:
        self.serial += 1
        return await self._ours([{"role": "user", "content": f"Who is there? {self.serial}"}])

    async def history(self) -> float:
        self.serial += 1
        image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
        items: list[dict[str, Any]] = []
        for turn in range(10):
            text = {"type": "input_text", "text": f"Who is there? {self.serial} {turn}"}
            items += [{"role": "user", "content": [image, text]}, {"role": "assistant", "content": f"Ahoy {turn}."}]
        return await self._ours([*items, {"role": "user", "content": "And now?"}])

    async def at_once(self) -> float:
        """The last of so many new conversations."""
        return max(await asyncio.gather(*(self.new() for _ in range(AT_ONCE))))

    async def cold(self) -> float:
        home = self.stage.folder / "cold"
        home.mkdir(exist_ok=True)
        self.backend.person.account = "cold"
        (home / "auth.json").write_bytes(login("cold"))
        work = tempfile.mkdtemp(dir=self.stage.folder)
        path = os.pathsep.join([str(MODULES / ".bin"), "/usr/bin", "/bin"])
        environment = {**self.backend.environment, "HOME": str(home), "CODEX_HOME": str(home), "PATH": path}
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            "codex", "exec", "--json", "--ephemeral", "--skip-git-repo-check", "-m", MODEL,
            *("-c", "features.plugins=false", "-c", "features.apps=false", "-c", "analytics.enabled=false"),
            "Who is there?",
            cwd=work, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        while ANSWER.encode() not in (line := await process.stdout.readline()):
            assert line, "codex exec gave no answer"
        seconds = time.perf_counter() - began
        await process.communicate()
        return seconds

    async def _ours(self, items: list[dict[str, Any]], **more: Any) -> float:
        return await self._first(f"{self.stage.url}/v1/responses", items, **more)

    async def _first(
        self, url: str, items: list[dict[str, Any]], *, tools: Any = (), until: bytes = TOLD, **how: Any
    ) -> float:
        """Seconds to the first piece of text."""
        await asyncio.sleep(REST_SECONDS)
        body = {"model": MODEL, "instructions": "Be kind.", "stream": True, "store": False, "input": items}
        how["headers"] = {"authorization": f"Bearer {KEY}", **how.get("headers", {})}
        began = time.perf_counter()
        told, seconds = b"", 0.0
        async with self.session.post(url, json={**body, "tools": [*tools]}, **how) as answer:
            async for piece in answer.content.iter_any():
                told += piece
                if not seconds and until in told:
                    seconds = time.perf_counter() - began
        assert seconds, told
        return seconds


def _play(turn: Turn) -> bytes:
    is_first = turn.body.get("tools") and not any(item["type"] == "function_call_output" for item in turn.items)
    return called(("call_1", "weather", {})) if is_first else said(ANSWER)


async def measure(bench: Bench) -> dict[str, float]:
    variants: dict[str, Callable[[], Awaitable[float]]] = {
        "direct": bench.direct,
        "continuing turn": bench.continuing,
        "results of tools": bench.results,
        "new conversation": bench.new,
        "20 turns of history": bench.history,
        f"{AT_ONCE} new ones at once": bench.at_once,
        "cold codex exec": bench.cold,
    }
    for variant in variants.values():
        await variant()  # everything is loaded, and the conversation has begun
    samples: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, variant in variants.items():
            samples[name].append(await variant())
    return {name: statistics.median(each) * 1000 for name, each in samples.items()}


async def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with CodexBackend(Path(folder)) as backend, aiohttp.ClientSession() as session:
            stage = CodexStage(folder=Path(folder), backend=backend, modules=MODULES)
            await stage.open()
            try:
                medians = await measure(Bench(backend, stage, session))
            finally:
                await stage.close()
    sys.stdout.write(f"{'first token, ms':24}{'median':>10}{'added':>10}{'at most':>10}\n")
    for name, value in medians.items():
        told = "" if name == "direct" else f"{value - medians['direct']:10.1f}"
        sys.stdout.write(f"{name:24}{value:10.1f}{told:>10}{TARGETS.get(name, ''):>10}\n")
    sys.stdout.write(f"{msgspec.json.encode(medians).decode()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
