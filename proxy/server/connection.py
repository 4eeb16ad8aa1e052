"""A connection of a client that aiohttp reads, with the deadlines that it does not have; and how many there may be.

Connections come here from `proxy.server.front`, with a request for a WebSocket or the management API.
The deadline for a request's head stops slow headers; a body has its own (`proxy.server.body`); whoever does not read
its answer is dropped. `_request_in_progress`, `_messages` and `_request_count` are aiohttp's: the lock file pins it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from proxy.server.room import household, leaver, share
from proxy.wire.base import dumps

STALL_BYTES_PER_SECOND_MIN = 1024
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: 109\r\n\r\n"
    b'{"error":{"message":"too many connections; try again in a second","type":"server_error","code":"overloaded"}}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """`head`: from the first byte of a request to the end of its headers, and from connecting to there. `keepalive`:
    between two requests. `stall`: with a full buffer that the client does not read. `lingering`: for the rest of a body
    that was refused.
    """

    head_seconds: float = 15.0
    keepalive_seconds: float = 75.0
    stall_seconds: float = 60.0
    lingering_seconds: float = 5.0


class Guest(Protocol):
    """A connection, as far as it takes up room."""

    @property
    def is_busy(self) -> bool: ...

    def force_close(self) -> None: ...


class Gate:
    """Counts connections. At the limit, and at a peer's share of it, an idle one makes room for a new one."""

    def __init__(self, connections_max: Callable[[], int]) -> None:
        self._connections_max = connections_max
        self._connections: dict[Guest, str] = {}
        self._by_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._connections)

    def enter(self, connection: Guest, peer: str) -> bool:
        """Whether there is room."""
        most, whose = self._connections_max(), household(peer)
        if self._by_peer[whose] >= share(peer, most) and not self._evict(whose):
            return False
        if len(self._connections) >= most and not self._evict(None):
            return False
        self._connections[connection] = whose
        self._by_peer[whose] += 1
        return True

    def leave(self, connection: Guest) -> None:
        peer = self._connections.pop(connection, None)
        if peer is not None:
            self._by_peer[peer] -= 1
            if not self._by_peer[peer]:
                del self._by_peer[peer]

    @property
    def guests(self) -> tuple[Guest, ...]:
        return tuple(self._connections)

    def close_idle(self) -> None:
        for connection in [each for each in self._connections if not each.is_busy]:
            connection.force_close()

    def _evict(self, whose: str | None) -> bool:
        """`whose`: of one peer's only."""
        connections = self._connections.items()
        idle = ((guest, peer) for guest, peer in connections if not guest.is_busy and whose in {None, peer})
        guest = leaver(idle, self._by_peer)
        if guest is None:
            return False
        self.leave(guest)
        guest.force_close()
        return True


class Connection(web.RequestHandler):
    __slots__ = ("_gate", "_head_timer", "_patience", "_stall_timer", "received_at")

    def __init__(
        self, server: web.Server, gate: Gate, patience: Patience, *, loop: asyncio.AbstractEventLoop, **options: Any
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._gate = gate
        self._patience = patience
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self.received_at = loop.time()
        """When the last byte of the client's came, on the loop's clock."""

    @property
    def is_busy(self) -> bool:
        return bool(self._request_in_progress or self._messages)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        if not self._gate.enter(self, peer[0] if isinstance(peer, tuple) else ""):
            cast("asyncio.Transport", transport).write(BUSY)
            transport.close()
            return
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._gate.leave(self)
        self._head_came()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.received_at = self._loop.time()
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:
            self._head_came()
        elif self._head_timer is None and data and not self.is_busy:
            self._await_head()

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._patience.head_seconds, self.force_close)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _await_reader(self) -> None:
        left = self.transport.get_write_buffer_size() if self.transport is not None else 0
        self._stall_timer = self._loop.call_later(self._patience.stall_seconds, self._drop_stalled, left)

    def _drop_stalled(self, left: int) -> None:
        """A slow reader may go on, a stalled one may not."""
        if self.transport is None:
            return
        read = left - self.transport.get_write_buffer_size()
        if read >= STALL_BYTES_PER_SECOND_MIN * self._patience.stall_seconds:
            self._await_reader()
        else:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what was sent, keys and all
    ) -> web.StreamResponse:
        """What is no HTTP: nobody knows its route, so nobody knows its dialect."""
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is sent already")
        what, code = "something went wrong inside the proxy", "internal_error"
        if isinstance(exc, LineTooLong):
            status, what, code = 431, "a line of the request's head is too long", "headers_too_large"
        elif isinstance(exc, HttpProcessingError):
            what, code = "this is not valid HTTP", "invalid_http"
        else:
            self.log_exception("an answer could not be made", exc_info=exc)
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": what, "type": kind, "param": None, "code": code}
        response = web.Response(
            status=status,
            body=dumps({"error": error}),
            headers={"Content-Type": "application/json", "Server": "proxy"},
        )
        response.force_close()
        return response


class Server(web.Server):
    """Makes a `Connection` of each connection."""

    def __init__(self, handler: Any, gate: Gate, patience: Patience) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=patience.keepalive_seconds,
            lingering_time=patience.lingering_seconds,
        )
        self._gate = gate
        self._patience = patience

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._gate, self._patience, loop=self._loop, **self._kwargs)
