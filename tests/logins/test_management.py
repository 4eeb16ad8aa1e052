"""Logins over the management API, as scripts and panels ask for them: the real server, and the real CLIs."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.logins.conftest import MODULES, House, until
from tests.logins.person import asked_at, browse
from tests.logins.stage import MODELS, Manager, Server, asks
from tests.logins.vendor import Person, Vendor

IN_THEIR_WORDS = {"claude-code": "anthropic", "codex": "codex", "gemini-cli": "gemini-cli"}
"""What the well-known API calls them."""
BY_DEVICE = {"kimi-code": "kimi", "grok": "xai", "copilot": "github-copilot"}
HOSTS = {"kimi-code": "auth.kimi.com", "grok": "auth.x.ai", "copilot": "github.com"}
CLIS = MODULES / ".more" / "clis"
BAD_CODES = {
    "claude-code": "Claude refused the code",
    "codex": "ChatGPT refused the code",
    "gemini-cli": "Google refused the code",
}


@pytest.fixture
async def manager(server: Server) -> Manager:
    await server.start()
    return Manager(server)


def back_of(url: str, **answer: str) -> str:
    """The address that the vendor's page leads the browser back to."""
    asked = asked_at(url)
    return f"{asked['redirect_uri']}?{urlencode({'state': asked['state'], **answer})}"


async def serves(manager: Manager, house: House, kind: str) -> None:
    """It is listed, and any client's request is answered with it."""
    ((name, file),) = house.files.items()
    (listed,) = (await manager.get("/auth-files"))["files"]
    assert (listed["name"], listed["type"], listed["email"]) == (name, kind, "ada@example.test")
    assert listed["status"] == "active", listed
    assert house.homes == [file["home"]]
    assert "Ahoy from the quay." in await asks(manager.server, kind, 1)


@pytest.mark.parametrize("kind", MODELS)
async def test_by_callback_and_once_more(manager: Manager, house: House, kind: str) -> None:
    begun = await manager.begin(kind, browser="here")
    assert begun["step"] == "visit"
    status, _ = await browse(back_of(begun["url"], code="good-code"))
    assert status < 400
    told = await manager.ended(begun["id"])
    assert (told["step"], told["renewed"], told["file"]) == ("done", False, next(iter(house.files))), told
    assert told["message"].startswith("ada@example.test")
    await serves(manager, house, kind)
    again = await manager.begin(kind, browser="here")
    await browse(back_of(again["url"], code="good-code"))
    told = await manager.ended(again["id"])
    assert (told["step"], told["renewed"]) == ("done", True), told
    await serves(manager, house, kind)


@pytest.mark.parametrize("kind", MODELS)
async def test_by_paste(manager: Manager, house: House, vendor: Vendor, kind: str) -> None:
    """What belongs to another login is refused, and asked for again."""
    begun = await manager.begin(kind)
    for wrong in ("nonsense", "good-code#of-another-login"):
        status, told = await manager.ask("POST", f"/logins/{begun['id']}/paste", {"text": wrong})
        assert (status, told["accepted"], told["step"]) == (200, False, "enter")
        assert told["message"]
    text = f"good-code#{asked_at(begun['url'])['state']}"
    status, told = await manager.ask("POST", f"/logins/{begun['id']}/paste", {"text": text})
    assert (status, told["accepted"]) == (200, True), told
    assert (await manager.ended(begun["id"]))["step"] == "done"
    assert sum(asked.body.get("grant_type") == "authorization_code" for asked in vendor.asked) == 1
    await serves(manager, house, kind)


@pytest.mark.parametrize(("kind", "in_parts"), [*((kind, False) for kind in MODELS), ("claude-code", True)])
async def test_in_the_words_of_the_well_known_api(manager: Manager, house: House, kind: str, in_parts: bool) -> None:
    """Its panels show the page, and send the address that the browser could not open, or its parts."""
    begun = await manager.get(f"/{IN_THEIR_WORDS[kind]}-auth-url?is_webui=true")
    state = f"?state={begun['state']}"
    assert (begun["status"], begun["state"]) == ("ok", asked_at(begun["url"])["state"])
    assert await manager.get(f"/get-auth-status{state}") == {"status": "wait"}
    sent = {"provider": IN_THEIR_WORDS[kind], "redirect_url": back_of(begun["url"], code="good-code")}
    forged = sent["redirect_url"].replace(begun["state"], "another-state")
    assert (await manager.ask("POST", "/oauth-callback", {**sent, "redirect_url": forged}))[0] == 404
    if in_parts:
        sent |= {"redirect_url": "", "code": "good-code", "state": begun["state"]}
    assert await manager.ask("POST", "/oauth-callback", sent) == (200, {"status": "ok"})
    told = await manager.ended(begun["state"])
    assert await manager.get(f"/get-auth-status{state}") == {"status": "ok"}, told
    assert (await manager.ask("POST", "/oauth-callback", sent))[0] == 409
    await serves(manager, house, kind)


