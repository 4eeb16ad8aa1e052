"""Recordings on a real socket: an HTTP/1.1 server on 127.0.0.1 that plays them, faults included.

It reads requests as they came (names in their case and order) and remembers them; it answers by itself only what no
recording fits (404), and who wants a WebSocket (426).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, Self, cast
from urllib.parse import parse_qsl, unquote

import msgspec

from proxy.observe.recording import Frame, Recording, Request, Response
from proxy.upstream.faults import Plan, plan

HEAD_BYTES_MAX = 256 * 1024
REQUESTS_KEPT = 1000
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})


class Deck(Protocol):
    def draw(self, request: Request) -> Recording | None: ...


@dataclass(slots=True, kw_only=True, eq=False)
class Received:
    """A request, and what became of it. `connection` counts from 1: equal numbers shared one.

    `gone` is set when the client closed the connection before it had the whole answer; `answered` when it was sent.
    """

    request: Request
    target: str
    connection: int
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class ReplayServer:
    """``async with ReplayServer(deck) as server: … server.url …``. `pace` multiplies recorded waiting; 0 for none."""

    def __init__(self, deck: Deck, *, pace: float = 1.0, tls: ssl.SSLContext | None = None) -> None:
        self.deck = deck
        self.pace = pace
        self.requests: deque[Received] = deque(maxlen=REQUESTS_KEPT)
        self.connections = 0
        self._count = 0
        self._arrived = asyncio.Condition()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, ssl=self._tls)

    @property
    def port(self) -> int:
        assert self._server is not None, "not started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def received(self, number: int) -> Received:
        """The request of that number, from 1; waits until it is here."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._count >= number)
        return self.requests[number - 1 - (self._count - len(self.requests))]

    async def close(self) -> None:
        """At once: answers under way are cut."""
        if self._server is not None:
            self._server.close()
        tasks = [connection.cut() for connection in list(self._open)]
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def note(self, received: Received) -> None:
        async with self._arrived:
            self.requests.append(received)
            self._count += 1
            self._arrived.notify_all()

    def opened(self, connection: _Connection) -> int:
        self._open.add(connection)
        self.connections += 1
        return self.connections

    def closed(self, connection: _Connection) -> None:
        self._open.discard(connection)


class _Connection(asyncio.Protocol):
    """Reads requests and plays answers, one after the other."""

    def __init__(self, server: ReplayServer) -> None:
        self._server = server
        self._number = 0
        self._buffer = bytearray()
        self._has_data = asyncio.Event()
        self._may_write = asyncio.Event()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]
        self._current: Received | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are no instances of it
        self._may_write.set()
        self._number = self._server.opened(self)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._has_data.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.closed(self)
        if self._current is not None:
            self._current.gone.set()
        self._task.cancel()

    def cut(self) -> asyncio.Task[None]:
        self._current = None
        self._transport.abort()
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        with suppress(asyncio.CancelledError, ValueError):  # a request that is not HTTP ends the connection
            while (received := await self._next()) is not None:
                if _is_handshake(received.request):
                    self._transport.write(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
                    continue
                self._current = received
                await self._server.note(received)
                recording = self._server.deck.draw(received.request) or _miss(received.request)
                ending = await self._play(plan(recording), received.request.method)
                self._current = None
                received.answered.set()
                if ending == "reset":
                    self._transport.abort()
                if ending != "end" or _is_last(received.request):
                    break
        self._transport.close()

    async def _play(self, todo: Plan, method: str) -> str:
        """How it ended; ``end`` when the connection can be used again."""
        for frame in todo.raw:
            await self._write(frame, frame.data)
        if not todo.has_head:
            return await self._end(todo)
        has_body = method != "HEAD" and todo.status not in {204, 304}
        self._transport.write(_head(todo, has_body=has_body))
        if not has_body:
            return "end"
        left = todo.stop_after
        if left == 0:
            return await self._end(todo)
        for frame in todo.frames:
            data = frame.data if left is None else frame.data[:left]
            if data:
                await self._write(frame, _chunk(data) if todo.length is None else data)
            if left is not None:
                left -= len(data)
                if left == 0:
                    return await self._end(todo)
        if todo.ending != "end":
            return await self._end(todo)
        if todo.length is None:
            self._transport.write(b"0\r\n\r\n")
        return "end"

    async def _end(self, todo: Plan) -> str:
        if todo.ending == "stall":
            await asyncio.Event().wait()
        return todo.ending if todo.ending != "end" else "close"

    async def _write(self, frame: Frame, data: bytes) -> None:
        if seconds := frame.after_seconds * self._server.pace:
            await asyncio.sleep(seconds)
        await self._may_write.wait()
        self._transport.write(data)
        await asyncio.sleep(0)  # frames leave apart, and an endless answer notices that the client is gone

    async def _next(self) -> Received | None:
        head = await self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, *_ = [*first.split(" "), "", ""]
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        names = {name.lower(): value for name, value in headers}
        if names.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in names.get("transfer-encoding", "").lower():
            body = b"".join([chunk async for chunk in self._chunks()])
        else:
            body = await self._exactly(int(names.get("content-length", "0")))
        request = parsed(method, target, headers, body)
        return Received(request=request, target=target, connection=self._number)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while line := await self._until(b"\r\n"):
            size = int(line.split(b";")[0], 16)
            data = await self._exactly(size + 2)
            if not size:
                return
            yield data[:-2]

    async def _until(self, end: bytes) -> bytes | None:
        while (at := self._buffer.find(end)) < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                return None
            await self._more()
        return self._take(at + len(end))[: -len(end)]

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        return self._take(size)

    async def _more(self) -> None:
        self._has_data.clear()
        await self._has_data.wait()

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def parsed(method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes) -> Request:
    """`target`: as it stands in a request line; also with the server's address before it, as a proxy sends it on."""
    path, _, query = re.sub(r"\Ahttps?://[^/?]*", "", target).partition("?")
    return Request(
        method=method.upper(),
        path=unquote(path),
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        body=body,
    )


def _is_last(request: Request) -> bool:
    return any(name.lower() == "connection" and value.lower() == "close" for name, value in request.headers)


def _is_handshake(request: Request) -> bool:
    """Recordings are of HTTP: who wants a WebSocket is told to come without, and that is no request."""
    return any(name.lower() == "upgrade" and value.lower() == "websocket" for name, value in request.headers)


def _miss(request: Request) -> Recording:
    message = f"no recording of {request.method} {request.path} fits this request"
    body = msgspec.json.encode({"error": {"message": message, "type": "not_found_error", "code": "not_recorded"}})
    headers = (("Content-Type", "application/json"),)
    return Recording(request=request, response=Response(status=404, headers=headers, frames=(Frame(data=body),)))


def _head(todo: Plan, *, has_body: bool) -> bytes:
    try:
        reason = HTTPStatus(todo.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {todo.status} {reason}"]
    lines += (f"{name}: {value}" for name, value in todo.headers if name.lower() not in _FRAMING)
    if has_body:
        lines.append("Transfer-Encoding: chunked" if todo.length is None else f"Content-Length: {todo.length}")
    if todo.ending == "close":
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
