"""Codex's own CLI logs in, against a vendor of our own. In the browser it comes back to the CLI's own port, 1455."""

from __future__ import annotations

import asyncio
import os
import stat

import pytest

from auth.flow import Aborted, Done, Enter, ShowCode, Visit
from auth.logins.codex import CALLBACK_PORT
from auth.ports import take
from proxy.accounts.logout import log_out
from tests.logins.conftest import House
from tests.logins.person import Act, Login, asked_of, comes_back, does_nothing, pastes
from tests.logins.vendor import Vendor


async def test_by_callback(house: House, vendor: Vendor) -> None:
    login = house.login("codex", comes_back())
    step = await login.finish()
    assert isinstance(step, Done)
    assert str(step.account) == "ada@example.test · pro · Personal"
    ((_, file),) = house.files.items()
    assert (file["type"], file["plan"], file["account"]) == ("codex", "pro", f"{vendor.person.account}/user-1")
    assert stat.S_IMODE((house.folder / "homes" / file["home"] / "auth.json").stat().st_mode) == 0o600


async def test_by_device_code(house: House, vendor: Vendor) -> None:
    async def act(_: Login, step: Visit | ShowCode) -> None:
        assert step == ShowCode("https://auth.openai.com/codex/device", "ABCD-12345")
        vendor.is_device_confirmed = True

    assert isinstance(await house.login("codex", act, is_device=True).finish(), Done)
    assert len(house.files) == 1


async def test_T25_a_forged_callback_changes_nothing(house: House) -> None:
    async def act(login: Login, step: Visit | ShowCode) -> None:
        back = asked_of(step)["redirect_uri"]
        for forged in ({"code": "evil", "state": "forged"}, {"code": "evil"}, {"error": "access_denied"}, {}):
            status, _ = await login.browse(back, **forged)
            assert status == 400
        await comes_back()(login, step)

    assert isinstance(await house.login("codex", act).finish(), Done)


@pytest.mark.parametrize("as_address", [True, False])
async def test_by_paste(house: House, vendor: Vendor, as_address: bool) -> None:
    login = house.login("codex", pastes(wrong=("x#y",), as_address=as_address), has_browser=False)
    assert isinstance(await login.finish(), Done)
    assert any(isinstance(step, Enter) for step in login.steps)
    assert sum(asked.body.get("grant_type") == "authorization_code" for asked in vendor.asked) == 1


@pytest.mark.parametrize(
    ("act", "reason", "words"),
    [
        (comes_back(error="access_denied"), "declined", "consent was declined on ChatGPT's page"),
        (comes_back("bad-code"), "wrong_code", "ChatGPT refused the code"),
        (pastes("bad-code"), "wrong_code", "ChatGPT refused the code"),
    ],
)
async def test_each_failure_is_one_sentence(house: House, act: Act, reason: str, words: str) -> None:
    step = await house.login("codex", act).finish()
    assert isinstance(step, Aborted)
    assert step.reason == reason
    assert words in step.why
    assert (house.files, house.homes) == ({}, [])


async def test_a_declined_device_code(house: House, vendor: Vendor) -> None:
    vendor.is_device_denied = True
    step = await house.login("codex", does_nothing, is_device=True).finish()
    assert isinstance(step, Aborted)
    assert step.reason == "declined"


async def test_T26_a_taken_port_is_named_with_its_owner(house: House) -> None:
    squatter = take(CALLBACK_PORT)
    try:
        step = await house.login("codex", does_nothing).finish()
    finally:
        for each in squatter:
            each.close()
    assert isinstance(step, Aborted)
    assert step.reason == "port_taken"
    assert f"port {CALLBACK_PORT} is taken by " in step.why
    assert f"(process {os.getpid()})" in step.why


async def test_several_logins_at_once_do_not_disturb_each_other(house: House, vendor: Vendor) -> None:
    """Two with Codex: the second is told who has the port, and the first goes on. Other vendors have other ports."""

    async def slow(login: Login, step: Visit | ShowCode) -> None:
        second = await house.login("codex", does_nothing).finish()
        assert isinstance(second, Aborted)
        assert second.reason == "port_taken"
        assert "codex" in second.why
        others = [house.login(kind, comes_back()) for kind in ("claude-code", "gemini-cli")]
        assert all(isinstance(each, Done) for each in await asyncio.gather(*(other.finish() for other in others)))
        vendor.is_device_confirmed = True
        assert isinstance(await house.login("codex", does_nothing, is_device=True).finish(), Done)
        await comes_back()(login, step)

    assert isinstance(await house.login("codex", slow).finish(), Done)
    assert {file["type"] for file in house.files.values()} == {"claude-code", "codex", "gemini-cli"}
    assert len(house.files) == len(house.homes) == 3


async def test_logged_out_at_the_vendor_too(house: House, vendor: Vendor) -> None:
    await house.login("codex", comes_back()).finish()
    (name,) = house.files
    assert await log_out(house.desk, name, house.environment) == "logged out, and revoked at the provider"
    assert vendor.revoked == ["rt-fake-1"]
    assert (house.files, house.homes) == ({}, [])
