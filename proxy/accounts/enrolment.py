"""The auth-dir while the server runs: what its files say is part of every snapshot."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from auth.credential import Credential
from auth.departures import Departures
from auth.document import Document
from auth.refusal import Refused
from auth.seal import Seal, of_environment
from auth.secret import Secret
from auth.store import HOMES, Entry, Store
from auth.tokens import Token
from auth.watch import Added, AuthWatch, Event, Removed
from proxy.accounts.fresh_logins import FreshLogins, tokens_now
from proxy.accounts.surveys import OnSurvey, Surveys
from proxy.config.account_files import AccountFile, interpret
from proxy.config.schema import Config
from proxy.dispatch.snapshot import Snapshot
from proxy.providers.base import Provider
from proxy.providers.configured import from_config
from proxy.providers.enrolled import NO_TOKEN, Enrolled, from_files, secrets_of
from proxy.server.app import Quarantine


def open_store(folder: Path, seal: Seal | None = None) -> Store[AccountFile]:
    """With a look at what is there. `seal`: None: by the environment's key."""
    store = Store(folder, _interpret, of_environment(os.environ) if seal is None else seal)
    store.look()
    return store


def _interpret(_name: str, document: Document) -> AccountFile:
    file = interpret(document.fields)
    if isinstance(file, str):
        raise Refused(file)
    return file


def files_of(store: Store[AccountFile]) -> dict[str, AccountFile]:
    return {name: entry.value for name, entry in store.entries.items() if entry.value is not None}


def enrolled(store: Store[AccountFile], config: Config, tokens: Mapping[str, Token | str] | None = None) -> Enrolled:
    """What the files add to a configuration. `tokens`: of logins; None: to be read from their homes now."""
    files = files_of(store)
    providers, credentials = from_config(config)
    return from_files(
        files,
        providers=providers,
        credentials=credentials,
        proxy_url=config.proxy_url,
        tokens=tokens_now(store.folder, files, store.seal) if tokens is None else tokens,
        homes=store.folder / HOMES,
    )


