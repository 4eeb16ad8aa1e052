from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from proxy.upstream import cli_login
from proxy.upstream.claude_home import KNOWN, LOGIN, furnish

SAVED = {"accessToken": "the-access", "refreshToken": "the-renewal", "expiresAt": 1, "scopes": ["user:inference"]}
BROAD = {**SAVED, "scopes": ["user:inference", "user:profile"]}


def account(folder: Path, **files: object) -> Path:
    home = folder / "account"
    home.mkdir()
    for name, content in files.items():
        (home / f".{name}.json").write_bytes(msgspec.json.encode(content))
    return home


def modes(*paths: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in paths]


async def test_the_login_without_what_could_renew_it(tmp_path: Path) -> None:
    home = account(tmp_path, credentials={"claudeAiOauth": BROAD, "mcpOAuth": {"x": "a-token-of-another"}})
    variables = await furnish(tmp_path, home, "")
    own = Path(variables["CLAUDE_CONFIG_DIR"])
    assert own.is_relative_to(tmp_path)
    assert own != home
    assert msgspec.json.decode((own / LOGIN).read_bytes()) == {"claudeAiOauth": {**SAVED, "refreshToken": ""}}
    assert os.listdir(own) == [LOGIN]  # noqa: PTH208 - a list of names is asked for
    assert modes(own, own / LOGIN) == [0o700, 0o600]
    assert b"the-renewal" in (home / LOGIN).read_bytes()


async def test_it_is_the_same_installation_and_brings_nothing_else_along(tmp_path: Path) -> None:
    told = {"userID": "u", "machineID": "m", "oauthAccount": {"accountUuid": "a"}}
    person = {"accountUuid": "a", "emailAddress": "ada@example.test", "displayName": "Ada", "fullName": "Ada L."}
    saved = {**told, "oauthAccount": person, "mcpServers": {"x": {}}}
    home = account(tmp_path, credentials={"claudeAiOauth": SAVED}, claude=saved)
    own = Path((await furnish(tmp_path, home, "the-token"))["CLAUDE_CONFIG_DIR"])
    assert msgspec.json.decode((own / KNOWN).read_bytes()) == told, "which account it is, but not who"


@pytest.mark.parametrize("saved", [b"", b"{", b"[]", b"{}", b'{"claudeAiOauth": 1}', b"\xff"])
async def test_what_is_no_login_serves_nobody(tmp_path: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_login, "LOOK_SECONDS", 0.0)
    home = account(tmp_path)
    (home / LOGIN).write_bytes(saved)
    with pytest.raises(ValueError, match=r"JSON|Invalid|Expected|truncated|utf-8|Object|empty"):
        await furnish(tmp_path, home, "")


async def test_no_login_is_an_error_of_the_system_s(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await furnish(tmp_path, account(tmp_path), "")
