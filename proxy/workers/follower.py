"""A follower's life: it stands on the owner's papers, serves what it may, says what has become of it, and goes when it
is told to, or when the owner is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import BinaryIO, cast

import msgspec

from auth.standing import ALL_MODELS
from proxy import __version__
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.inquiry import Inquiry
from proxy.dispatch.track import Track
from proxy.errors import ConfigError
from proxy.footing import is_json
from proxy.observe.log import LibraryLog, make_log
from proxy.observe.request_ids import RequestIds
from proxy.observe.request_line import as_json
from proxy.observe.scrub import Scrubber
from proxy.running import settle
from proxy.server.accounts import AccountState
from proxy.server.app import App, Quarantine
from proxy.upstream.discreet import Discreet
from proxy.upstream.http import HttpUpstream
from proxy.wire.table import wire_named
from proxy.workers.courier import Courier, CourierCases, CourierMetrics
from proxy.workers.link import Link
from proxy.workers.listening import FollowerListener, shared
from proxy.workers.memory import SharedAffinity, SharedRecall
from proxy.workers.messages import (
    Ask,
    Following,
    FromOwner,
    Handover,
    Kept,
    Leave,
    Listen,
    Listening,
    Papers,
    Placed,
    Said,
)
from proxy.workers.papers import Standpoint, stand
from proxy.workers.pool import SharedPool
from proxy.workers.scope import Scope

_LOST = frozenset({"broken", "disabled"})


class _Nobody:
    """`proxy.server.app.Status`: the owner tells how everybody is."""

    def accounts(self) -> Sequence[AccountState]:
        return ()

    def quarantined(self) -> Sequence[Quarantine]:
        return ()

    def reload_error(self) -> str | None:
        return None


class _Dispatcher(Dispatcher):
    """Begins nothing that is the owner's."""

    scope: Callable[[], Scope]

    def track(self, inquiry: Inquiry) -> Track | None:
        is_ours = self.scope().serves(inquiry.model, inquiry.wire, inquiry.reach)
        return super().track(inquiry) if is_ours else None


class Follower:
    """To be made within the event loop."""

    def __init__(self, end: socket.socket) -> None:
        self.link: Link[FromOwner] = Link(end, msgspec.msgpack.Decoder(FromOwner), take=self._take, lose=self._end)
        self.clock = Clock()
        self.pool = SharedPool(self.link.tell)
        self.affinity = SharedAffinity(self.link.tell)
        self.recall = SharedRecall(self.link.tell)
        self.scrubber = Scrubber()
        self._standing: Standpoint | None = None
        self._scope: Scope | None = None
        self._has_papers = asyncio.Event()
        self._leaving, self._hurrying, self._over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._places: asyncio.Future[Listen] = asyncio.get_running_loop().create_future()
        self._is_debug = False
        self.courier = Courier(
            self.link.tell,
            is_full=lambda: self.link.is_full,
            is_terminal=sys.stderr.isatty(),
            pool=self.pool,
        )

    @property
    def standpoint(self) -> Standpoint:
        assert self._standing is not None
        return self._standing

    @property
    def scope(self) -> Scope:
        assert self._scope is not None
        return self._scope

    # what the owner says

    def _take(self, message: FromOwner, _brought: socket.socket | None) -> None:
        match message:
            case Papers():
                self._follow(message)
            case Listen():
                self._places.set_result(message)
            case Ask(number=number):
                self.courier.send_all()
                self.link.tell(Said(number=number))
            case Leave():
                (self._hurrying if self._leaving.is_set() else self._leaving).set()
            case Placed():
                self.affinity.hear(message)
            case Kept():
                self.recall.hear(message)
            case _:
                self.pool.hear(message)

    def _follow(self, papers: Papers) -> None:
        """What cannot be followed ends the process: better none than one that serves by what is out of date."""
        try:
            standing = stand(papers, self._is_lost)
        except ConfigError as error:
            sys.stderr.write(f"proxy: a worker cannot follow: {error.message}\n")
            self._end()
            return
        self.scrubber.learn(standing.secrets())
        self.pool.retain({credential.id for credential in standing.snapshot.credentials})
        self._standing, self._scope = standing, Scope(standing)
        self._is_debug = papers.is_debug
        self._has_papers.set()
        self.link.tell(Following(number=papers.number))

    def _is_lost(self, credential: str) -> bool:
        return self.pool.standing((credential, ALL_MODELS), self.clock.monotonic()).state in _LOST

    def _end(self) -> None:
        for each in (self._leaving, self._hurrying, self._over):
            each.set()

    # its life

    async def live(self) -> None:
        await _first(self._has_papers.wait(), self._over.wait())
        if self._standing is None:
            return
        direct = HttpUpstream()
        app = self._app(direct)
        settle()
        library_log = LibraryLog(app.log)
        logging.getLogger().addHandler(library_log)
        await _first(asyncio.shield(self._places), self._leaving.wait())
        keeping = asyncio.create_task(self.courier.keep())
        try:
            if self._places.done():
                await self._serve(app, self._places.result())
        finally:
            keeping.cancel()
            await direct.close()
            logging.getLogger().removeHandler(library_log)
            self.courier.send_all()
            await self.link.empty()
            self.link.close()

    async def _serve(self, app: App, places: Listen) -> None:
        try:
            sockets = [shared(family, address) for family, address in places.sockets]
            listener = FollowerListener(app, sockets=sockets, scope=lambda: self.scope, send=self._hand_over)
        except (OSError, ConfigError) as error:  # it is tried again with another process
            app.log.error("worker.cannot_listen", why=str(error))  # noqa: TRY400 - the reason says it all
            return
        try:
            await listener.open()
            self.link.tell(Listening())
            await self._leaving.wait()
            await _first(listener.drain(), self._hurrying.wait())
        finally:
            await listener.close()

    def _hand_over(self, handover: Handover, descriptor: int) -> None:
        """Raises OSError."""
        if self.link.is_full:
            raise OSError(errno.ENOBUFS, "the owner does not listen")
        self.link.tell(handover, descriptor)

    def _app(self, direct: HttpUpstream) -> App:
        config = self.standpoint.config
        log = make_log(
            cast("BinaryIO", self.courier),
            redact=self.scrubber.process,
            is_json=is_json(config),
            is_debug=self._is_debug,
        )
        dispatcher = _Dispatcher(
            snapshot=lambda: self.standpoint.snapshot,
            upstreams={"http": Discreet(direct, self.scrubber.data)},
            pool=self.pool,
            clock=self.clock,
            log=log,
            prompts={"http": direct},
        )
        dispatcher.scope = lambda: self.scope
        dispatcher.keep_in(self.affinity, self.recall)
        metrics = CourierMetrics(self.courier, version=__version__)
        app = App(
            edition=lambda: self.standpoint.edition,
            dispatcher=dispatcher,
            starter=dispatcher,
            wire=wire_named,
            status=_Nobody(),
            metrics=metrics,
            log=log,
            now=time.time,
            new_id=RequestIds(self.scrubber.vouch).next,
            tell=as_json(self.courier.write, self.scrubber.text) if is_json(config) else None,
            cases=CourierCases(self.courier),
        )
        self.courier.follow(dispatcher.recent, lambda: metrics.in_flight.count)
        return app


async def _first(*waiting: Awaitable[object]) -> None:
    """The others are not waited for."""
    tasks = {asyncio.ensure_future(each) for each in waiting}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def follow(descriptor: int) -> None:
    end = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    await Follower(end).live()
