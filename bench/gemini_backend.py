"""What it costs that Gemini CLI asks, and not we: `make bench-clis`

Time to the first token, against a stub of Code Assist on this machine that answers at once; each figure is the median
over rounds in which all variants take turns. *Added* is over a direct HTTP call to the same stub, by the same way (its
TLS, its egress proxy).
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

from tests.backends.gemini_backend import HOST, MODEL, PATH, GeminiBackend, said
from tests.backends.stage import KEY, GeminiStage

MODULES = Path(os.environ.get("PROXY_CLIENT_MODULES", "tests/clients/node_modules")).resolve()
ROUNDS = int(os.environ.get("PROXY_BENCH_ROUNDS", "15"))
REST_SECONDS = float(os.environ.get("PROXY_BENCH_REST", "1.0"))
"""For the next conversation to be prepared, and the machine to be quiet."""
ANSWER = "Ahoy from the quay."
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # gitleaks:allow
)
TARGETS = {"continuing turn": 15, "new conversation": 80, "20 turns of history": 160}
"""Added milliseconds at most, on two cores of their own."""


def user(text: str, *more: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": [*more, {"text": text}]}


def model(text: str) -> dict[str, Any]:
    return {"role": "model", "parts": [{"text": text}]}


class Bench:
    def __init__(self, backend: GeminiBackend, stage: GeminiStage, session: aiohttp.ClientSession) -> None:
        self.backend, self.stage, self.session = backend, stage, session
        self.talk = [user("Who is there?")]
        self.serial = 0
        self.tls = ssl.create_default_context(cafile=str(backend.authority))

    async def direct(self) -> float:
        body = {"model": MODEL, "project": "p", "request": {"contents": [user("Who is there?")], "session_id": "s"}}
        proxy = self.backend.environment["HTTPS_PROXY"]
        headers = {"authorization": "Bearer ya29.direct-1"}
        return await self._first(f"https://{HOST}{PATH}?alt=sse", body, headers, proxy=proxy, ssl=self.tls)

    async def continuing(self) -> float:
        await asyncio.sleep(REST_SECONDS)
        seconds = await self._ours(self.talk)
        self.talk += [model(ANSWER), user("And now?")]
        return seconds

    async def new(self) -> float:
        await asyncio.sleep(REST_SECONDS)
        self.serial += 1
        return await self._ours([user(f"Who is there? {self.serial}")])

    async def history(self) -> float:
        await asyncio.sleep(REST_SECONDS)
        self.serial += 1
        image = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
        contents: list[dict[str, Any]] = []
        for turn in range(10):
            contents += [user(f"Who is there? {self.serial} {turn}", image), model(f"Ahoy {turn}.")]
        return await self._ours([*contents, user("And now?")])

    async def _ours(self, contents: list[dict[str, Any]]) -> float:
        url = f"{self.stage.url}/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
        body = {"contents": contents, "systemInstruction": {"parts": [{"text": "Be kind."}]}}
        return await self._first(url, body, {"x-goog-api-key": KEY})

    async def _first(self, url: str, body: dict[str, Any], headers: dict[str, str], **how: Any) -> float:
        """Seconds to the first piece of text."""
        began = time.perf_counter()
        told, seconds = b"", 0.0
        async with self.session.post(url, json=body, headers=headers, **how) as answer:
            async for piece in answer.content.iter_any():
                told += piece
                if not seconds and b'"text"' in told:
                    seconds = time.perf_counter() - began
        assert seconds, told
        return seconds


async def measure(bench: Bench) -> dict[str, float]:
    variants: dict[str, Callable[[], Awaitable[float]]] = {
        "direct": bench.direct,
        "continuing turn": bench.continuing,
        "new conversation": bench.new,
        "20 turns of history": bench.history,
    }
    for variant in [*variants.values()] * 2:
        await variant()  # everything is loaded, and the conversation has begun
    samples: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, variant in variants.items():
            samples[name].append(await variant())
    return {name: statistics.median(each) * 1000 for name, each in samples.items()}


async def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with GeminiBackend(Path(folder)) as backend, aiohttp.ClientSession() as session:
            backend.plays = lambda _turn: said(ANSWER)
            stage = GeminiStage(folder=Path(folder), backend=backend, modules=MODULES)
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
