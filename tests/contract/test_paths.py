"""However a client has written its base URL: it finds what it asks for, in the format that it speaks."""

from __future__ import annotations

import aiohttp
import pytest
from openai import AsyncOpenAI

from tests.contract.clients import CONTRACT
from tests.contract.house import CLIENT_KEY, House
from tests.contract.scenarios import SCENARIOS
from tests.contract.stage import Stage, answer, whole

pytestmark = CONTRACT

RANKED = b'{"id":"rank-1","results":[{"index":1,"relevance_score":0.75},{"index":0,"relevance_score":0.25}]}'


@pytest.mark.parametrize("base", ["/v1", "/v1/v1", "/v1beta/openai", "/openai/v1", "/api/v1", "//v1/"])
async def test_openais_sdk(stage: Stage, house: House, base: str) -> None:
    stage.plays(answer("gemini", "text", is_stream=False))
    async with AsyncOpenAI(base_url=f"{house.url}{base}", api_key=CLIENT_KEY, max_retries=0) as client:
        made = await client.chat.completions.create(model="gemini-home", messages=[{"role": "user", "content": "Hi"}])
        assert made.choices[0].message.content == SCENARIOS["text"].text
        assert "gemini-home" in {model.id async for model in client.models.list()}


async def test_a_reranking(stage: Stage, raw: aiohttp.ClientSession) -> None:
    stage.plays(whole("/rerank", RANKED))
    body = {"model": "openai_chat-home", "query": "the tide", "documents": ["a tree", "high water"], "top_n": 2}
    async with raw.post("/v1/rerank", json=body) as response:
        assert response.status == 200, await response.read()
        assert await response.read() == RANKED
    assert stage.body == {**body, "model": "gpt-oss-120b"}
