from __future__ import annotations

import base64
import os
from pathlib import Path

import msgspec
import pytest

from auth.refusal import LoginNeeded, Refused
from auth.tokens import REFUSED, TOKEN_FILES, mark_refused, read_token, sync_token

CLAIMS = base64.urlsafe_b64encode(b'{"exp": 1800000000}').decode().rstrip("=")
JWT = f"e30.{CLAIMS}.c2ln"
GOOD = {
    "claude-code": {"claudeAiOauth": {"accessToken": "access", "expiresAt": 1_800_000_000_000, "more": 1}},
    "codex": {"tokens": {"access_token": JWT, "account_id": "account-1", "refresh_token": "r"}, "auth_mode": "chatgpt"},
    "gemini-cli": {"access_token": "access", "expiry_date": 1_800_000_000_000},
}
EMPTY = {
    "claude-code": {"claudeAiOauth": {"accessToken": "", "refreshToken": "", "expiresAt": 0}},
    "codex": {"tokens": {}},
    "gemini-cli": {},
}


def put(kind: str, home: Path, raw: bytes) -> None:
    path = home / TOKEN_FILES[kind].path
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(raw)


@pytest.mark.parametrize("kind", TOKEN_FILES)
def test_each_is_read(tmp_path: Path, kind: str) -> None:
    put(kind, tmp_path, msgspec.json.encode(GOOD[kind]))
    token = read_token(kind, tmp_path)
    assert token.access.reveal() == (JWT if kind == "codex" else "access")
    assert token.expires_at == 1_800_000_000
    assert token.account_id == ("account-1" if kind == "codex" else "")
    assert "access'" not in repr(token)
    assert JWT not in repr(token)


@pytest.mark.parametrize("kind", TOKEN_FILES)
def test_no_login_and_a_refused_one(tmp_path: Path, kind: str) -> None:
    with pytest.raises(LoginNeeded, match="there is no login"):
        read_token(kind, tmp_path)
    put(kind, tmp_path, msgspec.json.encode(EMPTY[kind]))
    with pytest.raises(LoginNeeded, match="has refused the login"):
        read_token(kind, tmp_path)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"claudeAiOauth": 7}', b'{"tokens": 7}', b"\xff"])
@pytest.mark.parametrize("kind", TOKEN_FILES)
def test_a_torn_file_is_no_logout(tmp_path: Path, kind: str, raw: bytes) -> None:
    if kind == "gemini-cli" and raw.startswith(b'{"'):
        pytest.skip("what it does not know says nothing about it")
    put(kind, tmp_path, raw)
    with pytest.raises(Refused, match="is not readable now") as caught:
        read_token(kind, tmp_path)
    assert not isinstance(caught.value, LoginNeeded)


def test_a_refusal_is_of_one_token_and_outlives_whoever_met_it(tmp_path: Path) -> None:
    put("codex", tmp_path, msgspec.json.encode(GOOD["codex"]))
    mark_refused(tmp_path, read_token("codex", tmp_path))
    assert (tmp_path / REFUSED).stat().st_mode & 0o777 == 0o600
    assert JWT not in (tmp_path / REFUSED).read_text()
    with pytest.raises(LoginNeeded, match="has refused the login"):
        read_token("codex", tmp_path)
    put("codex", tmp_path, msgspec.json.encode({"tokens": {"access_token": f"{JWT}new"}}))
    assert read_token("codex", tmp_path).access.reveal() == f"{JWT}new"


def test_what_a_cli_has_written_is_made_to_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "auth.json").write_text("{}")
    synced: list[int] = []
    monkeypatch.setattr("auth.tokens.os.fsync", lambda number: synced.append(os.fstat(number).st_ino))
    sync_token("codex", tmp_path)
    assert synced == [(tmp_path / "auth.json").stat().st_ino, tmp_path.stat().st_ino]
    sync_token("codex", tmp_path / "nowhere")
