from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from proxy.upstream import cli_sessions
from proxy.upstream.cli_sessions import Sessions

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


TOLD: list[Any] = [{"role": "user", "content": "One."}, {"role": "assistant", "content": "Ahoy."}]


async def kept(sessions: Sessions, messages: Sequence[Any], name: str = NAME) -> Path:
    sessions.keep(name, messages)
    await sessions.close()
    return sessions._folder / f"{name}.json"


async def test_what_was_said_is_there_after_a_restart(sessions: Sessions, clock: Clock, tmp_path: Path) -> None:
    file = await kept(sessions, TOLD)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [*await Sessions(tmp_path, clock).said(NAME)] == TOLD


async def test_an_unknown_name_and_an_old_one_have_said_nothing(sessions: Sessions, clock: Clock) -> None:
    await kept(sessions, TOLD)
    assert await sessions.said("another") == ()
    clock.now += cli_sessions.KEPT_SECONDS + 1
    assert await sessions.said(NAME) == ()


async def test_what_is_too_old_too_long_or_too_much_goes(
    sessions: Sessions, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_sessions, "KEPT_MAX", 2)
    files = []
    for number in range(3):
        clock.now += 1
        files.append(await kept(sessions, TOLD, f"{number:08x}"))
    assert [file.exists() for file in files] == [False, True, True]
    monkeypatch.setattr(cli_sessions, "BYTES_MAX", 10)
    await kept(sessions, TOLD, "00000002")
    assert not files[2].exists()


async def test_a_torn_file_is_no_history(sessions: Sessions, clock: Clock) -> None:
    file = await kept(sessions, TOLD)
    file.write_text('[{"role":')
    os.utime(file, (clock.now, clock.now))
    assert await sessions.said(NAME) == ()
