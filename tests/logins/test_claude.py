"""Claude Code's own CLI logs in, against a vendor of our own."""

from __future__ import annotations

import stat

import aiohttp
import pytest

from auth.flow import Aborted, Done, Enter, ShowCode, Visit
from proxy.accounts.logout import log_out
from tests.logins.conftest import House
from tests.logins.person import Act, Login, asked_of, comes_back, does_nothing, pastes
from tests.logins.vendor import Person, Vendor


async def test_by_callback(house: House, vendor: Vendor) -> None:
    login = house.login("claude-code", comes_back())
    step = await login.finish()
    assert isinstance(step, Done)
    assert str(step.account) == "ada@example.test · max_20x · Harbour Works"
    assert isinstance(login.steps[0], Visit)
    assert asked_of(login.steps[0])["code_challenge_method"] == "S256"
    ((name, file),) = house.files.items()
    assert (file["type"], file["email"], file["plan"]) == ("claude-code", "ada@example.test", "max_20x")
    assert file["account"] == vendor.person.account
    assert house.homes == [file["home"]]
    assert login.run.added is not None
    assert (login.run.added.file, login.run.added.is_new) == (name, True)
    row = next(iter(house.desk.rows()))
    assert (row.provider, row.state, row.why) == ("claude-code", "ready", None)


async def test_its_home_is_private_and_its_file_holds_no_token(house: House) -> None:
    await house.login("claude-code", comes_back()).finish()
    home = house.folder / "homes" / house.homes[0]
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / ".credentials.json").stat().st_mode) == 0o600
    assert b"sk-ant-o" in (home / ".credentials.json").read_bytes()
    assert not any(b"sk-ant-o" in path.read_bytes() for path in house.folder.glob("*.json"))


async def test_by_a_pasted_code(house: House, vendor: Vendor) -> None:
    wrong = ("nonsense", "good-code", "good-code#", "good-code#of-another-login", "https://example.test/?code=x", "\0")
    login = house.login("claude-code", pastes(wrong=wrong), has_browser=False)
    assert isinstance(await login.finish(), Done)
    assert [type(step) for step in login.steps].count(Enter) == len(wrong)
    assert sum(asked.path == "/v1/oauth/token" for asked in vendor.asked) == 1, "a wrong code went to the vendor"


async def test_by_a_pasted_address(house: House, vendor: Vendor) -> None:
    assert isinstance(await house.login("claude-code", pastes(as_address=True)).finish(), Done)
    exchanged = next(asked.body for asked in vendor.asked if asked.path == "/v1/oauth/token")
    assert exchanged["redirect_uri"].startswith("http://localhost:"), "a code is good for the page it was made for"


async def test_by_the_box_of_the_local_page(house: House) -> None:
    async def act(login: Login, step: Visit | ShowCode) -> None:
        assert login.run.login is not None
        box = f"http://127.0.0.1:{login.run.login.port}/paste"
        async with aiohttp.ClientSession() as session:
            for text, status in (("x#y", 400), (f"good-code#{asked_of(step)['state']}", 200)):
                async with session.post(box, data={"answer": text}) as response:
                    assert response.status == status

    assert isinstance(await house.login("claude-code", act, has_browser=False).finish(), Done)


async def test_a_second_login_renews_the_first(house: House, vendor: Vendor) -> None:
    await house.login("claude-code", comes_back()).finish()
    (name,) = house.files
    house.desk.change(name, {"label": "mine", "note": "kept"})
    first = house.homes
    login = house.login("claude-code", comes_back())
    await login.finish()
    assert login.run.added is not None
    assert not login.run.added.is_new
    assert list(house.files) == [name]
    assert (house.files[name]["label"], house.files[name]["note"]) == ("mine", "kept")
    assert house.homes == [house.files[name]["home"]] != first
    vendor.person = Person(email="bea@example.test", account="another")
    await house.login("claude-code", comes_back()).finish()
    assert len(house.files) == len(house.homes) == 2


@pytest.mark.parametrize(
    ("act", "reason", "words"),
    [
        (comes_back(error="access_denied"), "declined", "consent was declined on Claude's page"),
        (comes_back(code="bad-code"), "wrong_code", "Claude refused the code"),
        (comes_back(state="forged"), "failed", "an answer of another login reached the claude CLI"),
    ],
)
async def test_each_failure_is_one_sentence(house: House, act: Act, reason: str, words: str) -> None:
    step = await house.login("claude-code", act).finish()
    assert isinstance(step, Aborted)
    assert step.reason == reason
    assert words in step.why
    assert (house.files, house.homes) == ({}, [])


async def test_a_wrong_pasted_code_is_refused_by_the_vendor(house: House) -> None:
    step = await house.login("claude-code", pastes("bad-code"), has_browser=False).finish()
    assert isinstance(step, Aborted)
    assert step.reason == "wrong_code"


async def test_another_account_than_expected(house: House, vendor: Vendor) -> None:
    step = await house.login("claude-code", comes_back(), expected="bea@example.test").finish()
    why = "this is ada@example.test, not bea@example.test; nothing was changed; what was granted is revoked"
    assert step == Aborted("wrong_account", why)
    assert vendor.revoked == ["sk-ant-ort01-fake-1"]
    assert (house.files, house.homes) == ({}, [])


async def test_nobody_comes(house: House) -> None:
    step = await house.login("claude-code", does_nothing, minutes=0.02).finish()
    assert isinstance(step, Aborted)
    assert step.reason == "timed_out"
    assert house.homes == []


async def test_cancelled(house: House) -> None:
    async def act(login: Login, _: Visit | ShowCode) -> None:
        assert login.run.login is not None
        login.run.login.cancel()

    assert await house.login("claude-code", act).finish() == Aborted("cancelled", "cancelled; nothing was changed")
    assert house.homes == []


async def test_logged_out_at_the_vendor_too(house: House, vendor: Vendor) -> None:
    await house.login("claude-code", comes_back()).finish()
    (name,) = house.files
    assert await log_out(house.desk, name, house.environment) == "logged out, and revoked at the provider"
    assert vendor.revoked == ["sk-ant-ort01-fake-1"]
    assert (house.files, house.homes) == ({}, [])


async def test_T24_no_secret_stands_on_a_command_line(house: House) -> None:
    seen: list[str] = []

    async def act(login: Login, step: Visit | ShowCode) -> None:
        await pastes()(login, step)
        seen.extend(house.processes())

    await house.login("claude-code", act, has_browser=False).finish()
    assert any("stream-json" in line for line in seen)
    assert not any("good-code" in line or "sk-ant" in line for line in seen)
