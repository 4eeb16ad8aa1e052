"""Codex."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import msgspec
import pytest

from tests.clients.answers import Say, exhausted
from tests.clients.app_server import AppServer, app_server, text
from tests.clients.codex_accounts import NOBODY, as_chatgpt, login
from tests.clients.over_socket import on_socket, said_on, without_credential
from tests.clients.scenes import (
    ANSWER,
    AWAY_SECONDS,
    CARGO,
    PROMPT,
    Cli,
    Live,
    Scenes,
    Settled,
    check_own_request,
    prompted,
    reads,
)
from tests.clients.stage import CLIENT_KEY, MODELS, Ran, Stage
from tests.socket_vendor import SocketVendor

QUIET = """\
[analytics]
enabled = false

[features]
plugins = false
apps = false
"""


class Streamed(Live):
    """`codex exec` prints whole items only; what an editor shows comes from the app server, piece by piece."""

    @asynccontextmanager
    async def showing(self, stage: Stage, words: str) -> AsyncIterator[None]:
        async with self.served(stage) as server:
            thread = await server.thread(model=MODELS[self.cli.wire])
            server.say("turn/start", threadId=thread, input=text(PROMPT))
            said = ""
            while words not in said:
                said += (await server.until("item/agentMessage/delta"))["delta"]
            yield

    def served(self, stage: Stage) -> AbstractAsyncContextManager[AppServer]:
        server = ("--url", stage.url, "--model", MODELS[self.cli.wire])
        return app_server(stage, "proxy", "run", *server, "codex", "app-server", PROXY_KEY=CLIENT_KEY)


class TestCodex(Scenes, Settled, Streamed):
    cli = Cli(
        name="codex",
        wire="openai_responses",
        arguments=("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
        tool=("exec_command|shell", "cmd|command"),
        reading=lambda path: f"cat {path}",
    )
    home = {".codex/config.toml": QUIET}  # noqa: RUF012 - see Scenes
    others = ("anthropic", "gemini", "openai_chat")

    async def test_its_own_request_reaches_its_vendor(self, stage: Stage) -> None:
        await stage.open(openai_responses=["key-one-of-the-harbour"])
        stage.upstream.in_turn(Say(ANSWER))
        ran = await prompted(self.cli, stage, "openai_responses", url=stage.tap.url)
        assert ran.code == 0, ran
        (said,) = [each for each in stage.tap.said() if each.target == "/v1/responses"]
        (asked,) = stage.upstream.asked
        check_own_request(said, asked, {"authorization": "Bearer key-one-of-the-harbour"})
        assert asked.headers["originator"].startswith("codex")

    @pytest.mark.parametrize("path", ["/v1", "/backend-api/codex"])
    async def test_the_catalogue(self, stage: Stage, path: str) -> None:
        """It fetches the list of models where its provider's key comes from a command."""
        await stage.open(anthropic=["key-one-of-the-harbour"])
        provider = (
            f'{{name="p",base_url="{stage.url}{path}",wire_api="responses",'
            'auth={command="printenv",args=["HARBOUR_KEY"]}}'
        )
        stage.upstream.in_turn(Say(ANSWER))
        ran = await stage.run(
            "codex", "-c", 'model_provider="p"', "-c", f"model_providers.p={provider}", *self.cli.arguments,
            "-m", MODELS["anthropic"], PROMPT, HARBOUR_KEY=CLIENT_KEY,
        )  # fmt: skip
        assert (ran.code, ANSWER in ran.out) == (0, True), ran
        assert "failed to refresh available models" not in ran.err
        assert "metadata" not in ran.err, "it does not know the model, for all that it was told"
        (asked,) = stage.upstream.asked
        assert b"You are a coding agent." in asked.request.body

    async def test_its_status_shows_the_pool(self, stage: Stage) -> None:
        """Logged in with ChatGPT and pointed here for everything: how much is used is asked of us."""
        await stage.open()
        async with aiohttp.ClientSession() as session:
            for _ in range(7):  # two for each of the sandbox's tired accounts, and one too many
                body = {"model": "sandbox-limited", "input": "hello"}
                await (await session.post(f"{stage.url}/v1/responses", json=body)).read()
        (stage.home / ".codex" / "config.toml").write_text(as_chatgpt(stage.url))
        (stage.home / ".codex" / "auth.json").write_bytes(login(NOBODY))
        async with app_server(stage, "codex", "app-server") as server:
            limits = (await server.ask("account/rateLimits/read"))["rateLimits"]
        assert 0 < limits["primary"]["usedPercent"] <= 100
        assert limits["primary"]["resetsAt"] > 0


