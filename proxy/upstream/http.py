"""HTTP to a provider: one session (connection pool, resolver, TLS) for each egress proxy.

No redirect is followed, no cookie kept, no environment variable heeded, no header added but those of the connection.
Certificates are always verified, against the system's store or what ``SSL_CERT_FILE`` names.

A connection is used again only after an answer that was read to its end. A call that is cancelled, an answer that is
aborted, broken or released early: its connection is closed at once, whatever was still to be sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from functools import lru_cache, partial

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from aiohttp.payload import BytesPayload, Payload
from aiohttp_socks import ProxyConnector, ProxyType
from yarl import URL

from proxy.codings import decoder
from proxy.upstream.base import Answer, Call, Deadlines, Ready
from proxy.upstream.connection import BODY_BYTES_MAX, PIECE_BYTES, READ_AHEAD_BYTES, UPLOAD_BYTES_PER_SECOND
from proxy.upstream.direct import CONNECTIONS_MAX, KEEPALIVE_SECONDS, DirectUpstream
from proxy.upstream.failures import RAISED, in_body, no_head, not_sent, too_long
from proxy.upstream.headers import incoming, outgoing

HEAD_FIELD_BYTES_MAX = 32 * 1024

_EGRESS_SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})
_NOT_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class AiohttpUpstream:
    """`proxy.upstream.base.Upstream` over real sockets, with or without an egress proxy. Within one event loop."""

    def __init__(self) -> None:
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._is_closed = False
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])

    async def send(self, call: Call) -> Answer:
        attempts: list[_Request] = []

        async def note(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            assert isinstance(request, _Request)
            attempts.append(request)
            return await handler(request)

        host = "the upstream"
        limits = call.deadlines
        try:
            url = URL(call.url, encoded=True)
            host = url.host or host
            async with asyncio.timeout(limits.connect + limits.head + len(call.body) / UPLOAD_BYTES_PER_SECOND):
                response = await self.session(call.proxy_url).request(
                    call.method,
                    url,
                    headers=outgoing(call.headers),
                    data=_payload(call.body),
                    allow_redirects=False,
                    timeout=_timeouts(limits),
                    middlewares=(note,),
                )
        except RAISED as error:
            cuts = [attempt.cut() for attempt in attempts]
            raise (no_head if any(cuts) else not_sent)(error, host) from None
        except asyncio.CancelledError:
            for attempt in attempts:
                attempt.cut()
            raise
        _expect_a_byte_every(limits.idle, response)
        return HttpAnswer(response, host)

    async def close(self) -> None:
        self._is_closed = True
        while self._sessions:
            await self._sessions.popitem()[1].close()

    def session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        """Of that egress proxy. Raises ValueError."""
        if self._is_closed:
            raise ValueError("the server is shutting down")
        key = "" if proxy_url is None or proxy_url == "direct" else proxy_url
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = self._open(URL(key))
        return session

    def _open(self, proxy: URL) -> aiohttp.ClientSession:
        """Raises ValueError when the egress proxy is not one."""
        if proxy != URL() and (proxy.scheme not in _EGRESS_SCHEMES or not proxy.host):
            raise ValueError("the egress proxy must be http://, https:// or socks5://host:port, or `direct`")
        connector = _socks5(proxy) if proxy.scheme.startswith("socks5") else aiohttp.TCPConnector
        return aiohttp.ClientSession(
            connector=connector(ssl=self._tls, limit=CONNECTIONS_MAX, keepalive_timeout=KEEPALIVE_SECONDS),
            proxy=proxy if proxy.scheme.startswith("http") else None,
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_AUTOMATIC,
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_AHEAD_BYTES,
            max_line_size=HEAD_FIELD_BYTES_MAX,
            max_field_size=HEAD_FIELD_BYTES_MAX,
        )


class HttpUpstream(AiohttpUpstream):
    """Straight to the provider where nothing stands in between, which is the usual case and the quicker way."""

    def __init__(self) -> None:
        super().__init__()
        self._direct = DirectUpstream(self._tls)

    async def send(self, call: Call) -> Answer:
        if call.proxy_url is None or call.proxy_url == "direct":
            return await self._direct.send(call)
        return await super().send(call)

    def ready(self, call: Call) -> Ready | None:
        """`proxy.upstream.base.Prompt`."""
        return None if call.proxy_url not in {None, "direct"} else self._direct.ready(call)

    async def close(self) -> None:
        await self._direct.close()
        await super().close()


def _socks5(proxy: URL) -> Callable[..., aiohttp.TCPConnector]:
    return partial(
        ProxyConnector,
        proxy.host or "",
        proxy.port or 1080,
        ProxyType.SOCKS5,
        username=proxy.user,
        password=proxy.password,
        rdns=True,  # names are resolved at the far end: nothing about the call leaks here
    )


class HttpAnswer:
    """`proxy.upstream.base.Answer`."""

    __slots__ = ("_host", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, host: str) -> None:
        self._response = response
        self._host = host
        self.status: int = response.status
        self.headers: Mapping[str, str] = incoming(response.headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            undo = decoder(self._response.headers.get("Content-Encoding"))
            read = self._response.content.readany
            while data := await read():
                for piece in (data,) if undo is None else undo.feed(data):
                    size += len(piece)
                    if size > BODY_BYTES_MAX:
                        self.abort()
                        raise too_long(self._host, BODY_BYTES_MAX)
                    yield piece
            if undo is not None:
                undo.finish()
        except RAISED as error:
            self.abort()
            raise in_body(error, self._host) from None

    async def read(self, bytes_max: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in self.chunks():
            pieces.append(piece)
            size += len(piece)
            if size > bytes_max:
                self.abort()
                raise too_long(self._host, bytes_max)
        return b"".join(pieces)

    async def release(self) -> None:
        self.abort()  # an answer that was read to its end has already given its connection back

    def abort(self) -> None:
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()


class _Request(aiohttp.ClientRequest):
    """Remembers what it was sent over: from then on bytes may have left."""

    _sent_over: asyncio.Transport | None = None

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        self._sent_over = conn.transport
        return await super().send(conn)

    def cut(self) -> bool:
        """After a failure: nothing more of it is sent. Tells whether anything may have been."""
        if self._sent_over is not None:
            self._sent_over.abort()
        return self._sent_over is not None


class _LargeBody(Payload):
    """Written in pieces, each when the one before has left: TLS over megabytes at once would hold up everybody."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._size = len(body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        view = memoryview(self._value)
        for start in range(0, len(view), PIECE_BYTES):
            await writer.write(view[start : start + PIECE_BYTES])


def _payload(body: bytes) -> Payload | None:
    if not body:
        return None
    return BytesPayload(body) if len(body) <= PIECE_BYTES else _LargeBody(body)


@lru_cache(maxsize=64)
def _timeouts(limits: Deadlines) -> aiohttp.ClientTimeout:
    """`sock_read` starts when the last byte was sent, and anew with each byte that comes."""
    return aiohttp.ClientTimeout(total=limits.total, connect=limits.connect, sock_read=limits.head)


def _expect_a_byte_every(seconds: float, response: aiohttp.ClientResponse) -> None:
    connection = response.connection  # None when the whole body came with the head
    if connection is not None and connection.protocol is not None and not response.content.is_eof():
        connection.protocol.read_timeout = seconds
        connection.protocol.start_timeout()
