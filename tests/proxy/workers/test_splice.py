"""Several workers with TLS: the real program, and connections that are passed on through a follower."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from proxy.hub.events import Failure
from proxy.workers.splice import Named, Splice
from tests.certificates import write_certificate
from tests.pace import SECONDS_MAX
from tests.proxy.workers.stage import FREE, LIMITED, requests_in, staged, until
from tests.proxy.workers.test_handover import LOOPS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="which process has a connection is read from /proc")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder: cert.pem for 127.0.0.1, which signs itself, and key.pem."""
    folder = tmp_path_factory.mktemp("tls")
    write_certificate(folder)
    return folder


async def test_what_needs_the_owner_is_passed_on_and_lasts_over_a_sigterm(tmp_path: Path, certificate: Path) -> None:
    more = f"tls: {{enable: true, cert: {certificate}/cert.pem, key: {certificate}/key.pem}}\n"
    trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    async with staged(tmp_path, more, workers=2, trusting=trusting) as stage:
        follower = stage.followers[2]
        connection = await stage.connected_to(follower)
        assert (await connection.asked()).status == 200
        assert (await connection.asked(LIMITED)).headers["x-ratelimit-limit-requests"] == "1000"
        assert (await connection.asked(LIMITED, padding="x" * 3_000_000)).status == 200
        assert (await connection.asked()).status == 200
        usage = await connection.got("/v0/management/usage")  # for this machine only: its address is known there
        assert usage["totals"]["requests"] == 4

        for pid in (follower, stage.owner):
            fresh = await stage.connected_to(pid)
            assert requests_in(await fresh.got("/metrics", FREE)) == 4
            await fresh.close()

        streaming = await stage.connected_to(follower)
        streaming.ask(LIMITED, stream=True)
        await streaming.reader.readuntil(b"hel")
        gone = await stage.connected_to(follower)
        gone.ask(LIMITED, stream=True)
        await gone.reader.readuntil(b"hel")
        await gone.close()
        await until(lambda: any(row[1] == 499 for row in stage.rows()), "the owner is not told that the client is gone")
        stage.running.process.send_signal(signal.SIGTERM)
        stage.vendor.go_on.set()
        assert b"[DONE]" in await streaming.reader.readuntil(b"[DONE]")
        async with asyncio.timeout(SECONDS_MAX):
            assert await stage.running.process.wait() == 0
        assert sorted(row[1] for row in stage.rows()) == [200] * 5 + [499]


async def test_a_name_that_was_told_and_all_else_as_it_is() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *address)
    named = Named(transport, {"peername": ("192.0.2.7", 5)})
    assert named.get_extra_info("peername") == ("192.0.2.7", 5)
    assert named.get_extra_info("sockname") == transport.get_extra_info("sockname")
    assert named.get_extra_info("nothing", "else") == "else"
    named.close()
    assert transport.is_closing()
    server.close()
    await server.wait_closed()


class Spliced(asyncio.Protocol):
    """A connection, as soon as its first byte was read. `far`: the other end of the pair."""

    def __init__(self, made: asyncio.Future[tuple[Splice, socket.socket]]) -> None:
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert data == b"!"
        self._transport.pause_reading()
        near, far = socket.socketpair()
        self._made.set_result((Splice(self._transport, near), far))


async def echo(far: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=far)
    while data := await reader.read(100_000):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_all_bytes_go_both_ways_however_slowly_they_are_read(loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_there_and_back())


@asynccontextmanager
async def spliced() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Splice, asyncio.Task[None]]]:
    """A client's ends of it, and who says everything again."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[tuple[Splice, socket.socket]] = loop.create_future()
    server = await loop.create_server(lambda: Spliced(made), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"!")
    splice, far = await made
    echoing = loop.create_task(echo(far))
    async with asyncio.timeout(SECONDS_MAX):
        yield reader, writer, splice, echoing
        await asyncio.wait({splice.task, echoing})
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def _there_and_back() -> None:
    sent = os.urandom(5_000_000)
    async with spliced() as (reader, writer, _splice, _echoing):
        writer.write(sent)
        came = await reader.readexactly(1000)
        await asyncio.sleep(0.05)  # the way back is full, and so is the way there
        came += await reader.readexactly(len(sent) - 1000)
        assert came == sent
        writer.close()


async def test_one_that_is_stopped_closes_both_ends() -> None:
    async with spliced() as (reader, writer, splice, _echoing):
        splice.leave()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        splice.stop(Failure(kind="server", status=503, message="we go"))
        with suppress(ConnectionError):
            assert await reader.read() == b""
