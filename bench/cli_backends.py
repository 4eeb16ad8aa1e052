"""What it costs that an official CLI asks, and not we: `make bench-clis`

Time to the first token, against a stub of the provider on this machine that answers at once; each figure is the median
over rounds in which all variants take turns. *Added* is over a direct HTTP call to the same stub, by the same way (its
TLS, its egress proxy). The cold figure is a `claude -p` for each request, as wrappers do it, with its fastest switches.
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

from proxy.upstream.claude_process import ENVIRONMENT
from tests.backends.claude_backend import MODEL, ClaudeBackend, login, said
from tests.backends.stage import KEY, ClaudeStage

MODULES = Path(os.environ.get("PROXY_CLIENT_MODULES", "tests/clients/node_modules")).resolve()
ROUNDS = int(os.environ.get("PROXY_BENCH_ROUNDS", "9"))
SPARE_SECONDS = float(os.environ.get("PROXY_BENCH_REST", "2.5"))
"""For the next spare to be there, and the machine to be quiet."""
ANSWER = "Ahoy from the quay."
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # gitleaks:allow
)
TARGETS = {"continuing turn": 40, "new conversation": 200, "20 turns of history": 400}
"""Added milliseconds at most, on two cores of their own."""


class Bench:
    def __init__(self, backend: ClaudeBackend, stage: ClaudeStage, session: aiohttp.ClientSession) -> None:
        self.backend, self.stage, self.session = backend, stage, session
        self.talk: list[dict[str, Any]] = [{"role": "user", "content": "Who is there?"}]
        self.serial = 0
        self.tls = ssl.create_default_context(cafile=str(backend.authority))

    async def direct(self) -> float:
        return await self._first(
            "https://api.anthropic.com/v1/messages",
            [{"role": "user", "content": "Who is there?"}],
            proxy=self.backend.environment["HTTPS_PROXY"],
            ssl=self.tls,
        )

    async def continuing(self) -> float:
        seconds = await self._ours(self.talk)
        self.talk += [{"role": "assistant", "content": ANSWER}, {"role": "user", "content": "And now?"}]
        return seconds

    async def new(self) -> float:
        await asyncio.sleep(SPARE_SECONDS)
        self.serial += 1
        return await self._ours([{"role": "user", "content": f"Who is there? {self.serial}"}])

    async def history(self) -> float:
        await asyncio.sleep(SPARE_SECONDS)
        self.serial += 1
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
        messages: list[dict[str, Any]] = []
        for turn in range(10):
            text = {"type": "text", "text": f"Who is there? {self.serial} {turn}"}
            messages += [{"role": "user", "content": [image, text]}, {"role": "assistant", "content": f"Ahoy {turn}."}]
        return await self._ours([*messages, {"role": "user", "content": "And now?"}])

    async def cold(self) -> float:
        await asyncio.sleep(SPARE_SECONDS)
        home = self.stage.folder / "cold"
        home.mkdir(exist_ok=True)
        (home / ".credentials.json").write_bytes(login("cold"))
        work = tempfile.mkdtemp(dir=self.stage.folder)
        environment = {
            **self.backend.environment, **ENVIRONMENT, "HOME": str(home), "CLAUDE_CONFIG_DIR": str(home),
            "PATH": os.pathsep.join([str(MODULES / ".bin"), "/usr/bin", "/bin"]),
        }  # fmt: skip
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            "claude", "-p", "Who is there?", "--model", MODEL, "--output-format", "stream-json", "--verbose",
            "--include-partial-messages", "--tools", "", "--strict-mcp-config", "--setting-sources", "",
            "--disable-slash-commands", "--no-session-persistence", "--system-prompt", "Be kind.",
            cwd=work, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )  # fmt: skip
        assert process.stdout is not None
        while b"text_delta" not in (line := await process.stdout.readline()):
            assert line, "claude -p gave no answer"
        seconds = time.perf_counter() - began
        await process.communicate()
        return seconds

    async def _ours(self, messages: list[dict[str, Any]]) -> float:
        return await self._first(f"{self.stage.url}/v1/messages", messages)

    async def _first(self, url: str, messages: list[dict[str, Any]], **how: Any) -> float:
        """Seconds to the first piece of text."""
        body = {"model": MODEL, "max_tokens": 99, "system": "Be kind.", "stream": True, "messages": messages}
        headers = {"authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"}
        began = time.perf_counter()
        told, seconds = b"", 0.0
        async with self.session.post(url, json=body, headers=headers, **how) as answer:
            async for piece in answer.content.iter_any():
                told += piece
                if not seconds and b"text_delta" in told:
                    seconds = time.perf_counter() - began
        assert seconds, told
        return seconds


async def measure(bench: Bench) -> dict[str, float]:
    variants: dict[str, Callable[[], Awaitable[float]]] = {
        "direct": bench.direct,
        "continuing turn": bench.continuing,
        "new conversation": bench.new,
        "20 turns of history": bench.history,
        "cold claude -p": bench.cold,
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
        async with ClaudeBackend(Path(folder)) as backend, aiohttp.ClientSession() as session:
            backend.plays = lambda _turn: said(ANSWER)
            stage = ClaudeStage(folder=Path(folder), backend=backend, modules=MODULES)
            await stage.open()
            try:
                medians = await measure(Bench(backend, stage, session))
            finally:
                await stage.close()
    sys.stdout.write(f"{'first token, ms':24}{'median':>10}{'added':>10}{'at most':>10}\n")
    for name, value in medians.items():
        added = value - medians["direct"]
        told = "" if name == "direct" else f"{added:10.1f}"
        sys.stdout.write(f"{name:24}{value:10.1f}{told:>10}{TARGETS.get(name, ''):>10}\n")
    ratio = (medians["cold claude -p"] - medians["direct"]) / (medians["continuing turn"] - medians["direct"])
    sys.stdout.write(f"a continuing turn adds {ratio:.0f} times less than a cold claude -p (at least 20)\n")
    sys.stdout.write(f"{msgspec.json.encode(medians).decode()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