async def test_codex_by_device_code(manager: Manager, house: House, vendor: Vendor) -> None:
    begun = await manager.begin("codex", device=True)
    assert (begun["step"], begun["code"]) == ("show-code", "ABCD-12345")
    assert begun["url"] == "https://auth.openai.com/codex/device"
    vendor.is_device_confirmed = True
    assert (await manager.ended(begun["id"]))["step"] == "done"
    await serves(manager, house, "codex")


@pytest.mark.skipif(not CLIS.exists(), reason="`make test-clients` installs them")
@pytest.mark.parametrize("kind", BY_DEVICE)
async def test_those_with_a_device_code_only(house: House, server: Server, vendor: Vendor, kind: str) -> None:
    house.folder.mkdir(mode=0o700)
    (house.folder / "clis").symlink_to(CLIS)
    await server.start()
    manager = Manager(server)
    begun = await manager.get(f"/{BY_DEVICE[kind]}-auth-url")
    assert (begun["flow"], begun["user_code"]) == ("device", "ABCD-1234")
    assert begun["url"].startswith(f"https://{HOSTS[kind]}/device")
    vendor.is_device_confirmed = True
    told = await manager.ended(begun["state"])
    assert told["step"] == "done", told
    (listed,) = (await manager.get("/auth-files"))["files"]
    assert (listed["type"], listed["status"]) == (kind, "unused")
    assert "no client is served with it" in listed["status_message"]


@pytest.mark.parametrize("kind", MODELS)
async def test_cancelled(manager: Manager, house: House, kind: str) -> None:
    begun = await manager.begin(kind)
    assert house.processes()
    assert await manager.ask("DELETE", f"/logins/{begun['id']}") == (200, {"status": "ok", "cancelled": True})
    told = await manager.ended(begun["id"])
    assert (told["reason"], told["message"]) == ("cancelled", "cancelled; nothing was changed")
    assert (house.files, house.homes) == ({}, [])
    begun = await manager.get(f"/{IN_THEIR_WORDS[kind]}-auth-url")
    assert (await manager.ask("DELETE", f"/oauth-session?state={begun['state']}"))[1]["cancelled"] is True
    await manager.ended(begun["state"])
    assert (house.files, house.homes) == ({}, [])


@pytest.mark.parametrize("kind", MODELS)
async def test_a_wrong_code(manager: Manager, house: House, kind: str) -> None:
    begun = await manager.begin(kind)
    text = f"bad-code#{asked_at(begun['url'])['state']}"
    await manager.ask("POST", f"/logins/{begun['id']}/paste", {"text": text})
    told = await manager.ended(begun["id"])
    assert (told["step"], told["reason"]) == ("aborted", "wrong_code")
    assert BAD_CODES[kind] in told["message"]
    assert (house.files, house.homes) == ({}, [])


@pytest.mark.parametrize("kind", MODELS)
async def test_declined(manager: Manager, house: House, kind: str) -> None:
    """In the browser of this machine, and of another one."""
    begun = await manager.begin(kind, browser="here")
    await browse(back_of(begun["url"], error="access_denied"))
    told = await manager.ended(begun["id"])
    assert (told["step"], told["reason"]) == ("aborted", "declined")
    assert "consent was declined" in told["message"]
    begun = await manager.get(f"/{IN_THEIR_WORDS[kind]}-auth-url")
    sent = {"provider": IN_THEIR_WORDS[kind], "state": begun["state"], "error": "access_denied"}
    assert await manager.ask("POST", "/oauth-callback", sent) == (200, {"status": "ok"})
    told = await manager.ended(begun["state"])
    assert (told["reason"], "consent was declined" in told["message"]) == ("declined", True)
    assert (house.files, house.homes) == ({}, [])


async def test_several_at_once(manager: Manager, house: House, vendor: Vendor) -> None:
    """One port is for one login: whoever comes second is told who has it. Claude Code has a port for each."""
    both = [await manager.begin("claude-code", browser="here") for _ in range(2)]
    codex = await manager.begin("codex", browser="here")
    late = await manager.begin("codex", browser="here")
    assert (late["step"], late["reason"]) == ("aborted", "port_taken")
    assert "port 1455 is taken by codex" in late["message"]
    status, told = await manager.ask("GET", "/codex-auth-url")
    assert (status, "port 1455 is taken" in told["error"]) == (409, True)
    assert len((await manager.get("/logins"))["logins"]) == 5
    people = [("ada@example.test", both[1]), ("bea@example.test", both[0]), ("cem@example.test", codex)]
    for email, begun in people:
        vendor.person = Person(email=email, account=f"of-{email}")
        await browse(back_of(begun["url"], code="good-code"))
        told = await manager.ended(begun["id"])
        assert (told["step"], told["message"].split(" ")[0]) == ("done", email)
    listed = (await manager.get("/auth-files"))["files"]
    assert sorted((each["email"], each["type"]) for each in listed) == [
        ("ada@example.test", "claude-code"), ("bea@example.test", "claude-code"), ("cem@example.test", "codex"),
    ]  # fmt: skip
    assert len(house.homes) == 3


async def test_a_server_that_ends_takes_its_logins_along(manager: Manager, house: House) -> None:
    for kind in MODELS:
        await manager.begin(kind)
    await manager.server.close()
    await until(lambda: not house.processes())
    assert (house.files, house.homes) == ({}, [])
