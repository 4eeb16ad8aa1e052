from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from proxy.observe.recording import Frame, Recording, Request, Response
from proxy.upstream.replay_server import ReplayServer, parsed

Play = Callable[..., Awaitable[ReplayServer]]
OK = Recording(request=Request(path="/v1"), response=Response(frames=(Frame(data=b"{}"),)))


async def say(server: ReplayServer, data: bytes) -> bytes:
    """Everything that comes until it is quiet: the request asks for the connection's end, or the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_requests_are_kept_as_they_came(play: Play) -> None:
    server = await play(OK)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /v1?a=1&b=%20&a=2 HTTP/1.1\r\nhOST: x\r\nX-One:  a b \r\nx-one: c\r\nContent-Length: 3\r\n\r\nab"
    )
    writer.write(b"c")
    assert await reader.readuntil(b"{}") == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    received = await server.received(1)
    assert received.target == "/v1?a=1&b=%20&a=2"
    assert received.request == Request(
        method="POST",
        path="/v1",
        query=(("a", "1"), ("b", " "), ("a", "2")),
        headers=(("hOST", "x"), ("X-One", "a b"), ("x-one", "c"), ("Content-Length", "3")),
        body=b"abc",
    )
    await received.answered.wait()
    assert not received.gone.is_set()
    writer.close()
    await writer.wait_closed()


async def test_two_requests_in_one_packet(play: Play) -> None:
    server = await play(OK)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /v1 HTTP/1.1\r\n\r\nPOST /v2 HTTP/1.1\r\n\r\n")
    assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 ")
    assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 404 ")
    assert [(received.request.path, received.connection) for received in server.requests] == [("/v1", 1), ("/v2", 1)]
    writer.close()
    await writer.wait_closed()


async def test_a_chunked_request_that_waits_to_be_asked(play: Play) -> None:
    server = await play(OK)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /v1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    await reader.readuntil(b"{}")
    assert server.requests[0].request.body == b"abcde"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"a" * 300_000, b"G\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n"],
)
async def test_what_is_not_http_ends_the_connection(play: Play, data: bytes) -> None:
    server = await play(OK)
    with suppress(ConnectionResetError):  # where it did not read all of it
        assert await say(server, data) == b""
    assert not server.requests


async def test_a_client_that_goes_is_seen(play: Play) -> None:
    frames = tuple(Frame(data=b"x", after_seconds=after) for after in (0, 60))
    server = await play(Recording(request=Request(path="/v1"), response=Response(frames=frames, is_streamed=True)))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /v1 HTTP/1.1\r\n\r\n")
    assert await reader.readuntil(b"1\r\nx\r\n") == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    writer.transport.abort()
    received = await server.received(1)
    await received.gone.wait()
    assert not received.answered.is_set()


async def test_older_requests_are_forgotten(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.upstream.replay_server.REQUESTS_KEPT", 2)
    server = await play(OK)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for number in range(3):
        writer.write(b"POST /v1?n=%d HTTP/1.1\r\n\r\n" % number)
        await reader.readuntil(b"{}")
    assert [received.target for received in server.requests] == ["/v1?n=1", "/v1?n=2"]
    assert (await server.received(3)).target == "/v1?n=2"
    writer.close()
    await writer.wait_closed()


def test_targets() -> None:
    request = parsed("get", "https://api.example.com:8443/v1beta/models/a%2Fb:x?alt=sse&k=", (), b"")
    assert (request.method, request.path, request.query) == (
        "GET",
        "/v1beta/models/a/b:x",
        (("alt", "sse"), ("k", "")),
    )
    assert parsed("GET", "http://host", (), b"").path == ""


async def test_who_wants_a_websocket_is_told_to_come_without(play: Play) -> None:
    server = await play(OK)
    handshake = b"GET /v1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    told = await say(server, handshake + b"POST /v1 HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 426 ")
    assert told.endswith(b"{}")
    assert [received.request.method for received in server.requests] == ["POST"]
