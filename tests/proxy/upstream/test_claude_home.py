from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from proxy.upstream.claude_home import KNOWN, LOGIN, furnish

SAVED = {"accessToken": "the-access", "refreshToken": "the-renewal", "expiresAt": 1, "scopes": ["user:inference"]}


def account(folder: Path, **files: object) -> Path:
    home = folder / "account"
    home.mkdir()
    for name, content in files.items():
        (home / f".{name}.json").write_bytes(msgspec.json.encode(content))
    return home


def test_the_login_without_what_could_renew_it(tmp_path: Path) -> None:
    home = account(tmp_path, credentials={"claudeAiOauth": SAVED, "mcpOAuth": {"x": "a-token-of-another"}})
    variables = furnish(tmp_path, home)
    own = Path(variables["CLAUDE_CONFIG_DIR"])
    assert own.is_relative_to(tmp_path)
    assert own != home
    assert msgspec.json.decode((own / LOGIN).read_bytes()) == {"claudeAiOauth": {**SAVED, "refreshToken": ""}}
    assert [path.name for path in own.iterdir()] == [LOGIN]
    assert own.stat().st_mode & 0o777 == 0o700
    assert (own / LOGIN).stat().st_mode & 0o777 == 0o600
    assert b"the-renewal" in (home / LOGIN).read_bytes()


def test_it_is_the_same_installation_and_brings_nothing_else_along(tmp_path: Path) -> None:
    told = {"userID": "u", "machineID": "m", "oauthAccount": {"accountUuid": "a"}}
    home = account(tmp_path, credentials={"claudeAiOauth": SAVED}, claude={**told, "mcpServers": {"x": {}}})
    own = Path(furnish(tmp_path, home)["CLAUDE_CONFIG_DIR"])
    assert msgspec.json.decode((own / KNOWN).read_bytes()) == told


@pytest.mark.parametrize("saved", [b"", b"{", b"[]", b"{}", b'{"claudeAiOauth": 1}', b"\xff"])
def test_a_login_that_is_being_written_is_none_yet(tmp_path: Path, saved: bytes) -> None:
    home = account(tmp_path)
    (home / LOGIN).write_bytes(saved)
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        furnish(tmp_path, home)


def test_no_login_is_an_error_of_the_system_s(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        furnish(tmp_path, account(tmp_path))
