from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from auth.refusal import Refused
from proxy.accounts.sources import ONE_HOLDER, Finding, at, everywhere, variables

SERVICE = {"type": "service_account", "client_email": "a@b", "private_key": "k", "project_id": "p"}


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else msgspec.json.encode(value))
    return path


def told(findings: object, root: Path) -> list[tuple[str, object]]:
    """Source, and what it gives: the type and key of a file, or why not."""
    assert hasattr(findings, "__iter__")
    seen = []
    for finding in findings:
        assert isinstance(finding, Finding)
        fields = finding.fields
        what = finding.why if fields is None else (fields["type"], fields.get("api-key"))
        seen.append((finding.source.removeprefix(f"{root}/"), what))
    return seen


def test_environment_variables(tmp_path: Path) -> None:
    found = variables(
        {
            "ANTHROPIC_API_KEY": " key-a ",
            "OPENAI_API_KEY": "key-o",
            "OPENAI_BASE_URL": "https://llm.example.com/v1",
            "CODEX_API_KEY": "key-c",
            "GEMINI_API_KEY": "key-g",
            "GOOGLE_API_KEY": "key-g",
            "GROQ_API_KEY": "key-q",
            "XAI_API_KEY": "",
        }
    )
    assert told(found, tmp_path) == [
        ("ANTHROPIC_API_KEY", ("claude-api-key", "key-a")),
        ("OPENAI_API_KEY", "is a key of llm.example.com, to which OPENAI_BASE_URL leads"),
        ("CODEX_API_KEY", ("codex-api-key", "key-c")),
        ("GEMINI_API_KEY", ("gemini-api-key", "key-g")),
        ("GOOGLE_API_KEY", "is the same key as one above"),
        ("GROQ_API_KEY", ("openai-compatibility", "key-q")),
    ]