class Enrolment:
    """`on_change` is called on the watch's loop, after the files have changed; `on_survey` there, too."""

    def __init__(
        self,
        folder: Path,
        *,
        log: structlog.typing.FilteringBoundLogger,
        on_change: Callable[[], None],
        on_survey: OnSurvey = lambda _account, _survey, _asked: None,
        mark: Callable[[], int] = int,
    ) -> None:
        self._log = log
        self._on_change = on_change
        for home in Departures(folder).finish():
            log.info("login.cleared_away", home=home)
        self.store = open_store(folder)
        self._watch: AuthWatch[AccountFile] | None = None
        self.found = Enrolled(providers=(), credentials={}, unused={})
        """What the last snapshot has of the files."""
        self._logins = FreshLogins(folder, seal=self.store.seal, log=log, on_change=on_change)
        self._surveys = Surveys(self.store, on_survey=on_survey, is_wanted=self._logins.is_fresh, mark=mark)
        self._tell(tuple(Added(entry) for entry in self.store.entries.values() if entry.fault or entry.remarks))

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watch = AuthWatch(self.store, loop=loop, on_events=self._changed)
        self._watch.start()
        self._logins.start()
        self._surveys.start()

    async def close(self) -> None:
        if self._watch is not None:
            await self._watch.close()
        await self._logins.close()
        await self._surveys.close()

    async def look(self) -> None:
        """What the files say now is in force after it."""
        await asyncio.to_thread(self.store.look)
        self._on_change()

    @property
    def is_empty(self) -> bool:
        """No file at all, good or bad: nobody has enrolled anything."""
        return not self.store.entries

    def snapshot(
        self, config: Config, *, providers: Iterable[Provider] = (), credentials: Iterable[Credential] = ()
    ) -> Snapshot:
        files = files_of(self.store)
        self._logins.keep(files, config.proxy_url)
        self._surveys.keep(self._logins.kept)
        mine = enrolled(self.store, config, self._logins.tokens(files))
        self.found = mine
        return Snapshot.of(
            config,
            providers=(*mine.providers, *providers),
            credentials=(*mine.credentials.values(), *credentials),
        )

    def tokens(self) -> dict[str, Token | str]:
        """Of logins and service accounts, by file; or why there is none."""
        return self._logins.tokens(files_of(self.store))

    async def renew(self, refused: Credential) -> Credential | None:
        """The same account with another token, for one that its provider has refused. None: there is none; a key has
        none ever.
        """
        name = next((name for name, each in self.found.credentials.items() if each.id == refused.id), None)
        if name is None or refused.secret is None:
            return None
        await self._logins.renew(name, refused.secret)
        now = self.found.credentials.get(name)
        return now if now is not None and now.id == refused.id and now.secret != refused.secret else None

    def secrets(self) -> Iterator[Secret]:
        if self.store.seal.key is not None:
            yield self.store.seal.key
        for entry in self.store.entries.values():
            if entry.value is not None:
                yield from secrets_of(entry.value)
        yield from self._logins.secrets(files_of(self.store))

    def quarantined(self) -> Sequence[Quarantine]:
        """Logins that have to be made again, too."""
        return [*self._in_quarantine(), *self._lacking()]

    def _lacking(self) -> Iterator[Quarantine]:
        for name in sorted(self.found.lacking):
            entry, why = self.store.entries.get(name), self.found.unused[name]
            if entry is not None and entry.fault is None and why != NO_TOKEN:
                yield Quarantine(file=name, why=why, is_served=False)

    def _in_quarantine(self) -> Sequence[Quarantine]:
        files = [
            Quarantine(file=entry.name, why=entry.fault, is_served=entry.value is not None)
            for entry in self.store.entries.values()
            if entry.fault is not None
        ]
        if self.store.fault is not None:
            files.insert(0, Quarantine(file=str(self.store.folder), why=self.store.fault, is_served=bool(files)))
        return files

    def logins_needed(self) -> Sequence[Quarantine]:
        """Accounts whose provider wants somebody to log in again."""
        return [
            Quarantine(file=name, why=why, is_served=False)
            for name, why in self._logins.logins_needed(files_of(self.store))
        ]

    def notes(self) -> Sequence[str]:
        """For the banner: what a human should mend."""
        bad_key = [f"Nothing is written: {self.store.seal.fault}"] if self.store.seal.fault else []
        mended = [f"Not used: {each.file} {each.why}" for each in self._in_quarantine()]
        return [*bad_key, *mended, *self._logins.notes(files_of(self.store))]

    def _changed(self, events: tuple[Event[AccountFile], ...]) -> None:
        self._on_change()  # first: from here on the log hides the new secrets
        self._tell(events)

    def _tell(self, events: tuple[Event[AccountFile], ...]) -> None:
        if self.store.seal.fault:
            self._log.error("auth_dir.key_refused", why=self.store.seal.fault)
        if self.store.fault is not None:
            self._log.error("auth_dir.refused", why=self.store.fault)
        for remark in self.store.remarks:
            self._log.warning("auth_dir.mended", what=remark)
        for event in events:
            self._tell_of(event.entry, type(event).__name__.lower(), is_gone=isinstance(event, Removed))

    def _tell_of(self, entry: Entry[AccountFile], what: str, *, is_gone: bool) -> None:
        if entry.fault is not None and not is_gone:
            still = "what it said before is in force" if entry.value is not None else "it is not used"
            self._log.error("account.quarantined", file=entry.name, why=entry.fault, still=still)
            return
        self._log.info(f"account.{what}", file=entry.name)
        hints = entry.value.hints if entry.value is not None else ()
        for remark in (*entry.remarks, *hints):
            self._log.warning("account.warned", file=entry.name, what=remark)
