"""The official SDKs, as their users make them: a base URL, a key, and no retries that would hide anything."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Self

import httpx2
import pytest
from anthropic import AsyncAnthropic
from google import genai
from google.genai import types
from google.genai.client import AsyncClient
from openai import AsyncOpenAI

CONTRACT = [
    pytest.mark.asyncio(loop_scope="session"),
    # google-genai makes a subclass of aiohttp's session
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]
"""What marks tests that stand on the fixtures of this folder: those live in one loop."""


class Clients:
    """Of one server with one key."""

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 120.0) -> None:
        self.url = url
        self.openai = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=timeout_seconds)
        self.anthropic = AsyncAnthropic(base_url=url, api_key=key, max_retries=0, timeout=timeout_seconds)
        options = types.HttpOptions(base_url=url, timeout=int(timeout_seconds * 1000))
        self._genai = genai.Client(api_key=key, http_options=options)
        self.gemini: AsyncClient = self._genai.aio
        self._exits = AsyncExitStack()
        self.headers: Mapping[str, str] = {}
        """Of the last answer that httpx got."""
        for sdk in (self.openai, self.anthropic):
            sdk._client.event_hooks = {"request": [], "response": [self._note]}

    async def _note(self, response: httpx2.Response) -> None:
        self.headers = response.headers

    async def __aenter__(self) -> Self:
        self._exits.push_async_callback(self.openai.close)
        self._exits.push_async_callback(self.anthropic.close)
        self._exits.callback(self._genai.close)
        self._exits.push_async_callback(self.gemini.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()
