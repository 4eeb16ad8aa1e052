"""One port for several processes (SO_REUSEPORT): the kernel spreads new connections over them."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Sequence

from proxy.errors import ConfigError, ProxyError
from proxy.hub.events import Failure
from proxy.server import body
from proxy.server.app import App
from proxy.server.connection import Patience
from proxy.server.express import Express
from proxy.server.front import Reception
from proxy.server.front_visit import FrontVisit
from proxy.server.handle import handle
from proxy.server.head import Head
from proxy.server.intake import Intake
from proxy.server.lifecycle import BACKLOG, HANDSHAKE_SECONDS, Listener
from proxy.server.terms import Terms, terms_of
from proxy.server.visit import Visit
from proxy.workers.handover import Departure, Send, arrive
from proxy.workers.messages import Handover, Sockaddr
from proxy.workers.scope import RESPONSES, WIRES, Scope, stands_alone
from proxy.workers.splice import Splice

Make = Callable[[], asyncio.Protocol]


def check_system() -> None:
    """Raises `ConfigError`."""
    if not (hasattr(socket, "SO_REUSEPORT") and hasattr(socket, "send_fds")):
        raise ConfigError("workers: this system cannot share a port between processes; 1 is the most here")


def shared(family: int, address: Sockaddr) -> socket.socket:
    """Raises OSError."""
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(tuple(address))
    except OSError:
        made.close()
        raise
    return made


class _Shared(Listener):
    async def opened(self, make: Make, sockets: Sequence[socket.socket]) -> list[asyncio.Server]:
        loop, context = asyncio.get_running_loop(), self._context
        seconds = None if context is None else HANDSHAKE_SECONDS
        return [
            await loop.create_server(make, sock=each, backlog=BACKLOG, ssl=context, ssl_handshake_timeout=seconds)
            for each in sockets
        ]


class OwnerListener(_Shared):
    """The owner's."""

    async def listen(self, make: Make) -> Sequence[asyncio.Server]:
        """Whoever listens there already would only get fewer connections, and nobody would be told: so it is asked for
        alone first.
        """
        loop = asyncio.get_running_loop()
        alone = await loop.create_server(asyncio.Protocol, self._host or None, self._port, start_serving=False)
        places = [(each.family, each.getsockname()) for each in alone.sockets]
        alone.close()
        await alone.wait_closed()
        return await self.opened(make, [shared(family, address) for family, address in places])

    async def adopt(self, brought: socket.socket, handover: Handover) -> None:
        """A follower's connection. Raises OSError, where it is gone meanwhile."""
        await arrive(brought, handover, self._make)


class FollowerListener(_Shared):
    """`scope`: asked for each request. `send`: gives a connection to the owner. Raises `ConfigError`."""

    def __init__(self, app: App, *, sockets: Sequence[socket.socket], scope: Callable[[], Scope], send: Send) -> None:
        super().__init__(app, host="", port=0, tls=app.edition().config.tls, patience=Patience())
        self._sockets = sockets
        self._scope = scope
        self._send = send

    def reception(self) -> Reception:
        return Reception(
            answer=self._answer,
            is_elsewhere=_is_unusual,
            elsewhere=functools.partial(Departure, self._send, self._patience.stall_seconds, self._keep),
            gate=self._gate,
            patience=self._patience,
            alarm=self._alarm,
            express=_Express(self._app, self._scope),
        )

    async def listen(self, make: Make) -> Sequence[asyncio.Server]:
        return await self.opened(make, self._sockets)

    def _keep(self, splice: Splice) -> None:
        """A shutdown waits for it."""
        self._app.exchanges.add(splice)
        splice.task.add_done_callback(lambda _: self._app.exchanges.discard(splice))

    async def _answer(self, visit: FrontVisit) -> None:
        """What does not ride. The body says for whom it is."""
        ride, visit.ride = visit.ride, None
        if ride is not None:  # only what is served here has begun here
            await handle(self._app, visit, ride)
            return
        terms = terms_of(visit, self._app.edition(), self._app.now(), WIRES)
        if terms is None or not self._scope().admits(terms.caller):
            visit.hand_on(visit.content.look())
            return
        upload = _Upload()
        self._app.exchanges.add(upload)
        try:
            content = await _gathered(visit, terms)
        finally:
            self._app.exchanges.discard(upload)
        if content is None or await self._is_mine(terms, content):
            await handle(self._app, visit)
        else:
            visit.hand_on(content)

    async def _is_mine(self, terms: Terms, content: bytes) -> bool:
        route = terms.route
        try:
            peek = await body.peek(content, model=terms.model, is_stream=route.is_stream)
            if route.wire == RESPONSES and not stands_alone(content):
                return False
        except ProxyError:
            return False
        return self._scope().serves(peek.model, route.wire, terms.caller.client.reach)


class _Upload:
    """`proxy.server.app.Running`: a body that is still coming, for which a shutdown waits, too."""

    under_way = 1

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task: asyncio.Task[object] = task

    def leave(self) -> None:
        """It is waited for."""

    def stop(self, _failure: Failure) -> None:
        """Nobody knows yet in which words to tell it."""
        self.task.cancel()


async def _gathered(visit: FrontVisit, terms: Terms) -> bytes | None:
    """The body, which can be read again. None: there is something wrong with it, which will be found once more."""
    if visit.content.is_complete:
        return visit.content.look()
    try:
        content = await body.read(visit.content, visit.headers, body.Limits(bytes_max=terms.bytes_max))
    except ProxyError as error:
        visit.content.fail(error)
        return None
    visit.content = Intake.of(content)
    return content


def _is_unusual(head: Head) -> bool:
    """By its head alone it is the owner's."""
    return (
        head.method != "POST"
        or not head.length
        or not head.is_1_1
        or head.is_upgrade
        or "expect" in head.headers
        or "content-encoding" in head.headers
    )


class _Express(Express):
    def __init__(self, app: App, scope: Callable[[], Scope]) -> None:
        super().__init__(app)
        self._scope = scope

    def terms(self, visit: Visit) -> Terms | None:
        terms = super().terms(visit)
        return terms if terms is not None and self._scope().admits(terms.caller) else None
