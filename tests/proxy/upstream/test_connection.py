"""What a provider may say on a connection, and when: `tests/proxy/upstream/test_http.py` has the faults."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from proxy.errors import Broken, Unreachable
from proxy.upstream import direct
from proxy.upstream.base import Call, Deadlines
from proxy.upstream.connection import HEAD_BYTES_MAX
from proxy.upstream.direct import DirectUpstream
from tests.pace import SECONDS_MAX

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Provider:
    """Says the next of its `lines` for each request; remembers how often it was connected to."""

    def __init__(self, lines: list[tuple[bytes, ...]]) -> None:
        self.lines = lines
        self.connections = 0
        self.url = ""
        self.requests: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while self.lines:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                for piece in self.lines.pop(0):
                    writer.write(piece)
                    await asyncio.sleep(0.01)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


Play = Callable[..., Awaitable[Provider]]


@pytest.fixture
async def play() -> AsyncIterator[Play]:
    servers: list[asyncio.Server] = []

    async def start(*lines: tuple[bytes, ...]) -> Provider:
        provider = Provider([*lines])
        servers.append(await asyncio.start_server(provider.serve, "127.0.0.1", 0))
        provider.url = f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}/v1"
        return provider

    yield start
    for server in servers:
        server.close()


@pytest.fixture
async def upstream() -> AsyncIterator[DirectUpstream]:
    upstream = DirectUpstream(ssl.create_default_context())
    yield upstream
    await upstream.close()
    await asyncio.sleep(0.02)


def call(provider: Provider, **changes: object) -> Call:
    return Call(method="GET", url=provider.url, **changes)  # type: ignore[arg-type]  # the tests name them


async def ask(upstream: DirectUpstream, provider: Provider) -> bytes:
    return await (await upstream.send(call(provider))).read(100_000)


class TestHeads:
    @pytest.mark.parametrize(
        "said",
        [
            (ANSWER,),
            tuple(bytes([byte]) for byte in ANSWER),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER,),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", ANSWER),
            (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}",),
            (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nX: y\r\n\r\n",),
        ],
    )
    async def test_they_are_read_as_they_come(
        self, play: Play, upstream: DirectUpstream, said: tuple[bytes, ...]
    ) -> None:
        provider = await play(said, (ANSWER,))
        assert [await ask(upstream, provider) for _ in range(2)] == [b"{}", b"{}"]
        assert provider.connections == 1

    @pytest.mark.parametrize("version", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"])
    async def test_without_a_length_the_end_of_the_connection_is_the_bodys(
        self, play: Play, upstream: DirectUpstream, version: bytes
    ) -> None:
        provider = await play((version, b"{", b"}"))
        assert await ask(upstream, provider) == b"{}"

    @pytest.mark.parametrize(
        "said",
        [
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2 * HEAD_BYTES_MAX,
            b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * HEAD_BYTES_MAX,
        ],
    )
    async def test_what_is_no_head_breaks(self, play: Play, upstream: DirectUpstream, said: bytes) -> None:
        provider = await play((said,))
        with pytest.raises(Broken):
            await ask(upstream, provider)


class TestKeeping:
    async def test_what_is_said_unasked_is_never_an_answer(self, play: Play, upstream: DirectUpstream) -> None:
        """Neither behind an answer nor later: the connection is not used again."""
        provider = await play((ANSWER + ANSWER.replace(b"{}", b"!!"),), (ANSWER,), (ANSWER,))
        assert await ask(upstream, provider) == b"{}"
        await asyncio.sleep(0.05)
        assert await ask(upstream, provider) == b"{}"
        provider.writers[-1].write(ANSWER.replace(b"{}", b"!!"))
        await asyncio.sleep(0.05)
        assert await ask(upstream, provider) == b"{}"
        assert provider.connections == 3

    @pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Le", b"H", b"garbage", b"\0"])
    async def test_not_even_a_part_of_it(self, play: Play, upstream: DirectUpstream, more: bytes) -> None:
        provider = await play((ANSWER + more,), (ANSWER,))
        assert [await ask(upstream, provider) for _ in range(2)] == [b"{}", b"{}"]
        assert provider.connections == 2

    async def test_a_connection_that_was_closed_is_not_used(self, play: Play, upstream: DirectUpstream) -> None:
        provider = await play((ANSWER,), (ANSWER,))
        await ask(upstream, provider)
        provider.writers[-1].close()
        await asyncio.sleep(0.05)
        assert await ask(upstream, provider) == b"{}"
        assert provider.connections == 2

    async def test_idle_ones_are_closed(
        self, play: Play, upstream: DirectUpstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(direct, "KEEPALIVE_SECONDS", 0.05)
        provider = await play((ANSWER,), (ANSWER,))
        await ask(upstream, provider)
        async with asyncio.timeout(SECONDS_MAX):
            while upstream._connections:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        assert await ask(upstream, provider) == b"{}"
        assert provider.connections == 2

    async def test_there_are_only_so_many(
        self, play: Play, upstream: DirectUpstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(direct, "CONNECTIONS_MAX", 2)
        provider = await play(*[(ANSWER,)] * 9)
        answers = [await upstream.send(call(provider)) for _ in range(2)]
        with pytest.raises(Unreachable) as caught:
            await upstream.send(call(provider, deadlines=Deadlines(connect=0.05)))
        assert caught.value.code == "connect_timeout"
        waiting = asyncio.create_task(ask(upstream, provider))
        await asyncio.sleep(0)
        for answer in answers:
            await answer.read(100)
        assert await waiting == b"{}"
        assert provider.connections == 2
        elsewhere = await play((ANSWER,))
        assert await ask(upstream, elsewhere) == b"{}", "an idle one makes room"

    async def test_whoever_gives_up_waiting_takes_no_place(
        self, play: Play, upstream: DirectUpstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(direct, "CONNECTIONS_MAX", 1)
        provider = await play(*[(ANSWER,)] * 9)
        answer = await upstream.send(call(provider))
        first, second = (asyncio.create_task(ask(upstream, provider)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        await answer.read(100)
        async with asyncio.timeout(SECONDS_MAX):
            assert await second == b"{}"
