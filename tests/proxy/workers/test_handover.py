"""Connections that go from one process to another, here from one end of a link to the other."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import cast

import pytest
import uvloop

from proxy.workers.handover import Departure, arrive
from proxy.workers.messages import Handover
from proxy.workers.splice import Splice
from tests.pace import SECONDS_MAX

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
LARGE = 20_000_000


def nobody(_splice: Splice) -> None:
    """There is none without TLS."""


class First(asyncio.Protocol):
    """Answers so many bytes, and hands on what it has read."""

    def __init__(self, size: int, departure: Callable[[], Departure]) -> None:
        self._size = size
        self._departure = departure

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"1" * self._size)
        departure = self._departure()
        self.transport.set_protocol(departure)
        departure.connection_made(self.transport)
        departure.data_received(data)


class Second(asyncio.Protocol):
    """Says it again."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"2" + data)


async def _goes_over(size: int) -> None:
    loop, arriving = asyncio.get_running_loop(), []

    def send(handover: Handover, descriptor: int) -> None:
        brought = socket.socket(fileno=os.dup(descriptor))
        arriving.append(loop.create_task(arrive(brought, handover, Second)))

    server = await loop.create_server(lambda: First(size, lambda: Departure(send, 5.0, nobody)), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello")
    assert await reader.readexactly(size + 6) == b"1" * size + b"2hello"
    writer.write(b"again")
    assert await reader.readexactly(6) == b"2again"
    await asyncio.gather(*arriving)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("size", [0, 5, LARGE])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_goes_over_when_all_that_was_said_has_left(loop: str, size: int) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_goes_over(size))


async def test_who_does_not_read_is_dropped() -> None:
    sent: list[Handover] = []
    loop = asyncio.get_running_loop()
    departure = Departure(lambda handover, _: sent.append(handover), 0.05, nobody)
    server = await loop.create_server(lambda: First(LARGE, lambda: departure), "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.sendall(b"hello")
        client.setblocking(False)
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                await asyncio.sleep(0.1)
                try:
                    await loop.sock_sendall(client, b"x")
                except ConnectionError:
                    break
    assert sent == []
    server.close()
    await server.wait_closed()


async def test_a_client_that_is_gone_meanwhile_is_nobody() -> None:
    near, far = socket.socketpair()
    near.close()
    await arrive(far, Handover(data=b"hello"), Second)
    await asyncio.sleep(0)


async def test_what_cannot_be_sent_is_closed() -> None:
    def fail(_handover: Handover, _descriptor: int) -> None:
        raise OSError(24, "Too many open files")

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: First(0, lambda: Departure(fail, 5.0, nobody)), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    server.close()
    await server.wait_closed()
