"""HTTP/1.1 straight to a provider, without an egress proxy: what nearly every call is.

aiohttp's client does it, too, and takes 85 µs for a call and an answer of 1 KB, sockets included; this takes 18. It
knows one thing only: a request that is ready, and its answer. Where a proxy stands in between, it is aiohttp's
(`proxy.upstream.http`), and both pass the same tests.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from functools import lru_cache, partial
from typing import NamedTuple

import aiohappyeyeballs
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from proxy.alarm import Alarm
from proxy.codings import decoder
from proxy.upstream.base import Call, Deadlines, Flowing
from proxy.upstream.begun import Begun
from proxy.upstream.connection import BODY_BYTES_MAX, Connection
from proxy.upstream.failures import RAISED, in_body, no_head, not_sent, too_long
from proxy.upstream.headers import outgoing
from proxy.upstream.names import Names

CONNECTIONS_MAX = 4096
"""In use and idle. A call beyond waits for one within its `Deadlines.connect`."""
KEEPALIVE_SECONDS = 30.0
EYEBALLS_SECONDS = 0.25
"""Before the next address of a name is tried, beside the one before (RFC 8305)."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


Origin = tuple[str, int, bool]
"""Host, port, and whether by TLS."""


class Address(NamedTuple):
    host: str
    port: int
    is_tls: bool
    authority: str
    target: str

    @property
    def origin(self) -> Origin:
        return self[:3]


@lru_cache(maxsize=4096)
def _address(url: str) -> Address:
    """Raises ValueError."""
    parsed = URL(url, encoded=True)
    if parsed.scheme not in {"http", "https"} or not parsed.raw_host or parsed.port is None:
        raise ValueError("it is no http:// or https:// address")
    is_default = parsed.explicit_port in {None, 443 if parsed.scheme == "https" else 80}
    name = f"[{parsed.raw_host}]" if ":" in parsed.raw_host else parsed.raw_host
    authority = name if is_default else f"{name}:{parsed.port}"
    return Address(parsed.raw_host, parsed.port, parsed.scheme == "https", authority, parsed.raw_path_qs)


@lru_cache(maxsize=4096)
def _head(method: str, authority: str, target: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """But for the body's length: the same for an account's every call. Raises ValueError on what HTTP cannot carry."""
    if any(each <= " " or each == "\x7f" for each in target + authority):
        raise ValueError("the address has a character that HTTP does not allow")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in outgoing(headers)]
    return "\r\n".join((*lines, "")).encode()


def _head_of(call: Call, address: Address) -> bytes:
    """Raises ValueError on what HTTP cannot carry."""
    head = _head(call.method, address.authority, address.target, call.headers)
    if call.body or call.method in _WITH_BODY:
        return head + b"Content-Length: %d\r\n\r\n" % len(call.body)
    return head + b"\r\n"


class DirectUpstream:
    """`proxy.upstream.base.Upstream`. To be used within one event loop; `proxy_url` is not looked at."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._alarm = Alarm()
        self._names = Names()
        self._connections: set[Connection] = set()
        self._idle: dict[Origin, list[Connection]] = {}
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    async def send(self, call: Call) -> DirectAnswer:
        begun, call.begun = call.begun, None
        address, connection = await self._asked(call) if begun is None else (_address(call.url), begun.leave())
        try:
            await connection.head()
        except RAISED as error:
            connection.abort()
            raise no_head(error, address.host) from None
        except asyncio.CancelledError:
            connection.abort()
            raise
        return DirectAnswer(self, connection, address)

    def ready(self, call: Call) -> AlwaysReady | None:
        """`proxy.upstream.base.Prompt`."""
        try:
            address = _address(call.url)
            head = _head(call.method, address.authority, address.target, call.headers)
        except ValueError:
            return None
        return AlwaysReady(self, address, head, call.deadlines) if call.method in _WITH_BODY else None

    async def _asked(self, call: Call) -> tuple[Address, Connection]:
        """Over a connection that stood ready, or a new one. Raises `Unreachable`."""
        limits, host = call.deadlines, "the upstream"
        began = asyncio.get_running_loop().time()
        try:
            if self._is_closed:
                raise ValueError("the server is shutting down")
            address = _address(call.url)
            host = address.host
            head = _head_of(call, address)
            connection = self.take(address) or await self._open(address, min(limits.connect, limits.total))
        except RAISED as error:
            raise not_sent(error, host) from None
        self._ask(connection, call, head, began)
        return address, connection

    def _ask(self, connection: Connection, call: Call, head: bytes, began: float) -> None:
        limits, is_bodiless = call.deadlines, call.method == "HEAD"
        connection.ask(head, call.body, limits, is_bodiless=is_bodiless, total_at=began + limits.total)

    async def close(self) -> None:
        self._is_closed = True
        for connection in tuple(self._connections):
            connection.abort()
        self._alarm.close()
        await self._names.close()
        await asyncio.sleep(0)  # transports say goodbye in the loop's next turn

    # connections

    def take(self, address: Address) -> Connection | None:
        """One that stands ready."""
        idle = self._idle.get(address.origin)
        while idle and not self._is_closed:
            connection = idle.pop()
            if not connection.is_done and not connection.transport.is_closing():
                return connection
        return None

    def give_back(self, address: Address, connection: Connection) -> None:
        """After an answer."""
        if not self._is_closed and connection.release():
            self._idle.setdefault(address.origin, []).append(connection)
            connection.keep_until(asyncio.get_running_loop().time() + KEEPALIVE_SECONDS)
            self._wake()

    async def _open(self, address: Address, seconds: float) -> Connection:
        """Raises what sockets and TLS raise."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            while len(self._connections) + self._opening >= CONNECTIONS_MAX:
                if not self._close_idle():
                    await self._room(loop)
            if connection := self.take(address):
                return connection
            self._opening += 1
            try:
                return await self._connected(loop, address, seconds)
            finally:
                self._opening -= 1

    async def _connected(self, loop: asyncio.AbstractEventLoop, address: Address, seconds: float) -> Connection:
        infos = await self._names.find(address.host, address.port)
        try:
            socket = await aiohappyeyeballs.start_connection(infos, happy_eyeballs_delay=EYEBALLS_SECONDS, loop=loop)
        except OSError as error:
            self._names.forget(address.host, address.port)
            # Where it has been in there knows it, too: together they would keep us, and the request, for the collector.
            raise error.with_traceback(None) from None
        connection: Connection | None = None
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(loop, self._alarm.expect, partial(self._lost, address.origin)),
                sock=socket,
                ssl=self._tls if address.is_tls else None,
                server_hostname=address.host if address.is_tls else None,
                ssl_handshake_timeout=seconds if address.is_tls else None,
            )
        finally:
            if connection is None:
                socket.close()
        self._connections.add(connection)
        self._alarm.members.add(connection)
        return connection

    async def _room(self, loop: asyncio.AbstractEventLoop) -> None:
        waiter = loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self._wake()  # it was our turn
            raise

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _close_idle(self) -> bool:
        """One, of whichever origin, the longest idle of it."""
        for idle in self._idle.values():
            if idle:
                connection = idle.pop(0)
                self._connections.discard(connection)
                connection.abort()
                return True
        return False

    def _lost(self, origin: Origin, connection: Connection) -> None:
        self._connections.discard(connection)
        self._alarm.members.discard(connection)
        idle = self._idle.get(origin)
        if idle is not None and connection in idle:
            idle.remove(connection)
        self._wake()


