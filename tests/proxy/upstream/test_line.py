"""The sockets of one client's connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from proxy.upstream import line as module
from proxy.upstream.line import KNOWN_MAX, SOCKETS_MAX, Line, Socket
from tests.pace import SECONDS_MAX
from tests.socket_vendor import Close, Deaf, Hold, SocketVendor, messages


@pytest.fixture
async def vendor() -> AsyncIterator[SocketVendor]:
    async with SocketVendor() as vendor:
        yield vendor


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    line.close()
    await asyncio.sleep(0)


async def opened(session: aiohttp.ClientSession, vendor: SocketVendor, line: Line, key: str = "k") -> Socket:
    websocket = await session.ws_connect(f"{vendor.url}/responses", autoclose=False, autoping=False, decode_text=False)
    socket = Socket(websocket, key=key, host="h", headers={})
    line.add(socket)
    return socket


async def test_the_ones_that_rested_longest_make_room(
    session: aiohttp.ClientSession, vendor: SocketVendor, line: Line
) -> None:
    sockets = [await opened(session, vendor, line) for _ in range(SOCKETS_MAX)]
    sockets[0].is_busy = True
    new = await opened(session, vendor, line)
    assert [each.is_closed for each in sockets] == [False, True, *([False] * (SOCKETS_MAX - 2))]
    assert line.take("k", "") is new, "the last one is the likeliest to be open"


async def test_who_may_be_taken(session: aiohttp.ClientSession, vendor: SocketVendor, line: Line) -> None:
    old, new = [await opened(session, vendor, line) for _ in range(2)]
    old.remember("resp_1")
    assert line.take("k", "resp_1") is old
    assert line.take("k", "resp_2") is None
    assert line.take("other", "") is None
    assert line.knows("resp_1")
    old.is_busy = True
    assert line.take("k", "resp_1") is None
    assert line.take("k", "") is new
    old.hang_up()
    assert not line.knows("resp_1")


async def test_memory_is_bounded(session: aiohttp.ClientSession, vendor: SocketVendor, line: Line) -> None:
    socket = await opened(session, vendor, line)
    for number in range(KNOWN_MAX + 1):
        socket.remember(str(number))
    assert (socket.knows("0"), socket.knows("1")) == (False, True)


async def test_the_end_is_noticed_while_it_rests(
    session: aiohttp.ClientSession, vendor: SocketVendor, line: Line
) -> None:
    vendor.plays = lambda _asked: [*messages(response_id="r"), Close(1001)]
    socket = await opened(session, vendor, line)
    await socket.say(b'{"model":"m"}')
    heard = []
    while (message := await socket.hear()) is not None:
        heard.append(message)
    assert heard == messages(response_id="r")
    assert (socket.is_closed, socket.close_code) == (True, 1001)
    assert await socket.hear() is None
    assert line.take("k", "") is None


async def test_a_dead_peer_is_given_up(
    session: aiohttp.ClientSession, vendor: SocketVendor, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.01)
    monkeypatch.setattr(module, "SILENCE_SECONDS_MAX", 0.05)
    vendor.plays = lambda _asked: [Deaf()]
    socket = await opened(session, vendor, line)
    await socket.say(b'{"model":"m"}')
    async with asyncio.timeout(SECONDS_MAX):
        assert await socket.hear() is None
    assert socket.is_closed


async def test_a_slow_reader_stops_the_reading(
    session: aiohttp.ClientSession, vendor: SocketVendor, line: Line
) -> None:
    many = [b'{"type":"n","n":%d}' % number for number in range(500)]
    vendor.plays = lambda _asked: [*many, Hold()]
    socket = await opened(session, vendor, line)
    await socket.say(b'{"model":"m"}')
    assert [await socket.hear() for _ in many] == many
