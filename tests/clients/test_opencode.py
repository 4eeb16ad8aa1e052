"""OpenCode."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.clients.scenes import PROMPT, Cli, Live, Scenes, Settled, until_said
from tests.clients.stage import CLIENT_KEY, MODELS, SECONDS_MAX, Stage, killed

ROUTES = {"anthropic": "/v1/messages", "openai_responses": "/v1/responses", "gemini": "/v1/chat/completions"}


def asked_of(stage: Stage) -> list[str]:
    """The routes by which models were asked."""
    return [each["route"] for each in stage.log if each["event"] == "request.finished" and each.get("model")]


class TestOpenCode(Scenes, Settled, Live):
    cli = Cli(name="opencode", wire="openai_chat", arguments=("run",), tool=("read", "filePath|path"))
    others = tuple(ROUTES)
    outsiders = (r"models\.opencode\.ai", r"registry\..+")

    async def test_a_model_of_another_vendor(self, stage: Stage, other: str) -> None:
        """Each is spoken to as its vendor does, where OpenCode can."""
        await super().test_a_model_of_another_vendor(stage, other)
        count = len(stage.upstream.asked) + len(stage.upstream.aside)
        async with asyncio.timeout(SECONDS_MAX):
            while len(asked := asked_of(stage)) < count:  # noqa: ASYNC110 - the log is written a little later
                await asyncio.sleep(0.02)
        assert {*asked} == {ROUTES[other]}

    @asynccontextmanager
    async def showing(self, stage: Stage, words: str) -> AsyncIterator[None]:
        """`opencode run` prints whole parts only; what its own screens show comes from its server, piece by piece."""
        wish = ("--url", stage.url, "--model", MODELS[self.cli.wire])
        process = await stage.started("proxy", "run", *wish, "opencode", "serve", "--port", "0", PROXY_KEY=CLIENT_KEY)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(SECONDS_MAX):
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
