"""What a login is for: an official CLI's own request goes on with the account's token, and nothing else is changed."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
import pytest

from auth.refresh import LOOK_SECONDS
from auth.tokens import TOKEN_FILES
from tests.logins.conftest import House
from tests.logins.person import comes_back
from tests.logins.stage import KEY, SECONDS_MAX, Server, asks, says_hello, served, tokens
from tests.logins.vendor import ASKED, Person, Vendor


async def test_claude_code_s_own_request_goes_on_with_the_account_s_token(
    house: House, server: Server, vendor: Vendor
) -> None:
    await house.login("claude-code", comes_back()).finish()
    await server.start()
    said = await says_hello(house, server, "claude-code")
    assert "Ahoy from the quay." in said
    asked = next(asked for asked in vendor.asked if asked.path == "/v1/messages")
    assert asked.headers["authorization"] == "Bearer sk-ant-oat01-fake-1"
    assert "x-api-key" not in asked.headers
    assert "x-claude-code-session-id" in asked.headers
    assert KEY not in str(vendor.asked)


async def test_codex_s_own_request_goes_on_with_the_account_s_token(
    house: House, server: Server, vendor: Vendor
) -> None:
    await house.login("codex", comes_back()).finish()
    await server.start()
    said = await says_hello(house, server, "codex")
    assert "Ahoy from the quay." in said
    asked = next(asked for asked in vendor.asked if asked.path == "/backend-api/codex/responses")
    assert asked.headers["authorization"].startswith("Bearer e")
    assert asked.headers["chatgpt-account-id"] == vendor.person.account
    assert asked.headers["originator"].startswith("codex")
    assert KEY not in str(vendor.asked)


async def test_gemini_cli_s_own_request_goes_on_with_the_account_s_token_and_project(
    house: House, server: Server, vendor: Vendor
) -> None:
    await house.login("gemini-cli", comes_back(), project="harbour-1").finish()
    await server.start()
    vendor.asked.clear()
    said = await says_hello(house, server, "gemini-cli")
    assert "Ahoy from the quay." in said
    (asked,) = [asked for asked in vendor.asked if asked.path in ASKED]
    assert asked.headers["authorization"] == "Bearer ya29.fake-1"
    assert asked.headers["user-agent"].startswith("GeminiCLI")
    assert (asked.body["project"], asked.body["model"]) == ("harbour-1", "gemini-3-pro-preview")
    assert asked.body["request"]["session_id"]
    assert asked.body["user_prompt_id"]
    to_google = [each for each in vendor.asked if each.host == "cloudcode-pa.googleapis.com"]
    assert to_google == [asked], "what it asks about its account is answered here"
    assert not any(KEY in str(each) for each in to_google)


@pytest.mark.parametrize("kind", ["claude-code", "codex"])
async def test_a_refused_token_is_refreshed_by_its_cli_once_and_the_request_tried_once_more(
    house: House, server: Server, vendor: Vendor, kind: str
) -> None:
    await house.login(kind, comes_back()).finish()
    (before,) = tokens(house)
    await server.start()
    vendor.expelled.add(before)
    vendor.asked.clear()
    assert "Ahoy from the quay." in await says_hello(house, server, kind)
    (after,) = tokens(house)
    assert served(vendor) == [before, after]
    assert sum(asked.body.get("grant_type") == "refresh_token" for asked in vendor.asked) == 1


@pytest.mark.parametrize("kind", ["claude-code", "codex"])
async def test_what_cannot_be_refreshed_leaves_the_request_to_the_next_account(
    house: House, server: Server, vendor: Vendor, kind: str
) -> None:
    await house.login(kind, comes_back()).finish()
    (first,) = tokens(house)
    vendor.person = Person(email="bea@example.test", account="another")
    await house.login(kind, comes_back()).finish()
    (second,) = {*tokens(house)} - {first}
    await server.start()
    vendor.expelled.update((first, second))
    vendor.is_refresh_refused = True
    vendor.expelled.discard(second)
    for _ in range(2):  # whoever's turn it is
        assert "Ahoy from the quay." in await says_hello(house, server, kind)
    assert sorted({*served(vendor)}) == sorted({first, second})


@pytest.mark.parametrize("kind", ["claude-code", "codex"])
async def test_a_token_replaced_on_disk_is_used_soon(house: House, server: Server, vendor: Vendor, kind: str) -> None:
    await house.login(kind, comes_back()).finish()
    (before,) = tokens(house)
    await server.start()
    path = house.folder / "homes" / house.homes[0] / TOKEN_FILES[kind].path
    after = before[:-3] + "new"
    path.write_bytes(path.read_bytes().replace(before.encode(), after.encode()))
    assert LOOK_SECONDS <= 1.0
    async with asyncio.timeout(SECONDS_MAX):
        while after not in served(vendor):
            assert "Ahoy from the quay." in await says_hello(house, server, kind)
    assert served(vendor)[-1] == after


async def test_everybody_else_s_request_is_made_by_the_account_s_own_claude_code(
    house: House, server: Server, vendor: Vendor
) -> None:
    await house.login("claude-code", comes_back()).finish()
    await server.start()
    body = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}", "User-Agent": "boat/1"}) as session,
        session.post(f"{server.url}/v1/messages", json=body) as response,
    ):
        assert response.status == 200
        assert "Ahoy from the quay." in await response.text()
    asked = next(asked for asked in vendor.asked if asked.path == "/v1/messages")
    assert asked.headers["authorization"] == "Bearer sk-ant-oat01-fake-1"
    assert asked.headers["user-agent"].startswith("claude-cli/")
    assert "x-claude-code-session-id" in asked.headers
    assert KEY not in str(vendor.asked)


async def test_codex_asks_with_a_token_that_was_not_refreshed_for_long(house: House, server: Server) -> None:
    """The CLI that asks cannot refresh, and is not to try: whether it is time is the keeper's to say."""
    await house.login("codex", comes_back()).finish()
    path = house.folder / "homes" / house.homes[0] / "auth.json"
    saved = {**msgspec.json.decode(path.read_bytes()), "last_refresh": "2020-01-01T00:00:00Z"}
    path.write_bytes(msgspec.json.encode(saved))
    await server.start()
    assert "Ahoy from the quay." in await asks(server, "codex", 1)


async def test_a_login_made_while_the_server_runs_is_an_account_of_it(house: House, server: Server) -> None:
    await server.start()
    await house.login("claude-code", comes_back()).finish()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
        asyncio.timeout(SECONDS_MAX),
    ):
        while True:
            async with session.get(f"{server.url}/health", params={"detail": "1"}) as response:
                if "claude-code" in await response.text():
                    break
            await asyncio.sleep(0.05)
