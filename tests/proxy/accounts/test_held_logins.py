from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.accounts.held_logins import of_cli, of_foreign_file

CLAUDE = {"claudeAiOauth": {"accessToken": "at", "refreshToken": "rt", "expiresAt": 1}}
CODEX = {"tokens": {"access_token": "at", "refresh_token": "rt"}}
GEMINI = {"access_token": "at", "refresh_token": "rt"}


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(value))
    return path


@pytest.mark.parametrize(
    ("kind", "name", "there", "here"),
    [
        ("claude-code", ".credentials.json", CLAUDE, ".credentials.json"),
        ("codex", "auth.json", CODEX, "auth.json"),
        ("gemini-cli", "oauth_creds.json", GEMINI, ".gemini/oauth_creds.json"),
    ],
)
def test_the_file_is_the_one_that_the_cli_wrote(tmp_path: Path, kind: str, name: str, there: Any, here: str) -> None:
    path = write(tmp_path / name, there)
    held = of_cli(kind, tmp_path)
    assert held is not None
    assert (held.kind, held.files) == (kind, {here: path.read_bytes()})
    assert "at" not in repr(held).replace("start", "")
    assert of_cli(kind, tmp_path / "nowhere") is None
    write(path, {})
    assert of_cli(kind, tmp_path) is None, "somebody has logged out"
    path.write_bytes(b" " * (2**20 + 1))
    assert of_cli(kind, tmp_path) is None


@pytest.mark.parametrize("beside", [True, False])
def test_who_it_is_stands_beside_claude_s_folder_or_in_it(tmp_path: Path, beside: bool) -> None:
    folder = tmp_path / ".claude"
    write(folder / ".credentials.json", CLAUDE)
    account = {"accountUuid": "u", "emailAddress": "ada@example.test"}
    place = tmp_path if beside else folder
    write(place / ".claude.json", {"oauthAccount": account, "projects": {"/secret": {}}, "mcpServers": {"x": {}}})
    held = of_cli("claude-code", folder)
    assert held is not None
    assert msgspec.json.decode(held.files[".claude.json"]) == {"oauthAccount": account}, "and nothing else of it"


def test_the_well_known_system_s_become_what_their_clis_would_have_written() -> None:
    claude = of_foreign_file(
        {
            "type": "claude", "access_token": "at", "refresh_token": "rt", "expired": "2026-11-20T12:00:00Z",
            "email": "ada@example.test", "account_uuid": "u", "claude_device_ids": ["x"],
        }
    )  # fmt: skip
    assert claude is not None
    login = msgspec.json.decode(claude.files[".credentials.json"])["claudeAiOauth"]
    assert (login["accessToken"], login["refreshToken"], login["expiresAt"]) == ("at", "rt", 1_795_176_000_000)
    assert msgspec.json.decode(claude.files[".claude.json"])["oauthAccount"]["accountUuid"] == "u"
    codex = of_foreign_file({"type": "codex", "id_token": "it", "refresh_token": "rt", "account_id": "a"})
    assert codex is not None
    saved = msgspec.json.decode(codex.files["auth.json"])
    assert saved["tokens"] == {"id_token": "it", "access_token": "", "refresh_token": "rt", "account_id": "a"}
    assert saved["last_refresh"], "without any Codex asks without a token"


@pytest.mark.parametrize(
    "fields", [{}, {"type": "kimi", "refresh_token": "x"}, {"type": "claude"}, {"type": "codex", "refresh_token": ""}]
)
def test_what_cannot_be_taken(fields: Any) -> None:
    assert of_foreign_file(fields) is None
