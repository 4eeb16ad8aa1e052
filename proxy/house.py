"""What stands while the server runs: the one file, beside `proxy.__main__`, that ties proxy, auth and management."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click

from auth.credential import Credential
from auth.memory_file import MemoryFile
from auth.pool import Pool
from auth.secret import Secret
from auth.survey import Survey
from management.api import Management
from management.audit import Audit
from management.state import State
from proxy import __version__
from proxy.accounts.desk import Desk
from proxy.accounts.enrolment import Enrolment
from proxy.accounts.login_board import LoginBoard
from proxy.accounts.model_lists import ModelLists
from proxy.accounts.probe import probe_account
from proxy.backends import Backends
from proxy.banner import facts_of, render
from proxy.cli import ServeOptions
from proxy.config.load import Loaded
from proxy.config.reload import AT_START, Reloader
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import ConfigError
from proxy.footing import auth_folder, check_exposure, is_json, secrets_beside, usage_place
from proxy.log_shelf import LogShelf
from proxy.observe.ledger import Ledger
from proxy.observe.log import LibraryLog
from proxy.observe.metrics import Metrics
from proxy.observe.prices import Prices
from proxy.observe.request_ids import RequestIds
from proxy.observe.request_line import as_json
from proxy.observe.scrub import Scrubber
from proxy.providers import sandbox
from proxy.providers.table import stand_ins
from proxy.server.accounts import AccountState, account_states
from proxy.server.app import App, Edition, Quarantine
from proxy.server.clientele import Clientele, check_keys
from proxy.server.lifecycle import serve
from proxy.server.rehearsal import Rehearsal
from proxy.upstream.base import Upstream
from proxy.upstream.discreet import Discreet
from proxy.upstream.http import HttpUpstream
from proxy.upstream.recorded import Door
from proxy.upstream.replay import Deck, ReplayUpstream
from proxy.upstream.sockets import SocketUpstream
from proxy.wire.table import wire_named
from proxy.workers.crew import Crew
from proxy.workers.papers import papers_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """What one reload made, for the dispatcher and for the server."""

    snapshot: Snapshot
    edition: Edition
    is_sandbox: bool


class House:
    """Everything that stands while the server runs, and what `/health` tells of it."""

    def __init__(self, path: Path, options: ServeOptions, loaded: Loaded) -> None:
        """Raises `ConfigError`."""
        self._path = path
        self._options = options
        self._tokens: dict[str, Secret | None] = {}
        self._reloader: Reloader | None = None
        self._management: Management | None = None
        self._asked: dict[str, Upstream] = {}
        self._door: Door
        self._password = os.environ.get("MANAGEMENT_PASSWORD", "")
        self.scrubber = Scrubber()
        self.clock = Clock()
        self.config, self._raw = loaded.config, loaded.raw
        self.shelf = LogShelf(lambda: self.config, self.scrubber, is_debug=options.is_debug or self.config.debug)
        self.log = self.shelf.log
        self.crew: Crew | None = None
        if self.config.workers > 1:
            self.crew = Crew(self.config.workers, self.shelf, snapshot=lambda: self.standpoint.snapshot)
        self.pool = Pool() if self.crew is None else self.crew.pool
        self.memory = self._memory()
        self.memory.read()
        self.enrolment = Enrolment(
            auth_folder(self.config),
            log=self.log,
            on_change=self.accounts_changed,
            on_survey=self.surveyed,
            mark=self.pool.mark,
        )
        prices = Prices(auth_folder(self.config) / "prices.yaml")
        self.ledger = Ledger(
            usage_place(self.config),
            retention_days=lambda: self.config.usage_retention_days,
            redact=self.scrubber.text,
            prices=prices,
            log=self.log,
        )
        self.clientele = Clientele(
            ledger=self.ledger,
            prices=prices,
            pool=self.pool,
            clock=self.clock,
            log=self.log,
            snapshot=lambda: self.standpoint.snapshot,
            on_change=self.accounts_changed,
        )
        self.board = LoginBoard(
            lambda: Desk(auth_folder(self.config), self.config),
            environment=os.environ,
            look=self.enrolment.look,
            log=self.log,
            unix=self.clock.unix,
        )
        self.clis = Backends(auth_folder(self.config), clock=self.clock, log=self.log)
        self.lists = self._lists()
        self.standpoint = self._stand(self.config)
        self._publish()

    def _memory(self) -> MemoryFile:
        return MemoryFile(
            auth_folder(self.config),
            self.pool,
            monotonic=self.clock.monotonic,
            unix=self.clock.unix,
            is_wanted=self._is_real,
            tell=lambda complaint: self.log.warning("pool.memory_failed", complaint=complaint),
        )

    def _lists(self) -> ModelLists:
        return ModelLists(
            auth_folder(self.config),
            snapshot=lambda: self.standpoint.snapshot,
            pool=self.pool,
            clock=self.clock,
            is_wanted=self._is_real,
            on_change=self.accounts_changed,
            log=self.log,
        )

    def _stand(self, config: Config) -> Standpoint:
        """Builds beside what stands. Raises `ConfigError`."""
        config = self.check(config)
        keys = self.clientele.keys(config)
        snapshot = self.enrolment.snapshot(config)
        is_empty = not snapshot.credentials and self.enrolment.is_empty
        is_sandbox = self._options.is_sandbox or (is_empty and self._options.replay is None)
        if self._options.replay is not None:
            snapshot = self.enrolment.snapshot(config, credentials=stand_ins(snapshot.credentials))
        elif is_sandbox:
            snapshot = self.enrolment.snapshot(config, providers=sandbox.PROVIDERS, credentials=sandbox.CREDENTIALS)
        else:
            snapshot = self.lists.applied(snapshot)
        self._learn_secrets(config, snapshot.credentials)
        self._follow(snapshot.credentials)
        self.config = config
        edition = Edition(config=config, keys=keys, listing=snapshot.catalogue)
        return Standpoint(snapshot=snapshot, edition=edition, is_sandbox=is_sandbox)

    def _follow(self, credentials: Sequence[Credential]) -> None:
        """In the pool: nothing is kept of accounts that are gone, nor of what a token was refused that is replaced."""
        self.pool.retain({credential.id for credential in credentials})
        tokens = {credential.id: credential.secret for credential in credentials}
        for credential in credentials:
            before = None if credential.home is not None else credential.secret  # as it was when the last server ended
            if self._tokens.get(credential.id, before) != credential.secret:
                self.pool.renew(credential.id)
        self._tokens = tokens

    def _is_real(self) -> bool:
        """Accounts of real providers, asked for real."""
        return not (self.standpoint.is_sandbox or self._options.replay is not None)

    def check(self, config: Config) -> Config:
        """With what the command line says instead. Raises `ConfigError` for one that could not be in force."""
        if self._options.host is not None:
            config = replace(config, host=self._options.host)
        if self._options.port is not None:
            config = replace(config, port=self._options.port)
        check_exposure(config)
        return config

    def _state(self, dispatcher: Dispatcher, rehearsal: Rehearsal) -> State:
        assert self._reloader is not None
        logs = self.shelf.folder
        return State(
            version=__version__,
            config_path=self._path,
            config=lambda: self.config,
            check=lambda config: check_keys(self.check(config)),
            reload=partial(self._everywhere, self._reloader.look),
            reload_error=self.reload_error,
            snapshot=lambda: self.standpoint.snapshot,
            dispatcher=dispatcher,
            rehearse=rehearsal.explain,
            pool=self.pool,
            clock=self.clock,
            ledger=self.ledger,
            store=self.enrolment.store,
            look=partial(self._everywhere, self.enrolment.look),
            logs=logs,
            audit=Audit(logs / "audit.log", now=time.time, redact=self.scrubber.text),
            log=self.log,
            board=self.board,
            probe=lambda each: probe_account(self.standpoint.snapshot, each, self._asked["http"]),
            enrolled=lambda: self.enrolment.found,
            password=self._password,
            workers=1 if self.crew is None else self.crew.asked,
            clients=lambda: self.clientele.standings(self.config),
        )

    def _learn_secrets(self, config: Config, credentials: Sequence[Credential]) -> None:
        """Before they are used. They stay known after a reload: requests in flight may still hold them."""
        secrets_now = [key.api_key for key in self.clientele.configured(config)]
        secrets_now += [credential.secret for credential in credentials if credential.secret is not None]
        secrets_now += [config.remote_management.secret_key, Secret(self._password), *self.enrolment.secrets()]
        secrets_now += secrets_beside(config, credentials)
        self.scrubber.learn(secrets_now)

    def change(self, loaded: Loaded) -> None:
        before = self.config
        self.standpoint = self._stand(loaded.config)
        self._raw = loaded.raw
        self._publish()
        for warning in loaded.warnings:
            self.log.warning("config.warned", warning=warning)
        if self._management is not None:
            self._management.follow(self.config)
        self.log.info("config.reloaded", accounts=len(self.standpoint.snapshot.credentials))
        fields = {name: name.replace("-", "_") for name in AT_START}
        waiting = [name for name, field in fields.items() if getattr(before, field) != getattr(self.config, field)]
        if waiting:
            self.log.warning("config.restart_needed", settings=waiting)

    def accounts_changed(self) -> None:
        self.standpoint = self._stand(self.config)
        self._publish()

    def _publish(self) -> None:
        if self.crew is not None:
            listed, beside = self.lists.known, self.clientele.beside
            self.crew.publish(papers_of(self.config, self._raw, self.enrolment, beside, listed, self._is_real()))

    async def _everywhere(self, look: Callable[[], Awaitable[None]]) -> None:
        """What that finds is in force in all processes after it."""
        await look()
        if self.crew is not None:
            await self.crew.settled()

    def surveyed(self, credential_id: str, survey: Survey, asked: int) -> None:
        """What an account's own CLI told of its windows."""
        now, unix = self.clock.monotonic(), self.clock.unix()
        reserve = {each.id: each.reserve_percent for each in self.standpoint.snapshot.credentials}
        if credential_id in reserve:
            most = 1 - reserve[credential_id] / 100
            self.pool.read(credential_id, survey.windows(now, unix), now, most=most, asked=asked)

    def refuse(self, error: ConfigError) -> None:
        self.log.error("config.refused", complaints=error.message.splitlines(), still="the last good one is in force")

    def accounts(self) -> Sequence[AccountState]:
        clock, credentials = self.clock, self.standpoint.snapshot.credentials
        return account_states(credentials, self.pool, now=clock.monotonic(), unix=clock.unix())

    def quarantined(self) -> Sequence[Quarantine]:
        return [*self.enrolment.quarantined(), *self.enrolment.logins_needed()]

    def reload_error(self) -> str | None:
        error = self._reloader.last_error if self._reloader is not None else None
        return self.clientele.fault if error is None else error.message

    def _upstreams(self) -> dict[str, Upstream]:
        """By executor."""
        direct = HttpUpstream()
        http: Upstream = SocketUpstream(direct)
        if self._options.replay is not None:
            http = ReplayUpstream(Deck.read(self._options.replay))
        door = self._door = Door(
            Discreet(http, self.scrubber.data),
            prompt=direct if self._options.replay is None else None,
            is_wanted=lambda: self.config.request_log,
            recorder=self.shelf.recorder,
        )
        return {"http": door, "sandbox": sandbox.Sandbox(), **self.clis.upstreams(door)}

    def _dispatcher(self, upstreams: dict[str, Upstream]) -> Dispatcher:
        dispatcher = Dispatcher(
            snapshot=lambda: self.standpoint.snapshot,
            upstreams=upstreams,
            pool=self.pool,
            clock=self.clock,
            log=self.log,
            renew=self.enrolment.renew,
            prompts={"http": self._door},
        )
        if self.crew is not None:
            self.crew.share(dispatcher)
        return dispatcher

    def _app(self, dispatcher: Dispatcher) -> App:
        return App(
            edition=lambda: self.standpoint.edition,
            dispatcher=dispatcher,
            starter=dispatcher,
            wire=wire_named,
            status=self,
            metrics=Metrics(version=__version__) if self.crew is None else self.crew.metrics(__version__),
            workers=self.crew,
            log=self.log,
            now=time.time,
            new_id=RequestIds(self.scrubber.vouch).next,
            tell=as_json(self.shelf.outbox.write, self.scrubber.text) if is_json(self.config) else None,
            ledger=self.ledger,
            limits=self.clientele.limits,
            cases=self.shelf.cases,
            clis=self.clis.health,
        )

    async def live(self, loaded: Loaded) -> None:
        """Until a signal. Raises `ConfigError` where it cannot listen."""
        library_log = LibraryLog(self.log)
        logging.getLogger().addHandler(library_log)
        await asyncio.to_thread(self.clis.clear)
        upstreams = self._asked = self._upstreams()
        dispatcher = self._dispatcher(upstreams)
        self._reloader = Reloader(
            self._path,
            loaded,
            loop=asyncio.get_running_loop(),
            on_change=self.change,
            on_refused=self.refuse,
            clock=time.time,
        )
        app = self._app(dispatcher)
        rehearsal = Rehearsal(app, dispatcher, asyncio.get_running_loop().time)
        management = self._management = app.management = Management(self._state(dispatcher, rehearsal))
        self._reloader.start()
        management.follow(self.config)
        self.enrolment.start(asyncio.get_running_loop())
        await self.clientele.start()
        remembering = asyncio.create_task(self.memory.keep())
        listing = asyncio.create_task(self.lists.keep(upstreams["http"]))
        tidying = asyncio.create_task(self.shelf.keep())
        try:
            config = self.config
            await serve(
                app, host=config.host, port=config.port, tls=config.tls, when_listening=self.greet, companions=self.crew
            )
        finally:
            remembering.cancel()
            listing.cancel()
            tidying.cancel()
            await self.memory.save()
            await self.clientele.close()
            await self.board.close()
            await management.close()
            await self._reloader.close()
            await self.enrolment.close()
            await asyncio.to_thread(self.ledger.close)
            await self.clis.close()
            for upstream in upstreams.values():
                await upstream.close()
            logging.getLogger().removeHandler(library_log)
            self.log.info("server.stopped")
            await self.shelf.close()

    def greet(self, urls: Sequence[str]) -> None:
        facts = facts_of(
            self.standpoint.snapshot,
            self.accounts(),
            url=next(iter(urls), ""),
            version=__version__,
            is_sandbox=self.standpoint.is_sandbox,
            notes=self.enrolment.notes(),
        )
        click.echo("\n".join(render(facts)))
        self.log.info("server.started", urls=list(urls), version=__version__, sandbox=self.standpoint.is_sandbox)
