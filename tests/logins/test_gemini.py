"""Gemini's own CLI logs in, against a vendor of our own. The browser comes back to a port of ours, 8085."""

from __future__ import annotations

import pytest

from auth.flow import Aborted, Done, ShowCode, Visit
from auth.logins.gemini import CALLBACK_PORT, ISSUER
from auth.ports import take
from proxy.accounts.logout import log_out
from tests.logins.conftest import House
from tests.logins.person import Act, Login, asked_of, comes_back, does_nothing, pastes
from tests.logins.vendor import Vendor


async def test_by_callback(house: House, vendor: Vendor) -> None:
    login = house.login("gemini-cli", comes_back(iss=ISSUER), project="harbour-1")
    step = await login.finish()
    assert isinstance(step, Done)
    assert str(step.account) == "ada@example.test · Gemini Code Assist Standard"
    ((_, file),) = house.files.items()
    assert (file["type"], file["account"], file["project-id"]) == ("gemini-cli", "ada@example.test", "harbour-1")
    assert {asked.path for asked in vendor.asked if asked.host == "cloudcode-pa.googleapis.com"} >= {
        "/v1internal:loadCodeAssist"
    }
    ((status, page),) = login.answers
    assert status == 200
    assert "You can close this page" in page


async def test_the_project_that_google_assigns_is_kept(house: House) -> None:
    """Whatever the person says: the CLI asks with Google's."""
    await house.login("gemini-cli", comes_back(), project="of-the-person").finish()
    await house.login("gemini-cli", comes_back()).finish()
    ((_, file),) = house.files.items()
    assert file["project-id"] == "harbour-1"


async def test_T25_forged_callbacks_change_nothing(house: House, vendor: Vendor) -> None:
    """The CLI itself would give up at the first of them."""

    async def act(login: Login, step: Visit | ShowCode) -> None:
        back, state = asked_of(step)["redirect_uri"], asked_of(step)["state"]
        forged: list[dict[str, str]] = [{}, {"code": "evil"}, {"error": "access_denied"}, {"state": state}]
        forged += [{"code": "evil", "state": each} for each in ("", "x", state[:-1], state + "0", state.upper())]
        forged += [{"code": "evil", "state": state, "iss": "https://evil.example"}]
        for query in forged:
            status, page = await login.browse(back, **query)
            assert status == 400
            assert "evil" not in page
        await login.browse(f"{back}/../favicon.ico")
        await comes_back()(login, step)

    assert isinstance(await house.login("gemini-cli", act).finish(), Done)
    assert sum(asked.path == "/token" for asked in vendor.asked) == 1


@pytest.mark.parametrize("as_address", [True, False])
async def test_by_paste(house: House, as_address: bool) -> None:
    act = pastes(wrong=("good-code",), as_address=as_address)
    assert isinstance(await house.login("gemini-cli", act, has_browser=False).finish(), Done)


@pytest.mark.parametrize(
    ("act", "reason", "words"),
    [
        (comes_back(error="access_denied"), "declined", "consent was declined"),
        (comes_back("bad-code"), "wrong_code", "Google refused the code"),
    ],
)
async def test_each_failure_is_one_sentence(house: House, act: Act, reason: str, words: str) -> None:
    step = await house.login("gemini-cli", act).finish()
    assert isinstance(step, Aborted)
    assert step.reason == reason
    assert words in step.why
    assert (house.files, house.homes) == ({}, [])


async def test_an_account_that_google_no_longer_serves(house: House, vendor: Vendor) -> None:
    vendor.is_client_supported = False
    step = await house.login("gemini-cli", comes_back()).finish()
    assert isinstance(step, Aborted)
    assert "This client is no longer supported for individuals." in step.why
    assert house.homes == []


async def test_T26_a_taken_port_is_told_before_anything_is_opened(house: House) -> None:
    squatter = take(CALLBACK_PORT)
    try:
        login = house.login("gemini-cli", does_nothing)
        step = await login.finish()
    finally:
        for each in squatter:
            each.close()
    assert isinstance(step, Aborted)
    assert step.reason == "port_taken"
    assert login.steps == [step]


async def test_logged_out_here(house: House) -> None:
    await house.login("gemini-cli", comes_back()).finish()
    (name,) = house.files
    assert "https://myaccount.google.com/connections" in await log_out(house.desk, name, house.environment)
    assert (house.files, house.homes) == ({}, [])
