from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from auth.homes import Homes
from auth.oidc_tokens import OidcTokens, put_tokens, read_tokens
from auth.seal import PLAIN, SECRET_MEMBERS, VARIABLE, Seal, new_key
from auth.secret import Secret
from proxy.accounts import sealing
from proxy.accounts.desk import Desk
from proxy.accounts.enrolment import open_store
from proxy.accounts.seal_commands import seal_command, unseal_command
from proxy.config.account_files import KINDS
from proxy.config.load import parse
from proxy.config.settings import Text, settings_of

KEY = new_key()
TOKENS = OidcTokens(access=Secret("access-secret"), refresh=Secret("refresh-secret"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "accounts"
    homes = Homes(folder)
    own, of_cli = homes.make("oidc"), homes.make("codex")
    put_tokens(own, TOKENS, PLAIN)
    (of_cli / "auth.json").write_text('{"tokens": {"access_token": "cli-secret"}}')
    for name, fields in {
        "a": {"type": "claude-api-key", "api-key": "key-secret"},
        "b": {"type": "codex", "home": of_cli.name, "account": "ada"},
        "c": {
            "type": "oidc", "home": own.name, "account": "ada", "issuer": "https://login.example", "client-id": "c",
            "client-secret": "client-secret-1", "provider": "gemini",
        },
    }.items():  # fmt: skip
        (folder / f"{name}.json").touch(mode=0o600)
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(fields))
    (folder / "d.json").touch(mode=0o600)
    (folder / "d.json").write_text("{")
    return folder


def run(folder: Path, *arguments: str, key: str = KEY) -> Result:
    monkey = {VARIABLE: key or None}
    desk = Desk(folder, parse(b"").config)
    command = {"seal": seal_command(), "unseal": unseal_command()}[arguments[0]]
    return CliRunner(env=monkey).invoke(command, arguments[1:], obj=desk)


def everything(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.rglob("*.json")))


SECRETS = ("key-secret", "client-secret-1", "access-secret", "refresh-secret")


def test_there_and_back(folder: Path) -> None:
    before = everything(folder)
    assert all(secret in before for secret in SECRETS)
    sealed = run(folder, "seal")
    assert sealed.exit_code == 0, sealed.output
    lines = dict(line.split(": ", 1) for line in sealed.output.splitlines())
    assert (lines["a.json"], lines["b.json"], lines["c.json"]) == ("sealed", "holds no secret", "sealed")
    assert lines["d.json"].startswith("is left alone: it is no JSON")
    assert [what for name, what in lines.items() if name.startswith("homes/codex")] == [sealing.OF_A_CLI]
    assert not any(secret in everything(folder) for secret in SECRETS)
    assert "cli-secret" in everything(folder)
    (home,) = (folder / "homes").glob("oidc-*")
    assert read_tokens(home, Seal.of(KEY)) == TOKENS
    assert "a.json: is sealed" in run(folder, "seal").output

    back = run(folder, "unseal")
    assert back.exit_code == 0, back.output
    assert all(secret in everything(folder) for secret in SECRETS)
    assert read_tokens(home, PLAIN) == TOKENS
    assert "a.json: is not sealed" in run(folder, "unseal").output


def test_the_store_reads_both(folder: Path) -> None:
    run(folder, "seal")
    values = {name: entry.value for name, entry in open_store(folder, Seal.of(KEY)).entries.items()}
    assert [name for name, value in values.items() if value is not None] == ["a.json", "b.json", "c.json"]
    store = open_store(folder, Seal.of(new_key()))
    assert [name for name, entry in store.entries.items() if entry.fault] == ["a.json", "c.json", "d.json"]


@pytest.mark.parametrize(("key", "words"), [("", "there is no key: set PROXY_SEAL_KEY"), ("bad", "is no key")])
def test_without_a_good_key_nothing_is_done(folder: Path, key: str, words: str) -> None:
    before = everything(folder)
    result = run(folder, "seal", key=key)
    assert result.exit_code == 1
    assert words in result.output
    assert everything(folder) == before


def test_with_another_key_nothing_is_unsealed(folder: Path) -> None:
    run(folder, "seal")
    before = everything(folder)
    result = run(folder, "unseal", key=new_key())
    assert "a.json: is left alone: it is sealed with another key" in result.output
    assert everything(folder) == before


def test_a_new_key_is_printed_and_does_nothing(folder: Path) -> None:
    before = everything(folder)
    first, second = (run(folder, "seal", "--new-key", key="").output.strip() for _ in range(2))
    assert first != second
    assert Seal.of(first).key is not None
    assert everything(folder) == before


def test_every_secret_setting_of_an_account_is_one_that_is_sealed() -> None:
    secret = {
        each.key
        for group in KINDS.values()
        for each in settings_of(group)  # type: ignore[arg-type]
        if each.kind == Text(is_secret=True) or each.limits.is_private
    }
    assert secret <= SECRET_MEMBERS
    assert {"api-key", "client-secret", "service-account", "headers", "proxy-url"} <= secret
