from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from proxy.accounts import commands
from proxy.accounts.commands import accounts_group, import_command
from proxy.accounts.desk import Desk
from proxy.config.load import parse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


def run(
    folder: Path, *arguments: str, given: str | None = None, environment: Mapping[str, str | None] | None = None
) -> Result:
    def open_desk(_path: Path | None) -> Desk:
        return Desk(folder, parse(b"gemini-api-key: [key-of-the-config]\n").config)

    root = click.Group("proxy", commands=[accounts_group(open_desk), import_command(open_desk)])
    return CliRunner(env=environment).invoke(root, arguments, input=given, prog_name="proxy")


def listed(folder: Path) -> list[dict[str, object]]:
    rows = msgspec.json.decode(run(folder, "accounts", "--json").output)
    assert isinstance(rows, list)
    return [row for row in rows if row["file"]]


def fields(folder: Path) -> dict[str, object]:
    (path,) = folder.glob("*.json")
    found = msgspec.json.decode(path.read_bytes())
    assert isinstance(found, dict)
    return found


def test_an_account_s_life(folder: Path) -> None:
    added = run(folder, "accounts", "add", "claude", "--label", "work", given="sk-ant-1\n")
    assert added.exit_code == 0, added.output
    assert "added. Try it: proxy accounts test claude-api-key-" in added.output
    assert run(folder, "accounts", "rename", "work", "home").output.endswith(": is called home\n")
    assert run(folder, "accounts", "disable", "home").exit_code == 0
    assert [(row["label"], row["state"]) for row in listed(folder)] == [("home", "disabled")]
    assert run(folder, "accounts", "enable", "home").exit_code == 0
    assert [(row["label"], row["state"]) for row in listed(folder)] == [("home", "ready")]
    assert "home" in run(folder, "accounts").output
    kept = run(folder, "accounts", "remove", "home", given="n\n")
    assert kept.exit_code == 1
    assert len(listed(folder)) == 1
    assert run(folder, "accounts", "remove", "home", "--yes").exit_code == 0
    assert listed(folder) == []


