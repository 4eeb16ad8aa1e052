"""A login from its start to the account's file: the official CLI is found, led through its login in a new home, and
what it says about the account is kept. The terminal and the management API use it alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from auth import lease
from auth.cli.install import find
from auth.departures import Departures
from auth.document import JsonValue
from auth.flow import Aborted, Done, Step
from auth.homes import Homes
from auth.identity import Identity
from auth.login import DEVICE_MINUTES_MAX, LOGIN_MINUTES_MAX, Login
from auth.logins.base import Setting
from auth.logins.table import LoginKind
from auth.refusal import Changed, Refused
from auth.tokens import TOKEN_FILES, sync_token
from proxy.accounts.desk import CONFIG_FILE, Added, Desk
from proxy.accounts.egress import with_egress
from proxy.accounts.fresh_logins import client_of
from proxy.accounts.logout import Grant, withdrawn
from proxy.accounts.surveys import written
from proxy.config.account_files import OidcLogin, interpret

ATTEMPTS_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginWish:
    """`has_browser`: one that runs on this machine. `expected`: the account it must be. `minutes`: None: the usual."""

    kind: LoginKind
    is_device: bool = False
    has_browser: bool = True
    project: str = ""
    expected: str = ""
    minutes: float | None = None
    fields: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    """Of its file, beside what the login tells."""


@dataclass(slots=True, kw_only=True)
class LoginRun:
    """One login. `on_step` is called with every step; the last one is also what `run` returns."""

    desk: Desk
    wish: LoginWish
    ours: Mapping[str, str] = field(repr=False)
    on_step: Callable[[Step], None]
    login: Login | None = None
    """While it runs: to paste into, and to cancel."""
    added: Added | None = None

    async def run(self) -> Step:
        """Raises `Refused`, `CliMissing` before anything was begun."""
        kind = self.wish.kind
        ours = with_egress(self.ours, self.desk.proxy_url)
        command = find(kind.cli, self.desk.folder, ours).command if kind.needs_cli else ()
        departures = Departures(self.desk.folder)
        home = departures.begin(kind.name)
        is_kept = False
        try:
            async with _ours_alone(self.desk.folder, home):
                self.login = self._login(command, home, ours)
                step = await self.login.run()
                if isinstance(step, Done):
                    if kind.name in TOKEN_FILES:
                        sync_token(kind.name, home)
                    is_kept = True  # from here on it is a login; what fails now must not lose it
                    try:
                        self.added = keep(self.desk, departures, kind, home.name, step.account, self.wish.fields)
                    except Refused as error:
                        raise Refused(f"{error}; the login itself is safe in {home}") from error
                    finally:
                        departures.settled(home.name)
                if isinstance(step, Aborted):
                    step = await withdrawn(step, self._grant(command, home, ours))
            return step
        finally:
            if not is_kept:
                departures.given_up(home.name)

    def _grant(self, command: Sequence[str], home: Path, ours: Mapping[str, str]) -> Grant:
        kind = self.wish.kind
        own = interpret({"account": "?", **self.wish.fields, "type": kind.name, "home": home.name})
        settings = None if isinstance(own, str) else own.settings
        client = client_of(settings, self.desk.proxy_url) if isinstance(settings, OidcLogin) else None
        return Grant(kind=kind, home=home, command=command, ours=ours, client=client, seal=self.desk.seal)

    def _login(self, command: Sequence[str], home: Path, ours: Mapping[str, str]) -> Login:
        kind, wish = self.wish.kind, self.wish
        setting = Setting(
            command=command,
            variables=kind.cli.variables(home),
            home=home,
            ours=ours,
            is_device=wish.is_device,
            has_browser=wish.has_browser,
            project=wish.project,
        )
        minutes = wish.minutes or (DEVICE_MINUTES_MAX if wish.is_device else LOGIN_MINUTES_MAX)
        return Login(
            kind.driver(setting), whose=kind.cli.whose, on_step=self.on_step, expected=wish.expected, minutes=minutes
        )


@contextlib.asynccontextmanager
async def _ours_alone(folder: Path, home: Path) -> AsyncIterator[None]:
    """So that nobody takes it for one that a killed process has left. Raises `Refused`."""
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(Homes(folder).owned(home.name))
        try:
            await stack.enter_async_context(lease.held(home))
        except OSError as error:
            raise Refused(f"{home} cannot be written: {error.strerror}") from error
        yield


def keep(
    desk: Desk,
    departures: Departures,
    kind: LoginKind,
    home: str,
    identity: Identity,
    more: Mapping[str, JsonValue] = MappingProxyType({}),
) -> Added:
    """An account that is there already changes over to the new home; then its old one goes. `more`: members of its
    file. Raises `Refused`.
    """
    fields = {**login_fields(kind, home, identity), **more}
    for _ in range(ATTEMPTS_MAX - 1):
        with contextlib.suppress(Changed):
            return _kept(desk, departures, fields, home)
    return _kept(desk, departures, fields, home)


def login_fields(kind: LoginKind, home: str, identity: Identity) -> dict[str, JsonValue]:
    """Of its file."""
    fields: dict[str, JsonValue] = {
        "type": kind.name,
        "home": home,
        "account": identity.account,
        "email": identity.email,
        "organization": identity.organization,
        "plan": identity.plan,
        "login-expires-at": written(identity.expires_at),
    }
    return {**fields, "project-id": identity.project} if identity.project else fields


def _kept(desk: Desk, departures: Departures, fields: Mapping[str, JsonValue], home: str) -> Added:
    """A login takes minutes, in which others may have made the account's file, or changed it: raises `Changed`."""
    desk.look()
    before = _home_before(desk, fields)
    if not before or before == home:
        return desk.add(fields)
    departures.renewing(before, home)
    added = desk.add(fields)
    departures.released(before)
    return added


def _home_before(desk: Desk, fields: Mapping[str, JsonValue]) -> str:
    file = interpret(fields)
    if isinstance(file, str):
        raise Refused(f"the login {file}")
    place = desk.place_of(file)
    return desk.login_of(place)[1].home if place is not None and place != CONFIG_FILE else ""
