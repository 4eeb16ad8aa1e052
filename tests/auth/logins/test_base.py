from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from auth import ports
from auth.cli.dialogue import Refusal
from auth.cli.process import Ended
from auth.logins.base import LoginFailed, Setting
from auth.logins.table import LOGIN_KINDS
from tests.pace import SECONDS_MAX

HOSTILE = (
    "--config=/etc/passwd",
    "-c",
    "$(touch /tmp/x)",
    "a; touch b",
    "a\nb",
    "\x1b[31m",
    "@/etc/passwd",
    "a" * 5000,
)
PROGRAM = '#!/bin/sh\nfor each in "$@"; do printf "%s\\n" "$each" >> "$HOME/arguments"; done\nexit 1\n'


@pytest.mark.parametrize("kind", LOGIN_KINDS)
async def test_T23_nothing_that_a_person_names_is_an_argument_of_a_cli(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "cli"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setattr(ports, "is_free", lambda _port: True)
    seen = []
    for number, hostile in enumerate(HOSTILE):
        home = tmp_path / f"home-{number}"
        home.mkdir(mode=0o700)
        setting = Setting(
            command=[str(program)],
            variables={},
            home=home,
            ours={"PATH": "/usr/bin:/bin"},
            project=hostile,
            is_device=True,
        )
        driver = LOGIN_KINDS[kind].driver(setting)
        with contextlib.suppress(Ended, Refusal, LoginFailed, OSError, ports.PortTaken):
            async with asyncio.timeout(SECONDS_MAX):
                await driver.open()
        await driver.close()
        arguments = home / "arguments"
        seen.append(arguments.read_text() if arguments.exists() else "")
    assert len(set(seen)) == 1, "whatever is named, the CLI is started alike"
    assert seen[0]
    assert not any(hostile in seen[0] for hostile in HOSTILE if len(hostile) > 2)
