"""What is done with accounts by hand, on files: list, add, rename, disable, enable, remove. A running server sees it
within a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auth.credential import Credential
from auth.document import Document, JsonValue
from auth.guarded import SUFFIX, check_name
from auth.refusal import Refused
from auth.seal import Seal
from auth.store import NEW
from auth.tokens import Token
from management import removal
from proxy.accounts.enrolment import enrolled, open_store
from proxy.accounts.fresh_logins import own_login, signer_of
from proxy.accounts.known import Usage, usages
from proxy.accounts.login_probe import probe_login
from proxy.config.account_files import (
    AccountFile,
    CliLogin,
    CompatibleAccount,
    HomeLogin,
    OidcLogin,
    ServiceAccount,
    interpret,
)
from proxy.config.schema import Config
from proxy.providers.base import Provider
from proxy.providers.configured import from_config
from proxy.providers.enrolled import account_id

CONFIG_FILE = "config.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`file`: None for a key of the configuration. `state`: ready · disabled · quarantined · unused. `windows`: as a
    running server knows them. `login_expires_at`: RFC 3339; empty: nobody has to log in again, or nobody knows when.
    `cli`: that asks with a key.
    """

    id: str
    label: str
    provider: str
    state: str
    file: str | None
    why: str | None = None
    note: str | None = None
    email: str = ""
    organization: str = ""
    plan: str = ""
    login_expires_at: str = ""
    cli: str = ""
    windows: tuple[Usage, ...] = ()

    @property
    def who(self) -> str:
        """One line, as far as it is known."""
        until = f"log in again before {self.login_expires_at[:10]}" if self.login_expires_at else ""
        return " · ".join(filter(None, (self.email, self.plan, self.organization, until)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    file: str
    label: str
    is_new: bool
    """False: the account was there, and has what was said now."""


def _who(file: AccountFile | None) -> dict[str, Any]:
    """The members of a row."""
    names = ("email", "organization", "plan", "login_expires_at")
    return {} if file is None else {name: getattr(file.settings, name, "") for name in names}


class Desk:
    """Raises `Refused`, with a whole sentence."""

    def __init__(self, folder: Path, config: Config) -> None:
        self._config = config
        self._store = open_store(folder)
        self._providers, self._configured = from_config(config)

    @property
    def folder(self) -> Path:
        return self._store.folder

    def look(self) -> None:
        """Again: others change the files too."""
        self._store.look()

    @property
    def proxy_url(self) -> str:
        """The general egress proxy."""
        return self._config.proxy_url

    @property
    def seal(self) -> Seal:
        return self._store.seal

    def login_of(self, name: str) -> tuple[str, HomeLogin]:
        """The kind and the login that a file names."""
        entry = self._store.entries.get(name)
        if entry is None or entry.value is None or not isinstance(entry.value.settings, HomeLogin):
            raise Refused(f"{name} is no login")
        return entry.value.kind, entry.value.settings

    def home_of(self, name: str) -> str:
        """Of a login; empty: it is none."""
        return removal.home_of(self._store, name)

    @property
    def fault(self) -> str | None:
        """Why the folder cannot be looked into."""
        return self._store.fault

    def remarks(self) -> Iterator[str]:
        yield from self._store.remarks
        for entry in self._store.entries.values():
            hints = entry.value.hints if entry.value is not None else ()
            yield from (f"{entry.name} {remark}" for remark in (*entry.remarks, *hints))

    def rows(self) -> list[Row]:
        known = usages(self.folder, unix=time.time())
        return [
            replace(row, windows=known[row.id]) if row.id in known else row
            for row in (*self._config_rows(), *self._file_rows())
        ]

    def _config_rows(self) -> Iterator[Row]:
        for each in self._configured:
            state = "disabled" if each.is_disabled else "ready"
            yield Row(id=each.id, label=each.label, provider=each.provider, state=state, file=None)

    def _file_rows(self) -> Iterator[Row]:
        mine = enrolled(self._store, self._config)
        for name, entry in self._store.entries.items():
            file, credential = entry.value, mine.credentials.get(name)
            state, why = "ready", entry.fault or mine.unused.get(name)
            if entry.fault is not None:
                state = "quarantined"
            elif file is None or name in mine.unused:
                state = "unused"
            elif file.settings.disabled:
                state = "disabled"
            yield Row(
                id=name if file is None else account_id(file),
                label=(file.settings.label if file is not None else "") or name.removesuffix(SUFFIX),
                provider=credential.provider if credential is not None else "" if file is None else file.kind,
                state=state,
                file=name,
                why=why,
                note=file.settings.note or None if file is not None else None,
                cli=file.settings.cli if file is not None and isinstance(file.settings, CompatibleAccount) else "",
                **_who(file),
            )

    def file_of(self, which: str) -> str:
        """The file of an account, by its file's name (with or without .json), its id or its label."""
        rows = [row for row in self.rows() if which in {row.file, row.id, row.label, (row.file or "")[: -len(SUFFIX)]}]
        if len(rows) > 1:
            names = ", ".join(row.file or CONFIG_FILE for row in rows)
            raise Refused(f"{which!r} is more than one account: {names}; name the file")
        if not rows:
            raise Refused(f"no account is called {which!r}; `proxy accounts` lists them")
        if rows[0].file is None:
            raise Refused(f"{which!r} stands in the config file; change it there")
        return rows[0].file

    def subjects(self, which: Sequence[str]) -> Iterator[tuple[Provider, Credential]]:
        """The accounts of these names, for a test; none: all that are in use."""
        mine = enrolled(self._store, self._config)
        providers = {each.name: each for each in (*self._providers, *mine.providers)}
        named = [({each.id, each.label}, each) for each in self._configured]
        named += [({each.id, each.label, name, name[: -len(SUFFIX)]}, each) for name, each in mine.credentials.items()]
        for wanted in which:
            if not any(wanted in names for names, _ in named):
                why = mine.unused.get(f"{wanted.removesuffix(SUFFIX)}{SUFFIX}", "")
                raise Refused(
                    f"{wanted}: {why}"
                    if why
                    else f"no account that is in use is called {wanted!r}; `proxy accounts` lists them"
                )
        for names, credential in named:
            if names & set(which) or not (which or credential.is_disabled):
                yield providers[credential.provider], credential

    async def test_login(self, credential: Credential, ours: Mapping[str, str]) -> tuple[bool, str]:
        """Its own CLI is asked about it; no model is."""
        for entry in self._store.entries.values():
            file = entry.value
            if file is not None and isinstance(file.settings, CliLogin) and account_id(file) == credential.id:
                return await probe_login(
                    self.folder, file.kind, file.settings, proxy_url=self._config.proxy_url, ours=ours
                )
        return False, "is not there any more"

    async def with_token(self, credential: Credential) -> Credential:
        """A service account gets its token now, and an OIDC login whose token has expired another one. Raises `Refused`
        where there is none.
        """
        for name, entry in self._store.entries.items():
            if entry.value is None or account_id(entry.value) != credential.id:
                continue
            match entry.value.settings:
                case ServiceAccount() as account:
                    token = await signer_of(account, self.proxy_url).exchange()
                    return replace(credential, secret=token.access)
                case OidcLogin() as login:
                    token = await self._token_of(name, login)
                    return replace(credential, secret=token.access)
        return credential

    async def _token_of(self, name: str, login: OidcLogin) -> Token:
        own = own_login(name, login, self.proxy_url, self.seal)
        token = own.read(self.folder)
        if token.expires_at is None or token.expires_at > time.time():
            return token
        told = await own.renew(self.folder, token.access.digest)
        if told.outcome not in {"refreshed", "fresh"}:
            raise Refused(told.why)
        return own.read(self.folder)

    def add(self, fields: Mapping[str, JsonValue], *, name: str | None = None) -> Added:
        """`fields`: of an account's file. `name`: of the file, where that is free and good; else it is called by its
        account. An account that is there gets these members and keeps its others.
        """
        file = interpret(fields)
        if isinstance(file, str):
            raise Refused(f"the account {file}")
        there = self.place_of(file)
        if there == CONFIG_FILE:
            raise Refused("this key stands in the config file already")
        if there is not None:
            entry = self._store.change(there, fields)
        else:
            free = name if name is not None and self._is_free(name) else f"{account_id(file)}.json"
            entry = self._store.put(free, Document.of(fields), expecting=NEW)
        return Added(file=entry.name, label=file.settings.label or entry.name[: -len(SUFFIX)], is_new=there is None)

    def _is_free(self, name: str) -> bool:
        try:
            check_name(name)
        except Refused:
            return False
        return name not in self._store.entries

    def place_of(self, file: AccountFile) -> str | None:
        """Where the account is already: a file's name, or `CONFIG_FILE`."""
        wanted = account_id(file)
        if any(each.id == wanted for each in self._configured):
            return CONFIG_FILE
        for name, entry in self._store.entries.items():
            if entry.value is not None and account_id(entry.value) == wanted:
                return name
        return None

    def change(self, which: str, edits: Mapping[str, JsonValue]) -> str:
        """The file that was changed."""
        return self._store.change(self.file_of(which), edits).name

    def remove(self, which: str, *, keeps_home: bool = False) -> tuple[str, str]:
        """The file that was removed, and what became of its login."""
        name = self.file_of(which)
        return name, removal.remove(self._store, name, keeps_home=keeps_home)
