"""Client keys as the official SDKs meet them: what is left is shown, what is not is refused in their own words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import openai
import pytest
from google.genai import errors as genai_errors

from proxy.config.client_keys import hash_of
from proxy.hub.residue import JsonObject
from tests.contract.clients import CONTRACT, Clients
from tests.contract.house import House, account, settings
from tests.contract.judges import JUDGES
from tests.contract.scenarios import SCENARIOS
from tests.contract.stage import FORMATS, Stage, answer, header
from tests.contract.test_running import slow
from tests.pace import SECONDS_MAX

pytestmark = CONTRACT

TEXT = SCENARIOS["text"]
PLENTY = "client-key-of-plenty"
REFUSED = {
    "openai_chat": openai.RateLimitError,
    "openai_responses": openai.RateLimitError,
    "anthropic": anthropic.RateLimitError,
    "gemini": genai_errors.ClientError,
}
ACCOUNTS = {wire: [account(wire, "quay", keys=1)] for wire in FORMATS}


def secret(name: str) -> str:
    return f"client-key-of-{name}"


def entry(name: str, **terms: object) -> JsonObject:
    return {"key-hash": hash_of(secret(name)), "name": name, **terms}  # type: ignore[dict-item]  # it is JSON


@asynccontextmanager
async def open_house(stage: Stage, folder: Path, *keys: JsonObject, **more: object) -> AsyncIterator[House]:
    house = House(folder=folder)
    house.configure(settings(stage.server.url, ACCOUNTS, **{"api-keys": [entry("plenty"), *keys], **more}))
    async with house:
        yield house


async def ask(clients: Clients, wire: str, *, is_stream: bool = False) -> Mapping[str, str]:
    """The headers of an answer that came."""
    judge = JUDGES[wire](clients)
    said = await judge.ask(judge.words(TEXT.ask, f"{wire}-quay"), is_stream=is_stream)
    assert said.text == TEXT.text
    return clients.headers


async def test_each_sdk_is_told_what_is_left_and_refused_as_it_knows_it(stage: Stage, tmp_path: Path) -> None:
    keys = [entry(wire, **{"requests-per-minute": 2, "tokens-per-minute": 1_000_000}) for wire in FORMATS]
    async with open_house(stage, tmp_path, *keys) as house:
        for wire in FORMATS:
            async with Clients(house.url, secret(wire)) as clients:
                for is_stream, left in ((False, "1"), (True, "0")):
                    stage.plays(answer(wire, "text", is_stream=is_stream))
                    headers = await ask(clients, wire, is_stream=is_stream)
                    if wire == "anthropic":
                        assert headers["anthropic-ratelimit-requests-remaining"] == left
                        assert int(headers["anthropic-ratelimit-tokens-remaining"]) < 1_000_000
                    elif wire != "gemini":  # its SDK has a client of its own
                        assert headers["x-ratelimit-remaining-requests"] == left
                        assert headers["x-ratelimit-limit-tokens"] == "1000000"
                stage.plays(answer(wire, "text", is_stream=False))
                with pytest.raises(REFUSED[wire], match="this client key may make 2 requests a minute") as caught:
                    await ask(clients, wire)
                assert stage.heard == []
                response = getattr(caught.value, "response", None)
                if wire != "gemini":
                    assert response is not None
                    assert 1 <= int(response.headers["retry-after"]) <= 61
                else:
                    assert getattr(caught.value, "code", None) == 429


async def test_an_sdk_that_waits_as_told_gets_through(stage: Stage, tmp_path: Path) -> None:
    """By its own retries: nothing is lost where a limit is of requests at a time."""
    async with (
        open_house(stage, tmp_path, entry("crew", concurrency=1)) as house,
        Clients(house.url, secret("crew")) as clients,
    ):
        stage.plays(answer("anthropic", "text", is_stream=False))
        patient = clients.anthropic.with_options(max_retries=4)
        messages = [{"role": "user", "content": "Tide?"}]
        asked = (
            patient.messages.create(model="anthropic-quay", max_tokens=64, messages=messages)  # type: ignore[call-overload]
            for _ in range(3)
        )
        told = await asyncio.gather(*asked)
    assert [message.content[0].text for message in told] == [TEXT.text] * 3


async def until_refused(client: anthropic.AsyncAnthropic) -> tuple[int, anthropic.RateLimitError]:
    """Asks on. The tokens that it was told, and how it ended."""
    spent = 0
    messages = [{"role": "user", "content": "Tide?"}]
    while True:
        try:
            told = await client.messages.create(model="anthropic-quay", max_tokens=64, messages=messages)  # type: ignore[call-overload]
        except anthropic.RateLimitError as error:
            return spent, error
        usage = told.usage
        spent += usage.input_tokens + usage.output_tokens
        spent += (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)


async def test_a_budget_is_not_tried_again_and_outlives_a_restart(stage: Stage, tmp_path: Path) -> None:
    stage.plays(answer("anthropic", "text", is_stream=False))
    async with open_house(stage, tmp_path, entry("lean", budgets=[{"per": "month", "tokens": 4000}])) as house:
        async with Clients(house.url, secret("lean")) as clients:
            spent, error = await until_refused(clients.anthropic.with_options(max_retries=3))
            headers = error.response.headers
            assert "budget of 4000 tokens a month" in error.message
            assert (headers["x-should-retry"], headers["x-proxy-budget"]) == ("false", f"month tokens {spent}/4000")
        async with Clients(house.url, PLENTY) as others:
            await ask(others, "anthropic")
        assert await house.stop() == 0
        assert len([line for line in house.log if line.get("status") == 429]) == 1, "an SDK that obeys asks once"
        house.url = ""
        await house.start()
        async with Clients(house.url, secret("lean")) as clients:
            again, error = await until_refused(clients.anthropic)
            assert (again, error.response.headers["x-proxy-budget"]) == (0, f"month tokens {spent}/4000")


async def test_a_stream_that_is_left_counts_once(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage.server, "pace", 1.0)
    terms = {"budgets": [{"per": "day", "tokens": 1_000_000}], "concurrency": 1}
    async with (
        open_house(stage, tmp_path, entry("leaver", **terms)) as house,
        Clients(house.url, secret("leaver")) as clients,
    ):
        stage.plays(slow("anthropic"), answer("anthropic", "text", is_stream=False))
        messages = [{"role": "user", "content": "Tide?"}]
        async with clients.anthropic.messages.stream(
            model="anthropic-quay",
            max_tokens=64,
            messages=messages,  # type: ignore[arg-type]
        ) as stream:
            started = await anext(aiter(stream))
            assert started.type == "message_start"
            told = started.message.usage.input_tokens
        stage.server.pace = 0
        async with asyncio.timeout(SECONDS_MAX):
            while not any(line["event"] == "request.finished" for line in house.log):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        (line,) = [line for line in house.log if line["event"] == "request.finished"]
        counted = sum(line["tokens"].values())  # type: ignore[union-attr, arg-type]
        assert counted >= told > 0
        headers = await ask(clients, "anthropic")
        held = int(headers["x-proxy-budget"].removeprefix("day tokens ").partition("/")[0])
        assert counted < held < counted + 1100, "what was counted, and what is believed of this one"


async def test_a_key_sees_its_own_accounts_and_no_others(stage: Stage, tmp_path: Path) -> None:
    crew = entry("crew", accounts=["anthropic", "claude-*"], models=["anthropic-*"])
    async with open_house(stage, tmp_path, crew) as house, Clients(house.url, secret("crew")) as clients:
        assert {model.id async for model in clients.openai.models.list()} == {"anthropic-quay"}
        stage.plays(answer("anthropic", "text", is_stream=False))
        await ask(clients, "anthropic")
        assert header(stage.request, "x-api-key") == ACCOUNTS["anthropic"][0].keys[0]
        for wire in ("openai_chat", "gemini"):
            stage.plays(answer(wire, "text", is_stream=False))
            with pytest.raises((openai.NotFoundError, genai_errors.ClientError), match="this client key is for"):
                await ask(clients, wire)
            assert stage.heard == []


async def test_a_key_that_is_put_into_the_file_is_good_at_once(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# nobody yet\n")
    file.chmod(0o600)
    more = {"api-keys-file": str(file)}
    async with open_house(stage, tmp_path, **more) as house, Clients(house.url, secret("newcomer")) as clients:
        stage.plays(answer("openai_chat", "text", is_stream=False))
        with pytest.raises(openai.AuthenticationError):
            await ask(clients, "openai_chat")
        file.write_text(f"newcomer: {secret('newcomer')}\n")
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                try:
                    await ask(clients, "openai_chat")
                except openai.AuthenticationError:
                    await asyncio.sleep(0.02)
                else:
                    break
