from __future__ import annotations

import pytest

from proxy.config.adoption import adopted
from proxy.config.load import parse
from proxy.errors import ConfigError

THEIRS = """
host: ""
port: 8317
auth-dir: /home/me/.other
api-keys: [a-client-key-of-mine]
remote-management:
  secret-key: "$2a$10$abcdefghijklmnopqrstuuVGZk5JkXxXxXxXxXxXxXxXxXxXxXxXx"
  disable-control-panel: true
routing: {strategy: rr}
request-retry: 3
claude-api-key:
  - api-key: sk-ant-of-mine
    cloak: {mode: always}
    models: [{name: m, alias: n, display-name: N}]
xai-api-key:
  - {api-key: xai-of-mine, base-url: https://api.x.ai/v1, models: [{name: grok}]}
interactions-api-key: [{api-key: AIza-of-mine}]
ws-auth: true
claude-header-defaults: {user-agent: forged}
a-key-of-nobody: 1
"""


def test_what_is_known_is_kept_and_the_rest_told() -> None:
    found = adopted(THEIRS)
    assert found.is_good, [str(note) for note in found.notes]
    config = parse(found.text.encode()).config
    assert [key.api_key.reveal() for key in config.api_keys] == ["a-client-key-of-mine"]
    assert config.routing.strategy == "round-robin"
    assert config.claude_api_key[0].models[0].alias == "n"
    assert [(each.api_key.reveal(), each.models[0].name) for each in config.xai_api_key] == [("xai-of-mine", "grok")]
    assert config.gemini_api_key[0].api_key.reveal() == "AIza-of-mine"
    assert config.auth_dir == "~/.proxy"
    told = {note.path: (note.outcome, note.why) for note in found.notes}
    assert told["port"] == ("kept", "")
    assert (told["xai-api-key"][0], told["interactions-api-key"][0]) == ("kept", "moved")
    assert told["a-key-of-nobody"] == ("left-out", "it is not known")
    assert "another client" in told["claude-api-key[0].cloak"][1]
    assert "another client" in told["claude-header-defaults"][1]
    assert "proxy import --from /home/me/.other" in told["auth-dir"][1]


def test_every_key_is_told_of() -> None:
    found = adopted(THEIRS)
    for key in ("host", "ws-auth", "remote-management", "remote-management.disable-control-panel", "request-retry"):
        assert any(note.path == key for note in found.notes), key


def test_what_would_be_no_good_is_told() -> None:
    found = adopted("port: many\nrequest-retry: 3\n")
    assert not found.is_good
    assert any("port must be a whole number" in note.why for note in found.notes)


@pytest.mark.parametrize("text", ["- a\n", "a: [", "just words", ""])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        adopted(text)


def test_secrets_are_in_no_note() -> None:
    found = adopted(THEIRS.replace("a-key-of-nobody: 1", "a-key-of-nobody: sk-of-mine"))
    assert not any("of-mine" in str(note) for note in found.notes)
    assert "of-mine" not in repr(found)
