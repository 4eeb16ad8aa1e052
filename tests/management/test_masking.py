"""Secrets of a file are masked where they stand, and nothing else is; what goes out comes back the same."""

from __future__ import annotations

import pytest
import yaml

from management.masking import Masked, mask_of
from management.refusal import Refusal
from proxy.config.load import parse

FILE = """\
# auth is 1, and sk-ant-one-of-mine is no more
port: 8311
remote-management: {secret-key: 'it''s "mine" \\ here'}
api-keys:
  - short-but-it-is-a-key # the first
  - {name: laptop, api-key: "an\\u006fther\\"key\\"of-mine"}
claude-api-key:
  - api-key: sk-ant-one-of-mine
    priority: 1
    headers: {X-Version: '1', X-Number: 11, X-Mode: auth, X-Text: "1"}
    proxy-url: socks5://me:1@127.0.0.1:1080
openai-compatibility:
  - name: auth
    base-url: https://auth.test/v1
    api-key-entries:
      - api-key: >-
          sk-folded-of-mine
      - sk-plain-of-mine
"""
SECRETS = (
    'it\'s "mine" \\ here', "short-but-it-is-a-key", 'another"key"of-mine', "sk-ant-one-of-mine", "1", "11", "auth",
    "socks5://me:1@127.0.0.1:1080", "sk-folded-of-mine", "sk-plain-of-mine",
)  # fmt: skip


def test_only_secrets_are_masked_and_all_of_them() -> None:
    shown = Masked(parse(FILE.encode()).config).text(FILE)
    told = yaml.safe_load(shown)
    assert told["port"] == 8311
    assert told["remote-management"]["secret-key"] == mask_of(SECRETS[0])
    assert told["api-keys"] == [mask_of(SECRETS[1]), {"name": "laptop", "api-key": mask_of(SECRETS[2])}]
    (claude,), (other,) = told["claude-api-key"], told["openai-compatibility"]
    assert (claude["api-key"], claude["priority"]) == (mask_of("sk-ant-one-of-mine"), 1)
    assert claude["headers"] == {
        "X-Version": mask_of("1"), "X-Number": mask_of("11"), "X-Mode": mask_of("auth"), "X-Text": mask_of("1"),
    }  # fmt: skip
    assert claude["proxy-url"] == mask_of("socks5://me:1@127.0.0.1:1080")
    assert (other["name"], other["base-url"]) == ("auth", "https://auth.test/v1")
    assert other["api-key-entries"] == [{"api-key": mask_of("sk-folded-of-mine")}, mask_of("sk-plain-of-mine")]
    assert shown.startswith(f"# auth is 1, and {mask_of('sk-ant-one-of-mine')} is no more\nport: 8311\n")
    assert "of-mine" not in shown


def test_what_goes_out_comes_back_the_same() -> None:
    config = parse(FILE.encode()).config
    back = Masked(config).restored_text(Masked(config).text(FILE))
    assert yaml.safe_load(back) == yaml.safe_load(FILE)
    assert parse(back.encode()).config == config
    plain = FILE.replace("'it''s \"mine\" \\ here'", "word").replace('"an\\u006fther\\"key\\"of-mine"', "word-2")
    config = parse(plain.encode()).config
    assert Masked(config).restored_text(Masked(config).text(plain)) == plain, "every byte"


def test_a_faulty_file_shows_none_either() -> None:
    masked = Masked(parse(b"").config)
    faulty = "claude-api-key:\n  - api-key: sk-ant-new-of-mine\n    prioritty: 1\n"
    shown = masked.text(faulty)
    assert shown == faulty.replace("sk-ant-new-of-mine", mask_of("sk-ant-new-of-mine"))
    assert masked.restored_text(shown) == faulty
    assert (
        Masked(parse(b"api-keys: [a-key-of-mine]").config).text("x: [a-key-of-mine")
        == f"x: [{mask_of('a-key-of-mine')}"
    )


def test_a_mask_of_nothing_is_refused() -> None:
    with pytest.raises(Refusal):
        Masked(parse(b"").config).restored_text(f"x: {mask_of('of another file')}")
