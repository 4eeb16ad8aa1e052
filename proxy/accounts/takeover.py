"""Taking over a login that another program holds: its files are copied into a home of ours, its CLI says whose it is,
and an account's file leads to it. Nothing is changed at its holder's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from auth import lease
from auth.cli.dialogue import Refusal
from auth.cli.install import find
from auth.cli.process import Ended
from auth.departures import Departures
from auth.document import JsonValue
from auth.homes import Homes
from auth.identity import Identity
from auth.logins.base import LoginFailed, Setting
from auth.logins.resumed import RESUMED
from auth.logins.table import LOGIN_KINDS
from auth.refusal import Refused
from proxy.accounts.desk import CONFIG_FILE, Desk
from proxy.accounts.egress import with_egress
from proxy.accounts.held_logins import HeldLogin
from proxy.accounts.logins import login_fields
from proxy.config.account_files import interpret


async def take_over(desk: Desk, held: HeldLogin, ours: Mapping[str, str]) -> tuple[str, bool]:
    """The account's file, and whether it is new. Raises `Refused`, `CliMissing`; then nothing was changed."""
    kind = LOGIN_KINDS[held.kind]
    ours = with_egress(ours, desk.proxy_url)
    command = find(kind.cli, desk.folder, ours).command
    departures = Departures(desk.folder)
    home = departures.begin(kind.name)
    name, is_new = "", False
    try:
        with Homes(desk.folder).owned(home.name):
            async with lease.held(home):
                _fill(home, held.files)
                setting = Setting(command=command, variables=kind.cli.variables(home), home=home, ours=ours)
                fields = login_fields(kind, home.name, await _whose(held.kind, setting))
                name, is_new = _added(desk, fields)
    finally:
        if is_new:
            departures.settled(home.name)
        else:
            departures.given_up(home.name)
    return name, is_new


def _fill(home: Path, files: Mapping[str, bytes]) -> None:
    """Raises `Refused`."""
    try:
        for name, raw in files.items():
            path = home / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise Refused(f"{home} cannot be written: {error.strerror}") from error


async def _whose(kind: str, setting: Setting) -> Identity:
    """Raises `Refused`."""
    try:
        return await RESUMED[kind](setting)
    except (LoginFailed, Ended, Refusal, TimeoutError) as error:
        why = str(error) or "its CLI does not answer"
        raise Refused(f"its CLI does not take it: {why}") from error


def _added(desk: Desk, fields: Mapping[str, JsonValue]) -> tuple[str, bool]:
    """A login that is there already stays: it may be the younger one. Raises `Refused`."""
    desk.look()
    file = interpret(fields)
    if isinstance(file, str):
        raise Refused(f"the login {file}")
    there = desk.place_of(file)
    if there is not None and there != CONFIG_FILE:
        return there, False
    return desk.add(fields).file, True
