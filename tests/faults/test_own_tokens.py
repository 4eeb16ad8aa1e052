"""Accounts whose tokens we get ourselves, in the running server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import RSAKey

from auth.homes import Homes
from auth.oidc_tokens import OidcTokens, put_tokens
from auth.seal import PLAIN
from auth.secret import Secret
from tests.auth.issuer import Grant, Issuer
from tests.faults.running import started
from tests.pace import SECONDS_MAX

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


async def ask(url: str, model: str = "gemini-2.5-flash") -> tuple[int, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=body) as answer:
        return answer.status, await answer.json()


async def served(url: str, model: str = "gemini-2.5-flash", is_wanted: Callable[[Any], bool] = bool) -> Any:
    """The first good answer: nobody tells us when the account is ready."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            status, answer = await ask(url, model)
            if status == 200 and is_wanted(answer):
                return answer
            await asyncio.sleep(0.05)


async def test_a_service_account_s_file_serves_seconds_after_it_is_dropped(tmp_path: Path) -> None:
    google = Google()
    accounts = tmp_path / "accounts"
    accounts.mkdir(mode=0o700)
    (tmp_path / "config.yaml").write_text("auth-dir: accounts\nlog-format: json\ngemini-api-key: []\n")
    service = {"client_email": "a@b", "private_key": KEY.as_pem(private=True).decode(), "project_id": "p"}
    async with google.server, started(tmp_path) as running:
        file = {
            "type": "vertex", "service-account": service, "location": "global",
            "base-url": str(google.server.make_url("/")), "token-url": str(google.server.make_url("/token")),
        }  # fmt: skip
        (accounts / "new.tmp").write_bytes(msgspec.json.encode(file))
        (accounts / "new.tmp").rename(accounts / "sa.json")
        await running.logged("account.added")
        answer = await served(running.url)
        assert answer["choices"][0]["message"]["content"] == "Hello"
        path = "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:generateContent"
        assert google.asked == [(path, "vertex-token-1")]
        told = msgspec.json.encode(running.log)
    assert b"PRIVATE KEY" not in told
    assert b"vertex-token" not in told


class Gate:
    """A company's gateway: answers with the token that it was asked with."""

    def __init__(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        choice = {"index": 0, "message": {"role": "assistant", "content": token}, "finish_reason": "stop"}
        return web.json_response(
            {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        )


def said(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"])


async def test_a_login_of_one_s_own_client_is_kept_fresh_over_servers_that_are_killed(tmp_path: Path) -> None:
    gate = Gate()
    accounts = tmp_path / "accounts"
    home = Homes(accounts).make("oidc")
    (tmp_path / "config.yaml").write_text("auth-dir: accounts\nlog-format: json\n")
    async with gate.server, Issuer(life=4.0) as issuer:
        issuer.grants.append(Grant(subject="ada", refresh="first-refresh-token"))
        put_tokens(home, OidcTokens(access=Secret("old"), refresh=Secret("first-refresh-token"), expires_at=0.0), PLAIN)
        file = {
            "type": "oidc", "home": home.name, "account": "ada", "issuer": issuer.name, "client-id": "client",
            "provider": "gate", "base-url": str(gate.server.make_url("/v1")), "models": [{"name": "m"}],
        }  # fmt: skip
        (accounts / "a.json").touch(mode=0o600)
        (accounts / "a.json").write_bytes(msgspec.json.encode(file))
        told, tokens = b"", {"old"}
        for _ in range(2):
            async with started(tmp_path) as running:
                for _ in range(2):
                    tokens.add(said(await served(running.url, "m", lambda answer: said(answer) not in tokens)))
                await running.stop(signal.SIGKILL)
                told += msgspec.json.encode(running.log)
        assert len(issuer.living) == 1, "no refresh token came twice"
        assert len(tokens) == 5
    assert not any(token.encode() in told for token in tokens - {"old"})
    assert b"first-refresh-token" not in told
