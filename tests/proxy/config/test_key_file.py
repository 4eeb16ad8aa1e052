from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config.client_keys import hash_of
from proxy.config.key_file import parse_keys, read_keys
from proxy.errors import ConfigError

KEY, OTHER = "sk-a-long-random-word-1", "sk-a-long-random-word-2"


def test_one_key_a_line_comments_and_names() -> None:
    keys = parse_keys(
        f"# the team\n\n{KEY}\r\n  laptop: {OTHER}   # of the office\nci: {hash_of('x')}\t# hashed\n#{KEY}\n".encode(),
        name="keys",
    )
    assert [(key.shown_name, key.hash) for key in keys] == [
        (f"key-{hash_of(KEY)[7:15]}", hash_of(KEY)),
        ("laptop", hash_of(OTHER)),
        ("ci", hash_of("x")),
    ]


@pytest.mark.parametrize("raw", [b"", b"# nobody\n", b"\xef\xbb\xbf# nobody"])
def test_there_may_be_none(raw: bytes) -> None:
    assert parse_keys(raw, name="keys") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a\nkey with blanks", "keys:2: the key holds a blank, a line break or a character that no key has"),
        ("sha256:77", "keys:1: the hash must be sha256: and 64 hexadecimal digits, as `proxy keys hash` prints it"),
        (f"{KEY}\n{KEY}", "keys:2: this key stands there twice"),
        (f"{KEY}\n{hash_of(KEY)}", "keys:2: this key stands there twice"),
        ("a: one-key\na: another", "keys:2: several keys are named a; each needs its own name"),
        ("a: ", "keys:1: the key is empty"),
        (f"{'n' * 200}: {KEY}", "keys:1: the name is longer than 128 characters"),
    ],
)
def test_a_fault_is_told_with_its_line_and_without_the_key(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_keys(text.encode(), name="keys")
    assert caught.value.message.startswith(complaint)
    assert KEY not in caught.value.message


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="keys:2: is no UTF-8"):
        parse_keys(b"a\n\xff", name="keys")


def test_others_should_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(KEY)
    path.chmod(0o644)
    warning = read_keys(path).warning
    assert warning is not None
    assert warning.endswith("can be read by others (mode 644); chmod 600 it")
    path.chmod(0o600)
    assert read_keys(path).warning is None


def test_a_file_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_keys(tmp_path / "keys")
    with pytest.raises(ConfigError, match="is a folder"):
        read_keys(tmp_path)
