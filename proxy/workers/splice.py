"""A connection with TLS, which cannot go to another process as it is: its keys stay here. Its bytes are passed on, each
way, over a pair of sockets of which the other end goes in its place; whoever gets that is told whose it is.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any, cast

from proxy.hub.events import Failure
from proxy.workers.messages import Handover


class Splice:
    """`proxy.server.app.Running`, from when it is made until both ends are closed. To be made within the event loop."""

    under_way = 1

    def __init__(self, transport: asyncio.Transport, near: socket.socket) -> None:
        """`transport`: of the client, which is not read at present. `near`: the end of the pair that stays."""
        self._outer, self._inner = _Side(), _Side()
        self._outer.other, self._inner.other = self._inner, self._outer
        self._outer.connection_made(transport)
        transport.set_protocol(self._outer)
        self.task: asyncio.Task[object] = asyncio.create_task(self._run(transport, near))

    def leave(self) -> None:
        """It ends when whoever answers closes its end."""

    def stop(self, _failure: Failure) -> None:
        """Nobody here knows in which words to tell it."""
        self.task.cancel()

    async def _run(self, transport: asyncio.Transport, near: socket.socket) -> None:
        outer, inner = self._outer, self._inner
        near.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: inner, near)
            if not outer.closed.is_set():
                transport.resume_reading()
                await outer.closed.wait()
            if inner.transport is not None:
                inner.transport.close()
            await inner.closed.wait()
        finally:
            for each in (transport, inner.transport):
                if each is not None:
                    each.abort()


class _Side(asyncio.Protocol):
    """What comes here goes out at the other; whoever does not read stops whoever sends."""

    other: _Side
    transport: asyncio.Transport | None = None

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self.other.transport is not None, "nothing is read before there is somewhere to write it"
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.closed.set()
        if self.other.transport is not None:
            self.other.transport.close()  # when all has left


class Named:
    """A transport that says where its client is, as whoever has its other end has told. All else is the transport's."""

    def __init__(self, transport: asyncio.Transport, told: Mapping[str, object]) -> None:
        self._transport = transport
        self._told = told

    @classmethod
    def of(cls, transport: asyncio.Transport, handover: Handover) -> asyncio.Transport:
        return cast("asyncio.Transport", cls(transport, {"peername": handover.peer, "sockname": handover.local}))

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._told.get(name) or self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
