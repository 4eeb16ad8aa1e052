"""The logins of the auth-dir while the server runs: each kept fresh by its own CLI, and its token at hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import structlog

from auth.cli.install import CliMissing, find
from auth.homes import Homes
from auth.logins.table import LOGIN_KINDS
from auth.refresh import Keeper, Kept
from auth.refusal import Refused
from auth.secret import Secret
from auth.tokens import Token, read_token
from proxy.accounts.egress import with_egress
from proxy.config.account_files import AccountFile, CliLogin

NO_LOGIN = "has no login that could be read; log in again"


def tokens_now(folder: Path, files: Mapping[str, AccountFile]) -> dict[str, Token | str]:
    """By file, as the homes stand now; or why there is none. For whoever looks once."""
    homes = Homes(folder)
    found: dict[str, Token | str] = {}
    for name, file in files.items():
        if isinstance(file.settings, CliLogin):
            try:
                found[name] = read_token(file.kind, homes.path_of(file.settings.home))
            except Refused as error:
                found[name] = str(error)
    return found


class FreshLogins:
    """`on_change` is called on the loop when a token is another one, or gone."""

    def __init__(
        self, folder: Path, *, log: structlog.typing.FilteringBoundLogger, on_change: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._log = log
        self._on_change = on_change
        self._keeper = Keeper(folder, on_change=self._changed)
        self._told: dict[str, str] = {}

    def keep(self, files: Mapping[str, AccountFile], proxy_url: str) -> None:
        """The disabled ones too: what is not refreshed is lost one day."""
        ours = with_egress(os.environ, proxy_url)
        self._keeper.keep([kept for name, file in files.items() if (kept := self._kept(name, file, ours))])

    def _kept(self, name: str, file: AccountFile, ours: Mapping[str, str]) -> Kept | None:
        if not isinstance(file.settings, CliLogin):
            return None
        cli, home = LOGIN_KINDS[file.kind].cli, file.settings.home
        command: tuple[str, ...] = ()
        try:
            command = find(cli, self._folder, ours).command
        except CliMissing as error:
            self._tell(name, f"its token cannot be refreshed: {error}")
        path = self._folder / "homes" / home
        return Kept(
            id=name, kind=file.kind, home=home, command=command, variables=cli.variables(path), environment=ours
        )

    def tokens(self, files: Mapping[str, AccountFile]) -> dict[str, Token | str]:
        found: dict[str, Token | str] = {}
        for name, file in files.items():
            if isinstance(file.settings, CliLogin):
                status = self._keeper.status(name)
                usable = status.token is not None and not status.is_login_needed
                found[name] = status.token if usable and status.token is not None else status.why or NO_LOGIN
        return found

    def notes(self, files: Mapping[str, AccountFile]) -> Iterator[str]:
        """What a human should mend."""
        for name, file in files.items():
            if isinstance(file.settings, CliLogin) and self._keeper.status(name).is_login_needed:
                yield f"Log in again: {name} ({file.settings.email or file.kind})"

    def secrets(self, files: Mapping[str, AccountFile]) -> Iterator[Secret]:
        for token in self.tokens(files).values():
            if isinstance(token, Token):
                yield token.access

    def start(self) -> None:
        self._keeper.start()

    async def close(self) -> None:
        await self._keeper.close()

    def _changed(self, name: str) -> None:
        self._on_change()
        self._tell(name, self._keeper.status(name).why)

    def _tell(self, name: str, why: str) -> None:
        if self._told.get(name, "") == why:
            return
        self._told[name] = why
        if why:
            self._log.error("account.login_troubled", file=name, why=why)
        else:
            self._log.info("account.login_fresh", file=name)
