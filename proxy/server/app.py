"""What the server is given, and how it is started.

The composition root makes one `App` and runs it::

    app = App(edition=lambda: current, dispatcher=dispatcher, wire=wire_named, status=status,
              metrics=Metrics(version=__version__), log=log, now=time.time, new_id=lambda: secrets.token_hex(12))
    await serve(app, host=config.host, port=config.port, tls=config.tls)      # proxy.server.lifecycle

* **edition**: gives what the last good reload made. A request asks once and keeps what it got.
* **dispatcher**: `open(inquiry)` gives an `Outcome` or raises `Refused`.
* **wire**: the wire of a name, for errors and heartbeats in the client's dialect.
* **status**: what `/health?detail=1` and `/readyz` tell of the pool and of the last reload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog
from aiohttp import web

from proxy.config.schema import Config
from proxy.dispatch.inquiry import Inquiry, Outcome
from proxy.dispatch.pursuit import Pursuit
from proxy.dispatch.reach import EVERYTHING, Reach
from proxy.dispatch.track import Track
from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject
from proxy.observe.casebook import Casebook
from proxy.observe.ledger import Ledger
from proxy.observe.metrics import Metrics
from proxy.observe.request_line import Tell
from proxy.server.access import Client, ClientKeys
from proxy.server.accounts import AccountState
from proxy.server.archive import Archive
from proxy.server.books import Books
from proxy.server.limits import Caller, Limits
from proxy.server.models import Listing
from proxy.server.sessions import Sessions
from proxy.server.wishes import Desk
from proxy.wire.base import Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """What one reload made of the configuration, for the server. A request keeps the edition that it began with."""

    config: Config
    keys: ClientKeys
    """``ClientKeys.of(config.api_keys)``: built once a reload, not once a request. Log its `complaints`."""
    listing: Listing

    def within(self, reach: Reach) -> Edition:
        """What a client sees of it."""
        return self if reach is EVERYTHING or reach == EVERYTHING else replace(self, listing=self.listing.within(reach))

    def caller(self, client: Client, address: str) -> Caller:
        """Who asks, and by which limits."""
        limits = self.config.limits
        return Caller(
            client=client,
            address=address,
            ip=limits.ip or None,
            session=limits.session or None,
            accounts=self.within(client.reach).listing.accounts,
        )

    def again(self, caller: Caller, now: float) -> Caller:
        """Who came in under an earlier edition. `now`: Unix seconds. Raises `AccessDenied` or `Forbidden`."""
        client = self.keys.again(caller.client)
        if client.guard is not None:
            client.guard.check(caller.address, now)
        return self.caller(client, caller.address)

    def seen(self, accounts: Sequence[AccountState]) -> Sequence[AccountState]:
        """Those of them that may serve whoever sees this."""
        ids = self.listing.accounts()
        return [each for each in accounts if each.id in ids]


class Dispatcher(Protocol):
    async def open(self, inquiry: Inquiry) -> Outcome:
        """Raises `proxy.dispatch.inquiry.Refused`. Cancelling it aborts the upstream."""
        ...


class Starter(Protocol):
    """Of what need not wait: `proxy.dispatch.failover.Dispatcher`."""

    def track(self, inquiry: Inquiry) -> Track | None: ...

    def is_current(self, track: Track) -> bool: ...

    async def resume(self, pursuit: Pursuit) -> Outcome:
        """Raises `proxy.dispatch.inquiry.Refused`. Cancelling it aborts the upstream."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A file of the auth-dir that is not in force as it is now. `is_served`: what it said before is."""

    file: str
    why: str
    is_served: bool


class Workers(Protocol):
    """The processes that serve, this one included: `proxy.workers.crew`."""

    asked: int

    @property
    def running(self) -> int: ...

    @property
    def in_flight(self) -> int:
        """Requests, at the others."""
        ...


class Status(Protocol):
    def accounts(self) -> Sequence[AccountState]: ...

    def quarantined(self) -> Sequence[Quarantine]: ...

    def reload_error(self) -> str | None:
        """Why the last reload was refused; None when it was not."""
        ...


class Management(Protocol):
    """The management API, which stands beside the server and knows nothing of it."""

    def covers(self, path: str) -> bool:
        """Whether it answers there. Where it does not it is as if it were absent."""
        ...

    async def answer(self, request: web.BaseRequest, arrival: Arrival) -> web.StreamResponse: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How a request came. `peer`: address and port of the other end. `address`: where the client is, as far as that can
    be believed. `is_local`: directly from this machine. `dressed`: puts on the headers that every answer has; to be
    called before an answer is prepared.
    """

    peer: tuple[str, int]
    address: str
    is_local: bool
    request_id: str
    dressed: Callable[[web.StreamResponse], web.StreamResponse]


class Running(Protocol):
    """An exchange, as far as a shutdown is concerned."""

    task: asyncio.Task[object]

    @property
    def under_way(self) -> int:
        """Answers: one, but for a WebSocket."""
        ...

    def leave(self) -> None:
        """Nothing new is begun; what is under way may come to its end."""
        ...

    def stop(self, failure: Failure) -> None:
        """Ends it, with `failure` told to the client."""
        ...


@dataclass(slots=True, kw_only=True)
class App:
    edition: Callable[[], Edition]
    dispatcher: Dispatcher
    starter: Starter | None = None
    """None: every request takes an exchange."""
    wire: Callable[[str], Wire]
    status: Status
    metrics: Metrics
    log: structlog.typing.FilteringBoundLogger
    now: Callable[[], float]
    """Unix seconds."""
    new_id: Callable[[], str]
    """A fresh request id."""
    tell: Tell | None = None
    """Takes the line of a request that is over; None: the log does, as any other."""
    management: Management | None = None
    ledger: Ledger | None = None
    """Of usage; None: none is kept."""
    cases: Casebook | None = None
    """Of requests that failed; None: none is kept."""
    limits: Limits = field(default_factory=Limits)
    """Outlives reloads."""
    sessions: Sessions = field(default_factory=Sessions)
    clis: Callable[[], JsonObject] | None = None
    """How the official CLIs are that serve accounts; None: there are none."""
    workers: Workers | None = None
    """None: there is only this one."""
    archive: Archive = field(default_factory=Archive)
    """Outlives reloads, but not the process."""
    is_draining: bool = False
    exchanges: set[Running] = field(default_factory=set)
    """What is being answered."""
    rides: set[object] = field(default_factory=set)
    """The same, without an exchange (`proxy.server.express`)."""
    readiness_told_at: float | None = None
    """When `/readyz` was last asked, on the loop's clock."""
    draining_told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `/readyz` has said that we are leaving."""
    started_at: float = field(init=False)
    books: Books = field(init=False)

    def __post_init__(self) -> None:
        self.started_at = self.now()
        self.books = Books(self)

    def desk(self, now: float) -> Desk:
        """`now`: on the loop's clock."""
        takes_own_keys = self.edition().config.own_provider_keys
        return Desk(sessions=self.sessions, takes_own_keys=takes_own_keys, now=now, new_id=self.new_id)
