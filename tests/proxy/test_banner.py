from __future__ import annotations

import shlex
from dataclasses import replace

import msgspec

from auth.secret import Secret
from proxy.banner import ACCOUNTS_SHOWN_MAX, AccountLine, BannerFacts, as_text, curl_lines, facts_of, render
from proxy.config.provider_keys import ModelAlias, ProviderKey
from proxy.config.schema import Config
from proxy.dispatch.snapshot import Snapshot
from proxy.providers import sandbox
from proxy.server.app import AccountState

SAMPLES = {"openai": "gpt", "anthropic": "claude", "gemini": "gemini"}


def facts(accounts: int = 1, *, needs_key: bool = False, is_sandbox: bool = False) -> BannerFacts:
    lines = [AccountLine(label=f"account {n}", provider="openai", state="ready", models=n) for n in range(accounts)]
    return BannerFacts(
        version="1.2.3",
        url="http://127.0.0.1:8317",
        accounts=lines,
        samples=SAMPLES,
        needs_key=needs_key,
        is_sandbox=is_sandbox,
        notes=["a note"],
    )


def test_it_shows_accounts_endpoints_and_lines_to_try() -> None:
    text = as_text(facts())
    for piece in ("proxy 1.2.3", "account 0", "ready", "http://127.0.0.1:8317/v1", "a note", *curl_lines(facts())):
        assert piece in text


def test_it_says_that_the_sandbox_is_one() -> None:
    mixed = facts(is_sandbox=True)
    assert "asked for real, and charged" in as_text(mixed)
    alone = [AccountLine(label="one", provider=each.name, state="ready", models=1) for each in sandbox.PROVIDERS]
    assert "nothing is charged" in as_text(replace(mixed, accounts=alone))
    assert "simulated" not in as_text(facts())


def test_it_fits_one_screen_with_a_thousand_accounts() -> None:
    text = as_text(facts(1000, needs_key=True, is_sandbox=True))
    assert len(text.splitlines()) <= 30
    assert f"and {1000 - ACCOUNTS_SHOWN_MAX} more" in text


def test_it_is_plain_in_a_pipe_and_styled_on_a_terminal() -> None:
    assert "\x1b" not in as_text(facts(is_sandbox=True))
    assert "\x1b" in "".join(render(facts(is_sandbox=True)))


def test_the_curl_lines_are_never_broken() -> None:
    assert curl_lines(facts())[0] in as_text(facts()).splitlines()


def test_curl_lines_are_shell_words_with_json() -> None:
    for line in curl_lines(facts()):
        words = shlex.split(line)
        assert words[0] == "curl"
        assert isinstance(msgspec.json.decode(words[words.index("-d") + 1]), dict)


def test_with_client_keys_the_lines_take_the_key_from_the_environment() -> None:
    text = as_text(facts(needs_key=True))
    assert "export PROXY_API_KEY=" in text
    assert all('"Authorization: Bearer $PROXY_API_KEY"' in line for line in curl_lines(facts(needs_key=True)))


def test_models_that_write_no_text_are_not_recommended() -> None:
    names = ("text-embedding-3-small", "omni-moderation-latest", "gpt-5.5")
    models = tuple(ModelAlias(name=name) for name in names)
    config = Config(codex_api_key=(ProviderKey(api_key=Secret("sk-1"), models=models),))
    snapshot = Snapshot.of(config)
    (key,) = snapshot.credentials
    account = AccountState(id=key.id, label=key.label, provider="openai", state="ready")
    told = facts_of(snapshot, [account], url="http://x", version="1", is_sandbox=False, notes=())
    assert set(told.samples.values()) == {"gpt-5.5"}