class AlwaysReady:
    """`proxy.upstream.base.Ready`."""

    __slots__ = ("_address", "_deadlines", "_head", "_keep", "_upstream")

    def __init__(self, upstream: DirectUpstream, address: Address, head: bytes, deadlines: Deadlines) -> None:
        """`head`: but for the body's length."""
        self._upstream = upstream
        self._address = address
        self._head = head
        self._deadlines = deadlines
        self._keep = partial(upstream.give_back, address)

    def begin(self, body: bytes, tell: Callable[[], None]) -> Begun | None:
        connection = self._upstream.take(self._address)
        if connection is None:
            return None
        deadlines = self._deadlines
        total_at = asyncio.get_running_loop().time() + deadlines.total
        head = self._head + b"Content-Length: %d\r\n\r\n" % len(body)
        connection.ask(head, body, deadlines, is_bodiless=False, total_at=total_at)
        return Begun(connection, tell, self._keep)


class DirectAnswer(Flowing):
    """`proxy.upstream.base.Answer`."""

    __slots__ = ("_address", "_connection", "_encoding", "_size", "_upstream", "headers", "status")

    def __init__(self, upstream: DirectUpstream, connection: Connection, address: Address) -> None:
        self._upstream = upstream
        self._connection: Connection | None = connection
        self._address = address
        self._encoding = connection.encoding
        self._size = 0
        self.status = connection.status
        self.headers: Mapping[str, str] = CIMultiDictProxy(CIMultiDict(connection.headers))

    async def chunks(self) -> AsyncIterator[bytes]:
        connection = self._connection
        if connection is None:
            return
        try:
            undo = decoder(self._encoding.decode("latin-1")) if self._encoding else None
            while await connection.wait():
                data = connection.more()
                for piece in (data,) if undo is None else undo.feed(data):
                    self._size += len(piece)
                    if self._size > BODY_BYTES_MAX:
                        self.abort()
                        raise too_long(self._address.host, BODY_BYTES_MAX)
                    yield piece
            if undo is not None:
                undo.finish()
        except RAISED as error:
            self.abort()
            raise in_body(error, self._address.host) from None
        self._give_back()

    async def flow(self, take: Callable[[bytes], bool]) -> None:
        """`proxy.upstream.base.Flowing`: a piece is handed on in the turn of the loop in which it comes (CPU of a frame
        that is relayed among a hundred streams: 22 µs, by tasks 29). `chunks` has given its first piece.
        """
        connection = self._connection
        if connection is None or self._encoding:
            return
        over = asyncio.get_running_loop().create_future()

        def look() -> None:
            data = b"" if over.done() else connection.more()
            self._size += len(data)
            goes_on = not data or take(data)
            is_over = connection.is_complete or connection.is_done or self._size > BODY_BYTES_MAX
            if (is_over or not goes_on) and not over.done():  # whoever takes may have ended it
                over.set_result(None)

        connection.listener = look
        try:
            look()
            await over
        finally:
            connection.listener = None

    async def read(self, bytes_max: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in self.chunks():
            pieces.append(piece)
            size += len(piece)
            if size > bytes_max:
                self.abort()
                raise too_long(self._address.host, bytes_max)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._upstream.give_back(self._address, connection)

    async def release(self) -> None:
        self.abort()  # an answer that was read to its end has already given its connection back

    def abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
