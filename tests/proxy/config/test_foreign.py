from __future__ import annotations

import pytest

from proxy.config.foreign import foreign, foreign_under
from proxy.config.load import parse
from proxy.config.schema import Config
from proxy.config.settings import settings_of
from proxy.errors import ConfigError

DISGUISES = [
    "claude-header-defaults: {user-agent: x}",
    "codex-header-defaults: {user-agent: x}",
    "disable-claude-cloak-mode: false",
    "claude-code: {disable-cloaking-model-list: [a]}",
    "codex: {identity-confuse: true}",
    "codex: {disable-codex-cloaking: true}",
    "antigravity: {sensitive-words: [a]}",
    *(
        f"{provider}: [{{api-key: a, {key}: {{x: y}}}}]"
        for provider in ("claude-api-key", "codex-api-key")
        for key in ("cloak", "fingerprint-profile", "experimental-cch-signing", "rebuild-mid-system-message")
    ),
]


@pytest.mark.parametrize("text", DISGUISES)
def test_whatever_only_serves_disguise_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^config\.yaml:1: \S+ is not supported: (it makes|there is no disguise).*"):
        parse(text.encode())


def test_no_foreign_key_hides_one_of_ours() -> None:
    assert not {setting.key for setting in settings_of(Config)} & set(foreign_under(""))


def test_patterns() -> None:
    assert foreign("claude-api-key[12].cloak") is foreign_under("codex-api-key[]")["cloak"]
    assert foreign("claude-api-key[0].models[3].thinking") is not None
    assert foreign("claude-api-key[0].models[3].cloak") is None
    assert foreign("cloak") is None
    assert foreign("tls.cloak") is None
    assert foreign("port") is None


def test_a_group_with_keys_that_are_known_one_by_one_is_told_key_by_key() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(b"codex:\n  other: 1\n  identity-confuse: true\n  disable-codex-cloaking: false\n")
    assert [line.split(" ")[0] for line in caught.value.message.splitlines()] == ["config.yaml:3:", "config.yaml:4:"]
