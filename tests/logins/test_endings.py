"""How a login can end, for those kinds whose own tests do not say it: each in one clear sentence, with nothing left."""

from __future__ import annotations

import pytest

from auth.flow import Aborted, Done, ShowCode, Visit
from tests.logins.conftest import House
from tests.logins.person import Login, comes_back, does_nothing
from tests.logins.vendor import Vendor

KINDS = ("codex", "gemini-cli")
_WRONG = "this is ada@example.test, not bea@example.test; nothing was changed"
WRONG_ACCOUNT = {
    "codex": f"{_WRONG}; what was granted is revoked",
    "gemini-cli": f"{_WRONG}; it is deleted here, and can be revoked in https://myaccount.google.com/connections",
}
"""Gemini CLI cannot revoke, and with Google's endpoint every other login of the same person's would end, too."""


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_comes(house: House, kind: str) -> None:
    step = await house.login(kind, does_nothing, minutes=0.1).finish()
    assert isinstance(step, Aborted)
    assert step.reason == "timed_out"
    assert step.why.startswith("nobody has finished the login within ")
    assert (house.files, house.homes) == ({}, [])


@pytest.mark.parametrize("kind", KINDS)
async def test_another_account_than_expected(house: House, vendor: Vendor, kind: str) -> None:
    step = await house.login(kind, comes_back(), expected="bea@example.test").finish()
    assert step == Aborted("wrong_account", WRONG_ACCOUNT[kind])
    assert vendor.revoked == ([] if kind == "gemini-cli" else ["rt-fake-1"])
    assert (house.files, house.homes) == ({}, [])


@pytest.mark.parametrize("kind", KINDS)
async def test_the_account_that_is_expected(house: House, kind: str) -> None:
    assert isinstance(await house.login(kind, comes_back(), expected="ADA@example.test").finish(), Done)


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled(house: House, kind: str) -> None:
    async def act(login: Login, _: Visit | ShowCode) -> None:
        assert login.run.login is not None
        login.run.login.cancel()

    assert await house.login(kind, act).finish() == Aborted("cancelled", "cancelled; nothing was changed")
    assert (house.files, house.homes) == ({}, [])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_second_login_renews_the_first(house: House, kind: str) -> None:
    await house.login(kind, comes_back()).finish()
    first = house.homes
    again = house.login(kind, comes_back())
    await again.finish()
    assert again.run.added is not None
    assert not again.run.added.is_new
    assert len(house.files) == 1
    assert len(house.homes) == 1
    assert house.homes != first
