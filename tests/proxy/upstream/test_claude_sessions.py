from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.upstream import claude_sessions
from proxy.upstream.claude_request import ClaudeRequest, read
from proxy.upstream.claude_sessions import Sessions

NAME = "0123abcd"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Sessions:
    return Sessions(tmp_path, clock)


def asked(*texts: str) -> ClaudeRequest:
    """The user's and the model's in turn."""
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    return read(msgspec.json.encode({"model": "m", "messages": messages}))


async def kept(sessions: Sessions, messages: Sequence[Any], name: str = NAME) -> Path:
    sessions.keep(name, messages)
    await sessions.close()
    return sessions._folder / f"{name}.json"


async def test_what_was_said_stands_in_front_of_what_is_new(sessions: Sessions, clock: Clock, tmp_path: Path) -> None:
    whole = asked("One.", "Ahoy.", "Two.")
    file = await kept(sessions, whole.messages[:2])
    assert file.stat().st_mode & 0o777 == 0o600
    again = await Sessions(tmp_path, clock).resumed(NAME, asked("Two."))
    assert again == whole


async def test_a_history_of_its_own_an_unknown_name_and_an_old_one_change_nothing(
    sessions: Sessions, clock: Clock
) -> None:
    await kept(sessions, asked("One.", "Ahoy.", "x").messages[:2])
    for name, request in ((NAME, asked("Eins.", "Ahoi.", "Zwei.")), ("another", asked("Two."))):
        assert await sessions.resumed(name, request) == request
    clock.now += claude_sessions.KEPT_SECONDS + 1
    assert await sessions.resumed(NAME, asked("Two.")) == asked("Two.")


async def test_what_is_too_old_too_long_or_too_much_goes(
    sessions: Sessions, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude_sessions, "KEPT_MAX", 2)
    messages = asked("One.", "Ahoy.", "x").messages[:2]
    files = []
    for number in range(3):
        clock.now += 1
        files.append(await kept(sessions, messages, f"{number:08x}"))
    assert [file.exists() for file in files] == [False, True, True]
    monkeypatch.setattr(claude_sessions, "BYTES_MAX", 10)
    await kept(sessions, messages, "00000002")
    assert not files[2].exists()


async def test_a_torn_file_is_no_history(sessions: Sessions, clock: Clock) -> None:
    file = await kept(sessions, asked("One.", "Ahoy.", "x").messages[:2])
    file.write_text('[{"role":')
    os.utime(file, (clock.now, clock.now))
    assert await sessions.resumed(NAME, asked("Two.")) == asked("Two.")