def test_everything_that_can_be_said_of_an_account(folder: Path) -> None:
    result = run(
        folder, "accounts", "add", "mine", "--base-url", "http://127.0.0.1:1/v1", "--prefix", "p", "--priority", "2",
        "--weight", "3", "--model", "a", "--model", "b=c", "--exclude", "*-x", "--note", "n", "--no-key",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert fields(folder) == {
        "type": "openai-compatibility", "name": "mine", "base-url": "http://127.0.0.1:1/v1", "prefix": "p",
        "priority": 2, "weight": 3, "models": [{"name": "a"}, {"name": "b", "alias": "c"}],
        "excluded-models": ["*-x"], "note": "n",
    }  # fmt: skip


@pytest.mark.parametrize("way", ["stdin", "file", "file on stdin", "environment"])
def test_a_key_comes_by_any_way_but_the_command_line(folder: Path, tmp_path: Path, way: str) -> None:
    (tmp_path / "key").write_text("key-1\n")
    arguments, given, environment = {
        "stdin": ([], "key-1\n", None),
        "file": (["--key-file", str(tmp_path / "key")], None, None),
        "file on stdin": (["--key-file", "-"], "key-1\n", None),
        "environment": (["--key-env", "MY_KEY"], None, {"MY_KEY": "key-1"}),
    }[way]
    result = run(folder, "accounts", "add", "groq", *arguments, given=given, environment=environment)
    assert result.exit_code == 0, result.output
    assert fields(folder)["api-key"] == "key-1"
    assert "key-1" not in result.output


def test_T24_no_option_takes_a_secret() -> None:
    add = accounts_group(lambda _path: pytest.fail("no desk is needed")).commands["add"]
    names = {option for parameter in add.params for option in parameter.opts}
    assert {"--key-file", "--key-env"} <= names
    assert not names & {"--key", "--api-key", "--proxy-url", "--header", "--headers"}


def test_a_service_account_s_file_is_a_key(folder: Path, tmp_path: Path) -> None:
    service = {"type": "service_account", "client_email": "a@b", "private_key": "k", "project_id": "p"}
    (tmp_path / "key.json").write_bytes(msgspec.json.encode(service))
    result = run(folder, "accounts", "add", "vertex", "--key-file", str(tmp_path / "key.json"), "--location", "global")
    assert result.exit_code == 0, result.output
    assert fields(folder) == {"type": "vertex", "service-account": service, "location": "global"}
    assert [(row["state"], row["provider"]) for row in listed(folder)] == [("ready", "vertex-account")]
    tested = run(folder, "accounts", "test")
    assert tested.exit_code == 1
    assert "no token for a@b: its key has a private_key that is no RSA key in PEM" in tested.output


def test_T15_a_key_file_that_would_have_its_claims_sent_elsewhere_is_refused(folder: Path, tmp_path: Path) -> None:
    service = {"client_email": "a@b", "private_key": "k", "project_id": "p", "token_uri": "https://attacker.test/token"}
    (tmp_path / "key.json").write_bytes(msgspec.json.encode(service))
    result = run(folder, "accounts", "add", "vertex", "--key-file", str(tmp_path / "key.json"))
    assert result.exit_code == 1
    assert "the key file names a token_uri that is not Google's" in result.output
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["accounts", "add", "claude"], "\n", "there is no key"),
        (["accounts", "add", "claude"], "a b\n", "api-key holds a blank"),
        (["accounts", "add", "unheard-of"], "k\n", "needs base-url"),
        (["accounts", "add", "claude"], "{\n", "is no JSON"),
        (["accounts", "add", "gemini"], "key-of-the-config\n", "stands in the config file already"),
        (["accounts", "add", "claude", "--key-env", "NOT_THERE"], None, "NOT_THERE is not set"),
        (["accounts", "add", "claude", "--key-env", "X", "--no-key"], None, "only one of them"),
        (["accounts", "disable", "nobody"], None, "no account is called 'nobody'"),
        (["accounts", "rename", "gemini key 1", "x"], None, "stands in the config file; change it there"),
        (["accounts", "test", "nobody"], None, "no account that is in use is called 'nobody'"),
        (["import", "--from", "nowhere"], None, "nowhere is not there"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(
    folder: Path, arguments: list[str], given: str | None, words: str
) -> None:
    result = run(folder, *arguments, given=given)
    assert result.exit_code in {1, 2}
    assert words in result.output
    assert not folder.exists()


def test_broken_files_are_listed_with_their_reason(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "a.json").touch(mode=0o600)
    result = run(folder, "accounts")
    assert "quarantined" in result.output
    assert "is empty" in result.output


def test_an_import(folder: Path, tmp_path: Path) -> None:
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "auth.json").write_text('{"OPENAI_API_KEY": "key-o", "tokens": {"id_token": "x"}}')
    environment: dict[str, str | None] = dict.fromkeys(os.environ, None)
    environment |= {"HOME": str(tmp_path), "ANTHROPIC_API_KEY": "key-a"}
    dry = run(folder, "import", "--dry-run", environment=environment).output
    assert "+ ANTHROPIC_API_KEY: would be imported" in dry
    assert not folder.exists()
    done = run(folder, "import", environment=environment).output
    assert "+ ANTHROPIC_API_KEY: imported as claude-api-key-" in done
    assert "auth.json: OPENAI_API_KEY: imported as codex-api-key-" in done
    assert "auth.json: a login of Codex, which stays where it is: a login should have one holder" in done
    assert not {"key-a", "key-o"} & set((dry + done).split())
    assert len(listed(folder)) == 2
    nothing = run(folder, "import", "--from", str(tmp_path / ".codex" / "auth.json"), environment=environment).output
    assert nothing.startswith("- ")


def test_a_test_asks_and_its_exit_code_tells(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"good": (True, "works"), "bad": (False, "is refused")}

    async def probe(_upstream: object, _provider: object, credential: object) -> tuple[bool, str]:
        return answers[getattr(credential, "label", "")]

    monkeypatch.setattr(commands, "probe", probe)
    for label in answers:
        assert run(folder, "accounts", "add", "claude", "--label", label, given=f"key-{label}\n").exit_code == 0
    good = run(folder, "accounts", "test", "good")
    assert (good.exit_code, good.output) == (0, "good (anthropic): works\n")
    both = run(folder, "accounts", "test", "good", "bad")
    assert (both.exit_code, sorted(both.output.splitlines())) == (
        1,
        ["bad (anthropic): is refused", "good (anthropic): works"],
    )


def test_the_schema_is_printed(folder: Path) -> None:
    assert msgspec.json.decode(run(folder, "accounts", "schema").output)["title"] == "an account in the auth-dir"
