from __future__ import annotations

import pytest
from click.testing import CliRunner

from proxy.config.client_keys import hash_of
from proxy.config.load import parse
from proxy.key_commands import keys_group
from proxy.server.access import ClientKeys, weakness

KEY = "a-long-and-random-word"


def run(*arguments: str, said: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(keys_group(), arguments, input=said)
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