class TestCodexOverAWebSocket(Scenes, Streamed):
    """As it speaks to its own vendor: one socket for a conversation, on which it says only what is new."""

    cli = TestCodex.cli
    home = TestCodex.home
    others = TestCodex.others

    async def run(self, stage: Stage, wire: str) -> Ran:
        point_here(stage)
        ran = await stage.run("codex", *self.cli.arguments, "-m", MODELS[wire], PROMPT, CODEX_API_KEY=CLIENT_KEY)
        assert "Reconnecting" not in ran.err, ran
        assert "Falling back" not in ran.err, ran
        return ran

    def served(self, stage: Stage) -> AbstractAsyncContextManager[AppServer]:
        return served_by_socket(stage)


class TestCodexOverTheProvidersWebSocket(TestCodexOverAWebSocket):
    """Its own, relayed: the provider keeps the conversation, until another account has to go on."""

    others = ()

    @pytest.fixture(autouse=True)
    async def vendor(self, stage: Stage) -> AsyncIterator[SocketVendor]:
        async with on_socket(stage.upstream) as vendor:
            stage.by_socket = vendor
            yield vendor

    def gone(self, stage: Stage) -> asyncio.Event:
        assert stage.by_socket is not None
        return stage.by_socket.asked[-1].is_cut

    async def test_its_own_words_reach_its_vendor(self, stage: Stage, vendor: SocketVendor) -> None:
        """Byte for byte, the handshake as well as each message, but for the key."""
        await stage.open(openai_responses=["key-one-of-the-harbour"])
        (stage.work / "manifest.txt").write_text(f"{CARGO}\n")
        stage.upstream.in_turn(reads(self.cli, stage), Say(ANSWER))
        url, stage.url = stage.url, stage.tap.url
        ran = await self.run(stage, "openai_responses")
        stage.url = url
        assert (ran.code, ANSWER in ran.out) == (0, True), ran
        (said,) = [each for each in stage.tap.said() if each.target.endswith("/responses")]
        (handshake,) = vendor.handshakes
        assert without_credential(handshake) == without_credential(said.headers)
        assert dict(handshake)["authorization"] == "Bearer key-one-of-the-harbour"
        assert [each.data for each in vendor.asked] == [*said_on(said.body)]
        prewarm, first, second = vendor.asked
        assert prewarm.body["generate"] is False
        assert {each.socket for each in vendor.asked} == {1}
        assert [each["type"] for each in second.body["input"]] == ["function_call_output"], "only what is new"
        assert first.body["previous_response_id"] != second.body["previous_response_id"]

    async def test_an_account_is_exhausted_in_the_middle_of_a_session(self, stage: Stage) -> None:
        await stage.open(openai_responses=["key-one-of-the-harbour", "key-two-of-the-harbour"])
        (stage.work / "manifest.txt").write_text(f"{CARGO}\n")
        stage.upstream.in_turn(reads(self.cli, stage), exhausted("openai_responses", AWAY_SECONDS), Say(ANSWER))
        ran = await self.run(stage, "openai_responses")
        assert (ran.code, ANSWER in ran.out) == (0, True), ran
        assert "allowance" not in ran.told
        first, refused, answered = stage.upstream.asked
        assert first.key == refused.key != answered.key
        assert "previous_response_id" in refused.body
        assert "previous_response_id" not in answered.body
        assert PROMPT in answered.request.body.decode()
        assert CARGO in answered.request.body.decode()


def served_by_socket(stage: Stage) -> AbstractAsyncContextManager[AppServer]:
    point_here(stage)
    key = {"auth_mode": "apikey", "OPENAI_API_KEY": CLIENT_KEY}
    (stage.home / ".codex" / "auth.json").write_bytes(msgspec.json.encode(key))
    return app_server(stage, "codex", "app-server")


def point_here(stage: Stage) -> None:
    """As its vendor is: then it takes a WebSocket."""
    (stage.home / ".codex" / "config.toml").write_text(f'openai_base_url = "{stage.url}/backend-api/codex"\n{QUIET}')
