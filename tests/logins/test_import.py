"""Logins that are on the machine already are taken over: those of the real CLIs, and of the well-known system."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.logins.conftest import House
from tests.logins.person import comes_back
from tests.logins.stage import MODELS, Server, asks
from tests.logins.test_command import Shell
from tests.logins.vendor import Asked, Vendor

REFRESH = Asked(host="", method="POST", path="", body={"grant_type": "refresh_token"})
FOLDERS = {"claude-code": ".claude", "codex": ".codex", "gemini-cli": ".gemini"}


@pytest.fixture
async def shell(house: House) -> AsyncIterator[Shell]:
    shell = Shell(house)
    yield shell
    await shell.close()


async def at_its_own_place(house: House, kind: str) -> Path:
    """Somebody has logged in with the CLI itself, long before us. Its folder."""
    await house.login(kind, comes_back()).finish()
    ((name, file),) = house.files.items()
    home = house.folder / "homes" / file["home"]
    folder = house.folder.parent / FOLDERS[kind]
    if kind == "claude-code":
        shutil.move(home / ".claude.json", folder.parent / ".claude.json")
    shutil.move(home / ".gemini" if kind == "gemini-cli" else home, folder)
    house.desk.remove(name)
    assert (house.files, house.homes) == ({}, [])
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", MODELS)
async def test_a_cli_s_own_login_is_taken_over_where_that_is_wanted(
    house: House, shell: Shell, server: Server, vendor: Vendor, kind: str
) -> None:
    folder = await at_its_own_place(house, kind)
    before = snapshot(folder)
    await shell.start("import")
    assert await shell.ends() == 0
    assert "a login should have one holder" in shell.told
    assert "take it over: proxy import --logins" in shell.told
    assert house.files == {}
    vendor.asked.clear()
    shell.told = ""
    await shell.start("import", "--logins")
    assert await shell.ends() == 0
    ((name, file),) = house.files.items()
    assert f": taken over as {name}; a login should have one holder: from now on" in shell.told, shell.told
    assert (file["type"], file["email"]) == (kind, "ada@example.test")
    assert snapshot(folder) == before, "nothing is changed there"
    assert not any(asked.body.get("grant_type") == "refresh_token" for asked in vendor.asked)
    shell.told = ""
    await shell.start("import", "--logins")
    assert await shell.ends() == 0
    assert f"is there already, in {name}" in shell.told
    assert house.homes == [file["home"]]
    await server.start()
    assert "Ahoy from the quay." in await asks(server, kind, 1)


def foreign(kind: str, vendor: Vendor) -> dict[str, Any]:
    """As the well-known system writes it."""
    common = {"type": kind, "email": "ada@example.test", "expired": "2099-01-01T00:00:00Z", "disabled": False}
    if kind == "claude":
        _, told = vendor.claude_token(REFRESH)
        return {**common, "account_uuid": vendor.person.account, **_tokens(told)}
    _, told = vendor.openai_token(REFRESH)
    return {**common, "account_id": vendor.person.account, **_tokens(told)}


def _tokens(told: Any) -> dict[str, str]:
    return {name: told[name] for name in ("id_token", "access_token", "refresh_token") if name in told}


@pytest.mark.parametrize(("theirs", "kind"), [("claude", "claude-code"), ("codex", "codex")])
async def test_one_of_the_well_known_system_is_taken_over(
    house: House, shell: Shell, server: Server, vendor: Vendor, tmp_path: Path, theirs: str, kind: str
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / f"{theirs}-ada@example.test.json").write_bytes(msgspec.json.encode(foreign(theirs, vendor)))
    await shell.start("import", "--logins", "--from", str(folder))
    assert await shell.ends() == 0
    assert "a login should have one holder: use it from here on, and remove it there" in shell.told
    ((name, file),) = house.files.items()
    assert f"taken over as {name}" in shell.told
    assert (file["type"], file["email"]) == (kind, "ada@example.test")
    await server.start()
    assert "Ahoy from the quay." in await asks(server, kind, 1)


async def test_what_its_cli_does_not_take_changes_nothing(house: House, shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / ".codex"
    folder.mkdir()
    (folder / "auth.json").write_text('{"tokens": {"refresh_token": "x", "access_token": "", "id_token": "nonsense"}}')
    await shell.start("import", "--logins")
    assert await shell.ends() == 0
    assert "is not taken over: its CLI does not take it: " in shell.told, shell.told
    assert (house.files, house.homes) == ({}, [])
