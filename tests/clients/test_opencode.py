"""OpenCode."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.clients.scenes import PROMPT, Cli, Live, Scenes, Settled, until_said
from tests.clients.stage import CLIENT_KEY, MODELS, Stage, killed

ROUTES = {"anthropic": "/v1/messages", "openai_responses": "/v1/responses", "gemini": "/v1/chat/completions"}


class TestOpenCode(Scenes, Settled, Live):
    cli = Cli(name="opencode", wire="openai_chat", arguments=("run",), tool=("read", "filePath|path"))
    others = tuple(ROUTES)
    outsiders = (r"models\.opencode\.ai", r"registry\..+")

    async def test_a_model_of_another_vendor(self, stage: Stage, other: str) -> None:
        """Each is spoken to as its vendor does, where OpenCode can."""
        await super().test_a_model_of_another_vendor(stage, other)
        asked = {each["route"] for each in stage.log if each["event"] == "request.finished" and each.get("model")}
        assert asked == {ROUTES[other]}

    @asynccontextmanager
    async def showing(self, stage: Stage, words: str) -> AsyncIterator[None]:
        """`opencode run` prints whole parts only; what its own screens show comes from its server, piece by piece."""
        wish = ("--url", stage.url, "--model", MODELS[self.cli.wire])
        process = await stage.started("proxy", "run", *wish, "opencode", "serve", "--port", "0", PROXY_KEY=CLIENT_KEY)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(60):
                while (found := re.search(rb"http://\S+", await process.stdout.readline())) is None:
                    assert not process.stdout.at_eof()
            async with aiohttp.ClientSession(found[0].decode()) as session, session.get("/event") as events:
                async with session.post("/session", json={}) as opened:
                    own_id = (await opened.json())["id"]
                told = {"parts": [{"type": "text", "text": PROMPT}]}
                async with session.post(f"/session/{own_id}/prompt_async", json=told) as taken:
                    assert taken.status == 204
                await until_said(events.content.read, words)
                yield
        finally:
            await killed(process)
