"""Listens, serves, and goes in peace: on SIGTERM running requests finish, on a second signal they do not."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from aiohttp import web

from proxy.alarm import Alarm
from proxy.config.schema import Tls
from proxy.errors import ConfigError, ShuttingDown
from proxy.hub.events import Failure
from proxy.server.app import App
from proxy.server.connection import Gate, Patience, Server
from proxy.server.express import Express
from proxy.server.front import Front, Reception
from proxy.server.front_visit import FrontVisit
from proxy.server.handle import handle
from proxy.server.head import Head
from proxy.server.visit import AiohttpVisit

SIGNALS = (signal.SIGTERM, signal.SIGINT)
READINESS_SECONDS = 60.0
"""Whoever asked `/readyz` within this time is a load balancer, and should hear that we are leaving before we do."""
FAREWELL_SECONDS = 5.0
"""How long it has for asking again."""
LAST_WORDS_SECONDS = 2.0
"""For telling those whose time is over."""
ABORT_SECONDS = 0.1
"""Not 0, which aiohttp takes for no limit."""
HANDSHAKE_SECONDS = 10.0
BACKLOG = 1024


class Companions(Protocol):
    """Other processes that serve along with this one: `proxy.workers.crew`."""

    def listener(self, app: App, *, host: str, port: int, tls: Tls | None) -> Listener:
        """On a port that they share."""
        ...

    async def start(self) -> None:
        """When it is open."""
        ...

    async def drain(self) -> None: ...

    async def close(self) -> None: ...


async def serve(
    app: App,
    *,
    host: str,
    port: int,
    tls: Tls | None = None,
    when_listening: Callable[[Sequence[str]], None] = lambda _urls: None,
    companions: Companions | None = None,
) -> None:
    """Until a signal. `when_listening` gets the URLs. Raises `ConfigError` where it cannot listen."""
    make = Listener if companions is None else companions.listener
    listener = make(app, host=host, port=port, tls=tls)
    loop = asyncio.get_running_loop()
    first, second = asyncio.Event(), asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, lambda: second.set() if first.is_set() else first.set())
    try:
        await listener.open()
        when_listening(listener.urls)
        if companions is not None:
            await companions.start()
        await first.wait()
        drain = asyncio.create_task(_drain(listener, companions))
        now = asyncio.create_task(second.wait())
        await asyncio.wait({drain, now}, return_when=asyncio.FIRST_COMPLETED)
        for task in (drain, now):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    finally:
        await listener.close()
        if companions is not None:
            await companions.close()
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _drain(listener: Listener, companions: Companions | None) -> None:
    await asyncio.gather(listener.drain(), *(() if companions is None else (companions.drain(),)))


class Listener:
    """`open` → `drain`, perhaps → `close`."""

    def __init__(
        self, app: App, *, host: str, port: int, tls: Tls | None = None, patience: Patience | None = None
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._context = tls_context(tls) if tls is not None and tls.enable else None
        self._patience = patience or Patience()
        self._gate = Gate(lambda: app.edition().config.server.connections_max)
        self._server: Server | None = None
        self._alarm = Alarm()
        self._make: Callable[[], asyncio.Protocol] = asyncio.Protocol
        self._doors: Sequence[asyncio.Server] = ()

    @property
    def sockets(self) -> list[socket.socket]:
        return [each for door in self._doors for each in door.sockets]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [each.getsockname()[:2] for each in self.sockets]

    @property
    def urls(self) -> list[str]:
        scheme = "https" if self._context is not None else "http"
        return [
            f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
            for host, port in self.addresses
        ]

    async def open(self) -> None:
        """Raises `ConfigError`."""
        self._make = functools.partial(Front, self.reception())
        try:
            self._doors = await self.listen(self._make)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self._host or 'all addresses'}, port {self._port}: "
                f"{error.strerror or error}; --port takes another one"
            ) from None

    def reception(self) -> Reception:
        app = self._app
        self._server = Server(functools.partial(_handed_on, app), self._gate, self._patience)
        return Reception(
            answer=functools.partial(_answer, app),
            is_elsewhere=functools.partial(_is_elsewhere, app),
            elsewhere=self._server,
            gate=self._gate,
            patience=self._patience,
            alarm=self._alarm,
            express=Express(app),
        )

    async def listen(self, make: Callable[[], asyncio.Protocol]) -> Sequence[asyncio.Server]:
        """Raises OSError."""
        door = await asyncio.get_running_loop().create_server(
            make,
            self._host or None,
            self._port,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self._context is not None else None,
            backlog=BACKLOG,
        )
        return [door]

    async def drain(self) -> None:
        """Readiness first, then the door, then those who are inside."""
        self._app.is_draining = True
        await self._farewell()
        self._shut()
        self._gate.close_idle()
        for front in self._fronts():
            front.hurry()
        await asyncio.sleep(0)  # the tasks of those that had none begin
        for exchange in self._app.exchanges:
            exchange.leave()
        await self._wait(self._app.edition().config.server.drain_seconds)
        for exchange in self._app.exchanges:
            exchange.stop(Failure.of(ShuttingDown("the server is shutting down; try again", retry_after_seconds=5)))
        await self._wait(LAST_WORDS_SECONDS)

    async def _farewell(self) -> None:
        """Goes on accepting until the load balancer has heard, where there is one."""
        told_at = self._app.readiness_told_at
        if told_at is None or asyncio.get_running_loop().time() - told_at > READINESS_SECONDS:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._app.draining_told.wait()

    async def _wait(self, seconds: float) -> None:
        tasks = {exchange.task for exchange in self._app.exchanges}
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def _fronts(self) -> list[Front]:
        return [each for each in self._gate.guests if isinstance(each, Front)]

    def _shut(self) -> None:
        for door in self._doors:
            door.close()

    async def close(self) -> None:
        self._shut()
        tasks = [task for front in self._fronts() if (task := front.stop()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_WORDS_SECONDS)
        self._alarm.close()
        if self._server is not None:
            await self._server.shutdown(timeout=ABORT_SECONDS)
        self._app.books.flush()


async def _answer(app: App, visit: FrontVisit) -> None:
    ride, visit.ride = visit.ride, None
    await handle(app, visit, ride)


async def _handed_on(app: App, request: web.BaseRequest) -> web.StreamResponse:
    """What aiohttp has read, and is to send."""
    visit = AiohttpVisit(request)
    told = await handle(app, visit) or visit.response
    assert told is not None, "every request has an answer"
    return told


def _is_elsewhere(app: App, head: Head) -> bool:
    """Whether a request needs more of aiohttp than the front has."""
    if head.is_upgrade or (head.method == "GET" and ("upgrade" in head.headers or "sec-websocket-key" in head.headers)):
        return True
    return app.management is not None and app.management.covers(head.path)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Raises `ConfigError`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for key, name in (("cert", tls.cert), ("key", tls.key)):
        if not Path(name).expanduser().is_file():
            raise ConfigError(f"tls.{key}: there is no file {name!r}")
    try:
        context.load_cert_chain(Path(tls.cert).expanduser(), Path(tls.key).expanduser())
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"tls: the certificate or its key cannot be used: {error}") from None
    return context
