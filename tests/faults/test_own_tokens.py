"""Accounts whose tokens we get ourselves, in the running server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.faults.running import started

KEY = RSAKey.generate_key(2048)
ANSWER = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
}


class Google:
    """Its token endpoint and its Vertex AI."""

    def __init__(self) -> None:
        self.issued: list[str] = []
        self.asked: list[tuple[str, str]] = []
        app = web.Application()
        app.router.add_post("/token", self._token)
        app.router.add_post("/v1/projects/{tail:.*}", self._generate)
        self.server = TestServer(app)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        jwt.decode(str(form["assertion"]), RSAKey.import_key(KEY.as_pem(private=False)), algorithms=["RS256"])
        self.issued.append(f"vertex-token-{len(self.issued) + 1}")
        return web.json_response({"access_token": self.issued[-1], "expires_in": 3599})

    async def _generate(self, request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.asked.append((request.path, token))
        assert token in self.issued
        return web.json_response(ANSWER)


async def ask(url: str) -> tuple[int, Any]:
    body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hi"}]}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=body) as answer:
        return answer.status, await answer.json()


async def served(url: str) -> Any:
    """The first good answer: nobody tells us when the account is ready."""
    async with asyncio.timeout(20):
        while True:
            status, answer = await ask(url)
            if status == 200:
                return answer
            await asyncio.sleep(0.05)


async def test_a_service_account_s_file_serves_seconds_after_it_is_dropped(tmp_path: Path) -> None:
    google = Google()
    await google.server.start_server()
    accounts = tmp_path / "accounts"
    accounts.mkdir(mode=0o700)
    (tmp_path / "config.yaml").write_text("auth-dir: accounts\nlog-format: json\ngemini-api-key: []\n")
    service = {"client_email": "a@b", "private_key": KEY.as_pem(private=True).decode(), "project_id": "p"}
    file = {
        "type": "vertex", "service-account": service, "location": "global",
        "base-url": str(google.server.make_url("/")), "token-url": str(google.server.make_url("/token")),
    }  # fmt: skip
    async with started(tmp_path) as running:
        (accounts / "new.tmp").write_bytes(msgspec.json.encode(file))
        (accounts / "new.tmp").rename(accounts / "sa.json")
        await running.logged("account.added")
        answer = await served(running.url)
        assert answer["choices"][0]["message"]["content"] == "Hello"
        path = "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:generateContent"
        assert google.asked == [(path, "vertex-token-1")]
        told = msgspec.json.encode(running.log)
    await google.server.close()
    assert b"PRIVATE KEY" not in told
    assert b"vertex-token" not in told
