from __future__ import annotations

from pathlib import Path
from typing import Never

import pytest
from click.testing import CliRunner, Result

from management.key_ring import hashed
from management.sieve import SieveFile
from proxy.__main__ import Commands
from proxy.cli import build
from proxy.config.client_keys import hash_of
from proxy.config.load import parse
from proxy.key_commands import keys_group
from proxy.server.access import ClientKeys, weakness

KEY = "a-long-and-random-word"


def _unopened(_path: Path | None) -> Never:
    raise AssertionError("keys of clients need no config")


def run(*arguments: str, said: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(keys_group(_unopened), arguments, input=said)
    return result.exit_code, result.stdout, result.stderr


def test_a_hash_is_made_of_what_comes_in() -> None:
    code, out, _ = run("hash", said=f"{KEY}\n")
    assert (code, out) == (0, f"- key-hash: {hash_of(KEY)}\n")


def test_the_entry_is_good_as_it_is_printed() -> None:
    _, out, _ = run("hash", "Ann's laptop", said=KEY)
    config = parse(f"api-keys:\n{out}".encode()).config
    client = ClientKeys.of(config.api_keys).find(KEY)
    assert client is not None
    assert client.name == "Ann's laptop"
    assert KEY not in out


def test_a_new_key_is_long_random_and_fits_its_hash() -> None:
    code, out, told = run("new", "ci")
    key, *entry = out.splitlines()
    assert code == 0
    assert weakness(key) is None
    assert entry == [f"- key-hash: {hash_of(key)}", "  name: 'ci'"]
    assert "it is kept nowhere" in told
    assert run("new")[1] != run("new")[1]


@pytest.mark.parametrize("key", ["", "short", "your-api-key-1"])
def test_what_is_no_secret_is_refused(key: str) -> None:
    code, out, told = run("hash", said=key)
    assert (code, out) == (1, "")
    assert "this is no good key" in told


@pytest.mark.parametrize("command", ["new", "hash"])
def test_a_name_is_a_name(command: str) -> None:
    code, _, told = run(command, "two\nlines", said=KEY)
    assert code == 1
    assert "the name holds" in told


def proving(folder: Path, stored: str, said: str) -> Result:
    path = folder / "config.yaml"
    path.write_text(f"auth-dir: {folder / 'accounts'}\nremote-management: {{secret-key: '{stored}'}}\n")
    return CliRunner().invoke(build(Commands()), ["--config", str(path), "keys", "prove"], input=said)


def test_T07_the_management_key_is_proved_at_the_machine(tmp_path: Path) -> None:
    stored = hashed(KEY, 4)
    assert "that is not" in proving(tmp_path, stored, "another\n").output
    file = SieveFile(tmp_path / "accounts", pytest.fail)
    assert file.read() is None
    done = proving(tmp_path, stored, f"{KEY}\n")
    assert (done.exit_code, done.output) == (0, "it is the management key; noted\n")
    sieve = file.read()
    assert sieve is not None
    assert sieve.is_of(stored)
    assert sieve.lets_pass(KEY)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert "is no hash" in proving(tmp_path, KEY, f"{KEY}\n").output
