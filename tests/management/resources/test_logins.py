"""Logins over the API. The CLI that is driven is a stand-in here; `tests/logins` does the same with the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from auth.flow import Deliver, ShowCode, Visit
from auth.identity import Identity
from auth.logins.base import LoginFailed, Offer, Setting, state_of
from auth.logins.table import CODEX_CLI, LOGIN_KINDS
from management.resources.logins import PANEL_NAMES
from tests.auth.issuer import Issuer
from tests.pace import SECONDS_MAX

PAGE = "https://vendor.test/authorize?client_id=x&state=the-state-of-this-login"


class Driver:
    """Finishes when it is given ``good``, and fails with ``bad``."""

    door = None
    is_door_needed = False

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._code: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self) -> Offer:
        if self._setting.is_device:
            return Offer(step=ShowCode("https://vendor.test/device", "ABCD-1234"))
        return Offer(step=Visit(PAGE, "Paste it"), state=state_of(PAGE))

    async def deliver(self, answer: Deliver) -> None:
        self._code.set_result(answer.code)

    async def completed(self) -> None:
        if await self._code != "good":
            raise LoginFailed("wrong_code", "the vendor refused the code")

    async def identity(self) -> Identity:
        (self._setting.home / "auth.json").write_text("{}")
        return Identity(account="acc-1", email="ada@example.test", plan="pro")

    async def close(self) -> None:
        return


@pytest.fixture
async def stage(open_stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    program = tmp_path / "bin" / "codex"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setitem(LOGIN_KINDS, "codex", replace(CODEX_CLI, driver=Driver))
    async with open_stage("") as stage:
        yield stage


async def begun(stage: Any, **wish: Any) -> Any:
    answer = await stage.ask("POST", "/logins", {"kind": "codex", **wish})
    assert answer.status == 200, answer.body
    return answer.json


async def ended(stage: Any, ticket: str) -> Any:
    async with asyncio.timeout(SECONDS_MAX):
        while (told := await stage.get(f"/logins/{ticket}"))["step"] not in {"done", "aborted"}:  # noqa: ASYNC110 - as a panel asks
            await asyncio.sleep(0.01)
    return told


async def test_a_login_from_its_begin_to_the_account(stage: Any) -> None:
    ticket = await begun(stage)
    assert (ticket["step"], ticket["message"]) == ("visit", "")
    assert (ticket["url"], ticket["prompt"]) == (PAGE, "Paste it")
    wrong = (await stage.ask("POST", f"/logins/{ticket['id']}/paste", {"text": "good#another-state"})).json
    assert (wrong["accepted"], wrong["step"]) == (False, "enter")
    assert "another login" in wrong["message"]
    right = await stage.ask("POST", f"/logins/{ticket['id']}/paste", {"text": "good#the-state-of-this-login"})
    assert right.json["accepted"] is True
    told = await ended(stage, ticket["id"])
    assert (told["step"], told["message"], told["renewed"]) == ("done", "ada@example.test · pro", False)
    files = (await stage.get("/auth-files?source=file"))["files"]
    assert [(each["name"], each["type"], each["email"]) for each in files] == [
        (told["file"], "codex", "ada@example.test")
    ]
    assert [each["id"] for each in (await stage.get("/logins"))["logins"]] == [ticket["id"]]


async def test_the_same_account_again_is_renewed(stage: Any) -> None:
    for is_renewed in (False, True):
        ticket = await begun(stage)
        await stage.ask("POST", f"/logins/{ticket['id']}/paste", {"text": "good#the-state-of-this-login"})
        told = await ended(stage, ticket["id"])
        assert told["renewed"] is is_renewed
    assert len(list(stage.accounts.glob("*.json"))) == 1


async def test_by_device_code_and_cancelled(stage: Any) -> None:
    ticket = await begun(stage, device=True)
    assert (ticket["step"], ticket["code"], ticket["url"]) == ("show-code", "ABCD-1234", "https://vendor.test/device")
    assert (await stage.ask("DELETE", f"/logins/{ticket['id']}")).json == {"status": "ok", "cancelled": True}
    told = await ended(stage, ticket["id"])
    assert (told["step"], told["reason"]) == ("aborted", "cancelled")
    assert not list(stage.accounts.glob("homes/*"))


async def test_what_cannot_be_begun_is_said(stage: Any) -> None:
    for wish, words in (
        ({"kind": "nobody"}, "there is no login of the kind 'nobody'"),
        ({"kind": "claude-code", "device": True}, "no login by device code"),
        ({"kind": "codex", "browser": "there"}, "here or elsewhere"),
        ({"kind": "codex", "colour": 1}, "invalid body"),
    ):
        answer = await stage.ask("POST", "/logins", wish)
        assert answer.status == 400
        assert words in answer.json["error"]
    assert (await stage.ask("GET", "/logins/none")).status == 404


async def test_a_cli_that_is_missing_is_named(stage: Any) -> None:
    ticket = await begun(stage, kind="claude-code")
    assert (ticket["step"], ticket["reason"]) == ("aborted", "cli_missing")
    assert "proxy cli install claude" in ticket["message"]


async def test_no_more_than_some_at_a_time(stage: Any) -> None:
    for _ in range(8):
        await begun(stage, device=True)
    answer = await stage.ask("POST", "/logins", {"kind": "codex", "device": True})
    assert (answer.status, "8 logins" in answer.json["error"]) == (400, True)


# in the words of panels


def test_whatever_panels_call_a_provider_is_a_kind_of_login() -> None:
    assert {kind for kind, _ in PANEL_NAMES.values()} == set(LOGIN_KINDS)
    assert {kind for kind, is_device in PANEL_NAMES.values() if is_device} == {
        name for name, kind in LOGIN_KINDS.items() if not kind.has_browser
    }


async def test_a_panel_logs_in(stage: Any) -> None:
    begun = await stage.get("/codex-auth-url?is_webui=true")
    assert begun == {"status": "ok", "url": PAGE, "state": "the-state-of-this-login"}
    assert await stage.get("/get-auth-status?state=the-state-of-this-login") == {"status": "wait"}
    sent = {
        "provider": "codex",
        "redirect_url": "http://localhost:1455/auth/callback?code=good&state=the-state-of-this-login",
    }
    assert (await stage.ask("POST", "/oauth-callback", sent)).json == {"status": "ok"}
    await ended(stage, "the-state-of-this-login")
    assert await stage.get("/get-auth-status?state=the-state-of-this-login") == {"status": "ok"}
    again = await stage.ask("POST", "/oauth-callback", sent)
    assert (again.status, again.json["status"]) == (409, "error")


async def test_a_panel_hears_what_went_wrong(stage: Any) -> None:
    await stage.get("/codex-auth-url")
    sent = {"provider": "codex", "code": "bad", "state": "the-state-of-this-login"}
    assert (await stage.ask("POST", "/oauth-callback", sent)).status == 200
    await ended(stage, "the-state-of-this-login")
    status = await stage.get("/get-auth-status?state=the-state-of-this-login")
    assert status == {"status": "error", "error": "the vendor refused the code"}


async def test_T25_a_callback_without_the_state_changes_nothing(stage: Any) -> None:
    await stage.get("/codex-auth-url")
    for sent, status in (
        ({"provider": "codex", "code": "good"}, 400),
        ({"provider": "codex", "code": "good", "state": "forged"}, 404),
        (
            {
                "provider": "codex",
                "redirect_url": "http://localhost:1455/?code=good&state=a&state=the-state-of-this-login",
            },
            400,
        ),
        ({"provider": "codex", "error": "access_denied"}, 400),
    ):
        for answer in (
            await stage.ask("POST", "/oauth-callback", sent),
            await stage.ask("GET", f"/oauth-callback?{urlencode(sent)}"),
        ):
            assert (answer.status, answer.json["status"]) == (status, "error")
    assert await stage.get("/get-auth-status?state=the-state-of-this-login") == {"status": "wait"}
    without_key = await stage.ask("POST", "/oauth-callback", {"state": "the-state-of-this-login"}, key=None)
    assert without_key.status == 401


async def test_a_callback_by_query_counts_once_and_needs_the_key(stage: Any) -> None:
    await stage.get("/codex-auth-url")
    path = "/oauth-callback?provider=codex&code=good&state=the-state-of-this-login"
    assert (await stage.ask("GET", path, key=None)).status == 401
    assert (await stage.ask("GET", path)).json == {"status": "ok"}
    await ended(stage, "the-state-of-this-login")
    assert (await stage.ask("GET", path)).status == 409


async def test_what_cannot_be_logged_in_to_says_so(stage: Any) -> None:
    told = await stage.ask("GET", "/antigravity-auth-url?is_webui=true")
    assert (told.status, "no Antigravity accounts" in told.json["error"]) == (409, True)


async def test_a_panel_cancels(stage: Any) -> None:
    await stage.get("/codex-auth-url")
    ended_session = await stage.ask("DELETE", "/oauth-session?state=the-state-of-this-login")
    assert ended_session.json == {"status": "ok", "cancelled": True}
    assert (await stage.ask("DELETE", "/oauth-session")).status == 400
    assert await stage.get("/get-auth-status") == {"status": "ok"}
    assert (await stage.ask("GET", "/get-auth-status?state=a/b")).status == 400


async def test_a_begun_login_is_in_the_audit_log(stage: Any) -> None:
    await begun(stage, device=True)
    await stage.get("/codex-auth-url")
    lines = [msgspec.json.decode(line) for line in (stage.accounts / "logs" / "audit.log").read_bytes().splitlines()]
    assert [line["action"] for line in lines] == ["POST /logins", "GET /codex-auth-url"]
    assert "the-state-of-this-login" not in (stage.accounts / "logs" / "audit.log").read_text()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as issuer:
        yield issuer


def client_at(issuer: Issuer, **more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    gate = {"provider": "gate", "base-url": "http://127.0.0.1:1/v1"}
    return {"issuer": issuer.name, "client-id": issuer.client_id, **gate, **named}


async def test_a_client_of_one_s_own_logs_in_and_is_renewed(stage: Any, issuer: Issuer) -> None:
    ticket = await begun(stage, kind="oidc", client=client_at(issuer))
    assert ticket["step"] == "visit"
    answer = await stage.ask("POST", f"/logins/{ticket['id']}/paste", {"text": issuer.consent(ticket["url"])})
    assert answer.json["accepted"]
    told = await ended(stage, ticket["id"])
    assert (told["step"], told["message"], told["renewed"]) == ("done", "ada@example.com", False)

    again = await begun(stage, kind="oidc", renew=told["file"])
    assert "login_hint=ada%40example.com" in again["url"]
    await stage.ask("POST", f"/logins/{again['id']}/paste", {"text": issuer.consent(again["url"])})
    told = await ended(stage, again["id"])
    assert (told["step"], told["renewed"]) == ("done", True)


async def test_a_client_that_is_not_told_whole_is_refused(stage: Any, issuer: Issuer) -> None:
    client = {name: value for name, value in client_at(issuer).items() if name != "issuer"}
    answer = await stage.ask("POST", "/logins", {"kind": "oidc", "client": client})
    assert (answer.status, "needs issuer" in str(answer.json)) == (400, True), answer.body
    answer = await stage.ask("POST", "/logins", {"kind": "oidc", "renew": "nobody"})
    assert (answer.status, "no account is called" in str(answer.json)) == (400, True), answer.body
