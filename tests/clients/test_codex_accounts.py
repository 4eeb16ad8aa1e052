"""Codex, logged in with ChatGPT, before accounts of Codex: what it says itself reaches its vendor in their name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import pytest

from tests.clients import test_codex
from tests.clients.answers import Say, exhausted
from tests.clients.codex_accounts import NOBODY, as_chatgpt, chatgpt, login, token
from tests.clients.over_socket import said_on, without_credential
from tests.clients.scenes import ANSWER, AWAY_SECONDS, CARGO, HOP, PROMPT, reads
from tests.clients.stage import MODELS, Stage
from tests.socket_vendor import SocketVendor

STATE = "x-codex-turn-state"
Way = Callable[[Stage], tuple[str, ...]]
CLI = test_codex.TestCodex.cli


@pytest.fixture
async def vendor(stage: Stage) -> AsyncIterator[SocketVendor]:
    stage.furniture = {".codex/auth.json": login(NOBODY).decode()}
    async with chatgpt(stage, ["harbour", "quay"]) as vendor:
        await stage.open()
        (stage.work / "manifest.txt").write_text(f"{CARGO}\n")
        (stage.home / ".codex" / "config.toml").write_text(as_chatgpt(stage.tap.url))
        yield vendor


async def run(stage: Stage, *more: str) -> None:
    ran = await stage.run("codex", *more, *CLI.arguments, "-m", MODELS["openai_responses"], PROMPT)
    assert (ran.code, ANSWER in ran.out) == (0, True), ran


def over_http(stage: Stage) -> tuple[str, ...]:
    provider = f'{{name="p",base_url="{stage.tap.url}/v1",wire_api="responses",requires_openai_auth=true}}'
    return "-c", 'model_provider="p"', "-c", f"model_providers.p={provider}"


async def test_over_a_websocket_the_account_is_another_and_nothing_else(stage: Stage, vendor: SocketVendor) -> None:
    stage.upstream.in_turn(reads(CLI, stage), Say(ANSWER))
    await run(stage)
    (said,) = [each for each in stage.tap.said() if each.target.endswith("/responses")]
    (handshake,) = vendor.handshakes
    assert account_of(said.headers) == (f"Bearer {token(NOBODY)}", NOBODY)
    assert account_of(handshake) == (f"Bearer {token('harbour')}", "harbour")
    assert without_credential(handshake, "chatgpt-account-id") == without_credential(said.headers, "chatgpt-account-id")
    assert len(vendor.asked) == 3
    assert [each.data for each in vendor.asked] == [*said_on(said.body)]


async def test_over_http_too(stage: Stage, vendor: SocketVendor) -> None:
    stage.upstream.in_turn(reads(CLI, stage), Say(ANSWER))
    await run(stage, *over_http(stage))
    said = [each for each in stage.tap.said() if each.target.endswith("/responses")]
    assert len(said) == len(vendor.asked) == 2
    for one, asked in zip(said, vendor.asked, strict=True):
        assert asked.data == one.body
        assert account_of(one.headers) == (f"Bearer {token(NOBODY)}", NOBODY)
        assert account_of(asked.headers) == (f"Bearer {token('harbour')}", "harbour")
        assert others(asked.headers) == others(one.headers)


def over_socket(_stage: Stage) -> tuple[str, ...]:
    return ()


@pytest.mark.parametrize("way", [over_socket, over_http])
class TestTheStateOfATurn:
    """By which its vendor keeps the requests of one turn together. Codex brings it back until the turn is over."""

    async def test_it_reaches_codex_and_comes_back(self, stage: Stage, vendor: SocketVendor, way: Way) -> None:
        vendor.tells = lambda asked: {"x-codex-turn-state": f"turn-of-{account_of(asked)[1]}"}
        stage.upstream.in_turn(reads(CLI, stage), Say(ANSWER))
        await run(stage, *way(stage))
        *_, (account, state) = states(vendor)
        assert (account, state) == ("harbour", "turn-of-harbour")

    async def test_another_account_is_not_shown_it(self, stage: Stage, vendor: SocketVendor, way: Way) -> None:
        vendor.tells = lambda asked: {"x-codex-turn-state": f"turn-of-{account_of(asked)[1]}"}
        stage.upstream.in_turn(reads(CLI, stage), exhausted("openai_responses", AWAY_SECONDS), Say(ANSWER))
        await run(stage, *way(stage))
        assert states(vendor)[-2:] == [("harbour", "turn-of-harbour"), ("quay", None)]
        assert "turn-of-harbour" not in str(vendor.asked[-1])


async def test_what_the_vendor_says_of_the_turn_on_its_websocket_arrives(stage: Stage, vendor: SocketVendor) -> None:
    event = {"type": "response.metadata", "headers": {"x-codex-turn-state": "turn-1"}}
    play = vendor.plays
    vendor.plays = lambda asked: [msgspec.json.encode(event), *play(asked)]
    stage.upstream.in_turn(reads(CLI, stage), exhausted("openai_responses", AWAY_SECONDS), Say(ANSWER))
    await run(stage)
    assert states(vendor)[-2:] == [("harbour", "turn-1"), ("quay", None)]


def states(vendor: SocketVendor) -> list[tuple[str, str | None]]:
    """Of each request: whose it was, and the state that it brought."""
    return [
        (account_of(each.headers)[1], dict(each.headers).get(STATE) or each.body["client_metadata"].get(STATE))
        for each in vendor.asked
    ]


def account_of(headers: Sequence[tuple[str, str]]) -> tuple[str, str]:
    known = {name.lower(): value for name, value in headers}
    return known["authorization"], known["chatgpt-account-id"]


def others(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [each for each in headers if each[0].lower() not in {*HOP, "authorization", "chatgpt-account-id"}]
