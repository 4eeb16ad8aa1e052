from __future__ import annotations

import pytest

from auth.credential import Credential
from proxy.dispatch.reach import EVERYTHING, Reach

TEAM = Credential(id="claude-1f0c", provider="anthropic", label="Team key", prefix="team")
OTHER = Credential(id="codex-77aa", provider="openai", label="other")


@pytest.mark.parametrize("pattern", ["claude-1f0c", "claude-*", "team key", "TEAM*", "team", "anthropic", "*"])
def test_an_account_is_named_by_id_label_prefix_or_provider(pattern: str) -> None:
    assert Reach(accounts=(pattern,)).sees(TEAM)


@pytest.mark.parametrize("pattern", ["team", "anthropic", "claude-*", "othe", "?"])
def test_what_is_not_named_is_not_seen(pattern: str) -> None:
    assert not Reach(accounts=(pattern,)).sees(OTHER)


def test_an_empty_prefix_is_no_name() -> None:
    assert not Reach(accounts=("",)).sees(OTHER)


def test_models_by_wildcards() -> None:
    reach = Reach(models=("claude-*", "gpt-5.5"))
    assert [reach.may_name(name) for name in ("claude-opus-5", "Claude-X", "gpt-5.5", "gpt-5.5-mini")] == [
        True,
        True,
        True,
        False,
    ]


def test_without_words_there_is_no_limit() -> None:
    assert EVERYTHING.sees(OTHER)
    assert EVERYTHING.may_name("anything")