def test_a_service_account_of_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path / "key.json", SERVICE)
    (finding,) = variables({"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
    assert finding.fields == {"type": "vertex", "service-account": SERVICE}


def test_official_clis_keep_their_logins_and_give_their_keys(tmp_path: Path) -> None:
    write(tmp_path / ".claude/.credentials.json", {"claudeAiOauth": {"accessToken": "secret"}})
    write(tmp_path / ".claude/settings.json", {"env": {"ANTHROPIC_API_KEY": "key-a"}})
    write(tmp_path / ".claude.json", {"primaryApiKey": "key-b"})
    write(tmp_path / ".codex/auth.json", {"OPENAI_API_KEY": "key-o", "tokens": {"access_token": "secret"}})
    write(tmp_path / ".gemini/oauth_creds.json", {"access_token": "secret"})
    write(tmp_path / ".gemini/.env", b"# mine\nexport GEMINI_API_KEY='key-g'\nnonsense\n")
    assert told(everywhere(tmp_path, {}), tmp_path) == [
        (
            ".claude/.credentials.json",
            f"a login of Claude Code, which {ONE_HOLDER}; log in here, too: proxy --claude-login",
        ),
        (".claude/settings.json: ANTHROPIC_API_KEY", ("claude-api-key", "key-a")),
        (".claude.json: primaryApiKey", ("claude-api-key", "key-b")),
        (".codex/auth.json: OPENAI_API_KEY", ("codex-api-key", "key-o")),
        (".codex/auth.json", f"a login of Codex, which {ONE_HOLDER}; log in here, too: proxy --codex-login"),
        (".gemini/oauth_creds.json", f"a login of Gemini CLI, which {ONE_HOLDER}; log in here, too: proxy --login"),
        (f"{tmp_path}/.gemini/.env: GEMINI_API_KEY".removeprefix(f"{tmp_path}/"), ("gemini-api-key", "key-g")),
    ]


def test_folders_that_were_moved(tmp_path: Path) -> None:
    write(tmp_path / "c/auth.json", {"OPENAI_API_KEY": "key-o"})
    write(
        tmp_path / "k/settings.json", {"env": {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:8317"}}
    )
    environment = {"CODEX_HOME": str(tmp_path / "c"), "CLAUDE_CONFIG_DIR": str(tmp_path / "k")}
    assert told(everywhere(tmp_path, environment), tmp_path) == [
        ("k/settings.json: ANTHROPIC_API_KEY", "is a key of another server, to which ANTHROPIC_BASE_URL leads"),
        ("c/auth.json: OPENAI_API_KEY", ("codex-api-key", "key-o")),
    ]


def test_a_machine_with_nothing(tmp_path: Path) -> None:
    assert list(everywhere(tmp_path, {})) == []


def test_the_well_known_system_s_auth_dir(tmp_path: Path) -> None:
    folder = tmp_path / ".cli-proxy-api"
    for kind in ("claude", "codex", "kimi", "xai", "antigravity"):
        write(folder / f"{kind}-a@example.com.json", {"type": kind, "access_token": "secret"})
    account = {key: value for key, value in SERVICE.items() if key != "type"}
    write(
        folder / "vertex-p.json",
        {
            "type": "vertex", "service_account": account, "project_id": "p", "location": "europe-west1", "prefix": "x",
            "request_retry": 3, "cloak_mode": "auto", "timezone": "UTC",
        },
    )  # fmt: skip
    write(folder / "state.cds", {"version": 1})
    write(folder / "torn.json", b'{"type": "cla')
    found = {Path(finding.source).name: finding for finding in everywhere(tmp_path, {})}
    assert set(found) == {path.name for path in folder.glob("*.json")}
    assert {name for name, finding in found.items() if finding.fields is not None} == {"vertex-p.json"}
    assert all(ONE_HOLDER in found[f"{kind}-a@example.com.json"].why for kind in ("claude", "codex", "antigravity"))
    assert "is no JSON" in found["torn.json"].why
    vertex = found["vertex-p.json"]
    assert vertex.fields == {
        "type": "vertex", "service-account": account, "project-id": "p", "location": "europe-west1", "prefix": "x",
    }  # fmt: skip
    assert vertex.dropped == ("request-retry", "cloak-mode", "timezone")


def test_what_is_named_is_recognised(tmp_path: Path) -> None:
    write(tmp_path / "codex/auth.json", {"OPENAI_API_KEY": "key-o"})
    write(tmp_path / "claude/.credentials.json", {})
    write(tmp_path / "gemini/google_accounts.json", {"active": "a"})
    mine = {"type": "claude-api-key", "api-key": "key-a", "label": "work"}
    write(tmp_path / "ours/work.json", mine)
    (tmp_path / "empty").mkdir()
    assert told(at(tmp_path / "codex"), tmp_path) == [("codex/auth.json: OPENAI_API_KEY", ("codex-api-key", "key-o"))]
    assert [ONE_HOLDER in finding.why for finding in at(tmp_path / "claude")] == [True]
    assert list(at(tmp_path / "gemini")) == []
    (finding,) = at(tmp_path / "ours")
    assert (finding.fields, finding.name) == (mine, "work.json")
    assert list(at(tmp_path / "ours" / "work.json")) == [finding]
    assert [finding.why for finding in at(tmp_path / "empty")] == ["holds no accounts"]
    with pytest.raises(Refused, match="is not there"):
        list(at(tmp_path / "nowhere"))


@pytest.mark.parametrize("kind", ["folder", "giant", "deep", "pipe", "config"])
def test_T13_what_cannot_be_an_account_is_said_and_harms_nobody(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "auth-dir" / "x.json"
    match kind:
        case "folder":
            path.mkdir(parents=True)
        case "giant":
            write(path, b" " * 2_000_000)
        case "deep":
            write(path, b"[" * 500_000)
        case "pipe":
            path.parent.mkdir()
            os.mkfifo(path)
        case _:
            write(path, {"port": 8317})
    (finding,) = at(path.parent)
    assert finding.fields is None
    assert finding.why


def test_T19_a_finding_prints_no_secret() -> None:
    (finding,) = variables({"ANTHROPIC_API_KEY": "key-a"})
    assert "key-a" not in repr(finding)


def test_a_login_that_can_be_taken_over_says_how(tmp_path: Path) -> None:
    write(tmp_path / ".claude/.credentials.json", {"claudeAiOauth": {"accessToken": "a", "refreshToken": "r"}})
    (finding,) = everywhere(tmp_path, {})
    assert finding.login is not None
    assert "take it over: proxy import --logins — or log in here, too: proxy --claude-login" in finding.why


def test_a_key_that_a_login_has_made_is_named_and_left(tmp_path: Path) -> None:
    tokens = {"access_token": "secret", "refresh_token": "r"}
    write(tmp_path / ".codex/auth.json", {"auth_mode": "chatgpt", "OPENAI_API_KEY": "sk-x", "tokens": tokens})
    key, login = everywhere(tmp_path, {})
    assert (key.fields, "was made by a ChatGPT login" in key.why) == (None, True)
    assert login.login is not None
