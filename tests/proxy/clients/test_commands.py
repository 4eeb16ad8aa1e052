from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from auth.secret import Secret
from proxy.clients.base import KEYLESS, Access, Offer
from proxy.clients.commands import SetupOptions, Talk, address, found, listed, own_key, set_up, undo
from proxy.clients.table import client_named
from proxy.config.client_keys import ClientKey, hash_of
from proxy.config.schema import Config, Tls
from proxy.errors import ConfigError

CLAUDE = client_named("claude")
KEY = Secret("a-key-of-a-client")
ACCESS = Access(url="http://127.0.0.1:9", key=KEY, offers=(Offer(id="claude-opus-5"),))
SURE = SetupOptions(is_sure=True)


@dataclass
class User:
    """Says yes or no, and remembers what was told."""

    folder: Path
    is_willing: bool = True
    told: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def talk(self) -> Talk:
        def ask(question: str) -> bool:
            self.asked.append(question)
            return self.is_willing

        return Talk(self.told.append, ask)

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "PATH": f"{self.folder}{os.pathsep}/usr/bin{os.pathsep}/bin"}

    @property
    def settings(self) -> Path:
        return self.folder / ".claude" / "settings.json"

    @property
    def journals(self) -> Path:
        return self.folder / "journals"

    def has(self, script: str) -> None:
        """A program of that name, in place of the real one."""
        program = self.folder / "claude"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(stat.S_IRWXU)

    def sets_up(self, options: SetupOptions = SURE) -> bool:
        return set_up(CLAUDE, ACCESS, options, self.environment, self.journals, self.talk)


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_a_setup_from_the_question_to_the_answer_and_back(user: User) -> None:
    user.has('echo "ready $*"')
    assert user.sets_up(SetupOptions())
    assert user.asked == ["Write this?"]
    assert KEY.reveal() not in "\n".join(user.told)
    assert KEY.reveal() in user.settings.read_text()
    assert user.told[-1].startswith("Claude Code answered: ready -p ")
    assert undo(CLAUDE, SURE, user.journals, user.talk)
    assert not user.settings.exists()
    assert KEY.reveal() not in "\n".join(user.told)


def test_no_means_no(user: User) -> None:
    user.is_willing = False
    assert not user.sets_up(SetupOptions())
    assert not user.settings.exists()


def test_a_dry_run_shows_and_writes_nothing(user: User) -> None:
    assert user.sets_up(SetupOptions(is_dry=True))
    assert any("ANTHROPIC_BASE_URL" in each for each in user.told)
    assert not user.settings.exists()


def test_a_client_that_fails_is_told_with_the_way_back(user: User) -> None:
    user.has("echo it is broken >&2; exit 3")
    assert not user.sets_up()
    assert "Claude Code failed (exit code 3): it is broken" in user.told
    assert user.told[-1] == "`proxy setup claude --undo` puts everything back"


def test_a_second_time_only_tries_it(user: User) -> None:
    user.has("echo ready")
    assert user.sets_up()
    assert user.sets_up(SetupOptions())
    assert user.asked == []
    assert "Claude Code is set up already." in user.told


def test_there_may_be_nothing_to_undo(user: User) -> None:
    assert undo(CLAUDE, SURE, user.journals, user.talk)
    assert user.told == ["Claude Code was not set up, so there is nothing to undo."]


def test_an_undo_may_be_shown_or_refused(user: User) -> None:
    assert user.sets_up(SetupOptions(is_sure=True, is_verified=False))
    assert undo(CLAUDE, SetupOptions(is_dry=True), user.journals, user.talk)
    user.is_willing = False
    assert not undo(CLAUDE, SetupOptions(), user.journals, user.talk)
    assert user.settings.exists()


def test_a_client_that_is_not_there_can_be_had(user: User) -> None:
    with pytest.raises(ConfigError, match="npm install -g @anthropic-ai/claude-code"):
        found(CLAUDE, {"PATH": str(user.folder)})


@pytest.mark.parametrize(
    ("config", "url"),
    [
        (Config(), "http://127.0.0.1:8317"),
        (Config(host="", port=9), "http://127.0.0.1:9"),
        (Config(host="0.0.0.0"), "http://127.0.0.1:8317"),
        (Config(host="::1"), "http://[::1]:8317"),
        (Config(host="proxy.example.com", tls=Tls(enable=True)), "https://proxy.example.com:8317"),
    ],
)
def test_where_the_server_is(config: Config, url: str) -> None:
    assert address(config) == url


def test_the_first_key_in_plain_is_taken() -> None:
    hashed, plain = ClientKey(key_hash=hash_of("x")), ClientKey(api_key=Secret("in-plain"))
    assert own_key(Config(api_keys=(hashed, plain))) == Secret("in-plain")
    assert own_key(Config()) == Secret(KEYLESS)
    for config in (Config(api_keys=(hashed,)), Config(api_keys_file="/keys")):
        with pytest.raises(ConfigError, match="give one with --key"):
            own_key(config)


def test_models_in_columns() -> None:
    found = (Offer(id="claude-opus-5", context_tokens=200_000, output_tokens=64_000), Offer(id="harbour"))
    assert listed(found) == "claude-opus-5  200,000  64,000\nharbour"
