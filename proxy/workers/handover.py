"""How a client's connection goes from one process to another: its socket, and what was read of it.

The socket is the same, so that its addresses stay true; what was not read yet is read by whoever gets it. Of one with
TLS the keys cannot go along: it is spliced.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from proxy.workers.messages import Handover
from proxy.workers.splice import Named, Splice

Send = Callable[[Handover, int], None]
"""With a file descriptor, which stays its owner's."""


class Departure(asyncio.Protocol):
    """Takes a connection over from the protocol that has read it, and sends it off, when all that was answered on it
    has left. A client that does not read that within `stall_seconds` is dropped.
    """

    def __init__(self, send: Send, stall_seconds: float, keep: Callable[[Splice], None]) -> None:
        """`keep`: told of a splice that has begun."""
        self._send = send
        self._keep = keep
        self._stall_seconds = stall_seconds
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """What was read: once."""
        assert self._transport is not None
        self._data += data
        if self._transport.get_extra_info("ssl_object") is not None:
            self._splice(self._transport)
        elif self._transport.get_write_buffer_size():
            self._timer = asyncio.get_running_loop().call_later(self._stall_seconds, self._transport.abort)
            self._transport.set_write_buffer_limits(0)
        else:
            self._leave()

    def resume_writing(self) -> None:
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        if self._timer is not None:
            self._timer.cancel()

    def _leave(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._transport = None
        found = transport.get_extra_info("socket")
        with suppress(OSError):  # there are too many files: the client asks anew
            self._send(Handover(data=self._data), found.fileno())
        transport.abort()  # of this process's own end of it

    def _splice(self, transport: asyncio.Transport) -> None:
        peer, local = (transport.get_extra_info(name)[:2] for name in ("peername", "sockname"))
        near, far = socket.socketpair()
        try:
            with far:
                self._send(Handover(data=self._data, peer=peer, local=local), far.fileno())
        except OSError:
            near.close()
            transport.abort()
            return
        self._keep(Splice(transport, near))


class Arrival(asyncio.Protocol):
    """Keeps what comes until it is known whose it is."""

    def __init__(self) -> None:
        self.data = b""
        self.is_over = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        """Whoever sends no more is taken to be gone: the transport closes."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.is_over = True


async def arrive(brought: socket.socket, handover: Handover, protocol: Callable[[], asyncio.Protocol]) -> None:
    """Raises OSError, where it is gone meanwhile."""
    loop = asyncio.get_running_loop()
    brought.setblocking(False)
    transport, arrival = await loop.connect_accepted_socket(Arrival, brought)
    if arrival.is_over or transport.is_closing():
        return
    taker = protocol()
    transport.set_protocol(taker)
    taker.connection_made(Named.of(transport, handover) if handover.peer[0] else transport)
    if not transport.is_closing():
        taker.data_received(handover.data + arrival.data)
