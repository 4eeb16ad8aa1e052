"""A call that a client said on a WebSocket is said on one, where its provider listens; else it goes over HTTP.

The answer comes as the server-sent events that HTTP would have brought, with the status and headers that an error
message names, so that nobody further up needs to know. Whoever closes a socket before it has said anything has not
answered: what was said there is said anew.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType

import aiohttp
import msgspec
from aiohttp import ClientWSTimeout, WSCloseCode
from multidict import CIMultiDict
from yarl import URL

from proxy.errors import Broken, Silent
from proxy.upstream.base import Answer, Call, Spoken
from proxy.upstream.codex_limits import headers_of, is_limits
from proxy.upstream.connection import BODY_BYTES_MAX, UPLOAD_BYTES_PER_SECOND
from proxy.upstream.failures import RAISED, is_unreachable, not_sent, too_long
from proxy.upstream.headers import incoming, outgoing
from proxy.upstream.http import HttpUpstream
from proxy.upstream.line import Socket
from proxy.upstream.own_answer import Told

HANDSHAKE_SECONDS = 10.0
"""Some who stand in between swallow what they do not know."""
CLOSE_SECONDS = 2.0
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""Of a provider; as much as a frame of server-sent events may have."""
DEAF_SECONDS = 600.0
"""For so long an address that has no WebSocket is asked over HTTP at once."""
ADDRESSES_MAX = 1024
_BUSY = frozenset({401, 403, 408, 421, 429})
"""Refuses the account or the moment, not the WebSocket; nor does what is 5xx, but for 501."""
_OF_ANOTHER_KIND = frozenset(
    {
        WSCloseCode.PROTOCOL_ERROR,
        WSCloseCode.UNSUPPORTED_DATA,
        WSCloseCode.INVALID_TEXT,
        WSCloseCode.POLICY_VIOLATION,
    }
)
"""How a socket is closed that is for something else than the Responses API."""
_STREAM: Mapping[str, str] = MappingProxyType({"content-type": "text/event-stream"})
_JSON: Mapping[str, str] = MappingProxyType({"content-type": "application/json"})
_ENDING = re.compile(rb'"type"\s*:\s*"(?:response\.(?:completed|incomplete|failed)|error)"')
"""What a model writes cannot look like it: its quotes are escaped."""
_FULL = b"websocket_connection_limit_reached"
"""The code of the error by which OpenAI ends a socket after an hour."""


class _Response(msgspec.Struct):
    id: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    status: int | None = None
    headers: dict[str, str | int | float | bool | None] | None = None
    response: _Response | None = None


_event = msgspec.json.Decoder(_Event).decode


class SocketUpstream:
    """`proxy.upstream.base.Upstream` around `http`."""

    def __init__(self, http: HttpUpstream, *, now: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._now = now
        self._deaf: dict[tuple[str, str | None], float] = {}
        self._listening: set[asyncio.Task[None]] = set()

    async def send(self, call: Call) -> Answer:
        spoken = call.spoken
        if spoken is None:
            return await self._http.send(call)
        key = (call.url, call.proxy_url, spoken.headers)
        socket = spoken.line.take(key, spoken.previous)
        if socket is not None:
            answer = await self._ask(socket, call, spoken)
            if answer is not None:
                return answer
        if spoken.previous:
            return _forgotten(spoken.previous)
        socket = await self._open(call, spoken)
        answer = None if socket is None else await self._ask(socket, call, spoken)
        if answer is not None:
            return answer
        return _refused() if spoken.is_prewarm else await self._http.send(call)

    async def close(self) -> None:
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await self._http.close()

    async def _open(self, call: Call, spoken: Spoken) -> Socket | None:
        """None: there is none to be had. Raises `Unreachable`."""
        address = (call.url, call.proxy_url)
        if self._deaf.get(address, 0.0) > self._now():
            return None
        url = URL(call.url, encoded=True)
        host = url.host or "the upstream"
        try:
            async with asyncio.timeout(call.deadlines.connect + HANDSHAKE_SECONDS):
                websocket = await self._http.session(call.proxy_url).ws_connect(
                    url,
                    headers=[each for each in outgoing(spoken.headers) if each[0] != "Accept-Encoding"],
                    timeout=ClientWSTimeout(ws_close=CLOSE_SECONDS),
                    autoclose=False,
                    autoping=False,
                    max_msg_size=MESSAGE_BYTES_MAX,
                    decode_text=False,
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status not in _BUSY and (error.status < 500 or error.status == HTTPStatus.NOT_IMPLEMENTED):
                self._note_deaf(address)
            return None
        except RAISED as error:
            if is_unreachable(error):
                raise not_sent(error, host) from None
            self._note_deaf(address)
            return None
        headers = incoming(websocket._response.headers)  # noqa: SLF001 - the handshake's, which aiohttp does not show
        socket = Socket(websocket, key=(*address, spoken.headers), host=host, headers=headers)
        self._listening.add(socket.task)
        socket.task.add_done_callback(self._listening.discard)
        spoken.line.add(socket)
        return socket

    def _note_deaf(self, address: tuple[str, str | None]) -> None:
        if len(self._deaf) >= ADDRESSES_MAX:
            self._deaf.clear()
        self._deaf[address] = self._now() + DEAF_SECONDS

    async def _ask(self, socket: Socket, call: Call, spoken: Spoken) -> Answer | None:
        """None: it ended without a word. Raises `Silent` or `Broken`."""
        limits = call.deadlines
        is_new = socket.is_new
        answer = SocketAnswer(socket, idle_seconds=limits.idle, ends_at=self._now() + limits.total, now=self._now)
        try:
            async with asyncio.timeout(limits.head + len(spoken.message) / UPLOAD_BYTES_PER_SECOND):
                await socket.say(spoken.message)
                is_there = await answer.begin()
        except TimeoutError:
            answer.abort()
            raise Silent(f"{socket.host} took the request and gave no answer in time", code="head_timeout") from None
        except ConnectionError:
            is_there = False
        except asyncio.CancelledError:
            answer.abort()
            raise
        if is_there:
            return answer
        socket.hang_up()
        if is_new and socket.close_code in _OF_ANOTHER_KIND:
            self._note_deaf((call.url, call.proxy_url))
        elif is_new and socket.close_code != WSCloseCode.MESSAGE_TOO_BIG:
            raise Broken(f"{socket.host} closed the WebSocket before its answer", code="cut")
        return None


class SocketAnswer:
    """`proxy.upstream.base.Answer`."""

    def __init__(self, socket: Socket, *, idle_seconds: float, ends_at: float, now: Callable[[], float]) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = _STREAM
        self._socket = socket
        self._idle_seconds = idle_seconds
        self._ends_at = ends_at
        self._now = now
        self._first = b""
        self._is_over = False

    async def begin(self) -> bool:
        """Waits for the first message. False: there was none."""
        headers: CIMultiDict[str] = CIMultiDict(self._socket.headers)
        self._socket.headers = {}
        while (message := await self._socket.hear()) is not None:
            if is_limits(message):
                headers.update(headers_of(message))
                continue
            self._note(message, headers)
            return not (self.status >= HTTPStatus.BAD_REQUEST and _FULL in message)
        return False

    def _note(self, message: bytes, headers: CIMultiDict[str]) -> None:
        """An error that comes first is the answer's head."""
        self._first = message
        event = self._look(message)
        kind: Mapping[str, str] = _STREAM
        if event is not None and event.type == "error" and event.status is not None:
            self.status = event.status if 400 <= event.status <= 599 else HTTPStatus.BAD_GATEWAY
            told = {name: str(value) for name, value in (event.headers or {}).items() if value is not None}
            headers.update(incoming(told))
            kind = _JSON
        headers.update(kind)
        self.headers = headers

    def _look(self, message: bytes) -> _Event | None:
        """What ends the answer."""
        if not _ENDING.search(message):
            return None
        try:
            event = _event(message)
        except ValueError:
            return None
        if event.type != "error" and not event.type.startswith("response."):
            return None
        if event.type in {"response.completed", "response.incomplete"} and event.response is not None:
            self._socket.remember(event.response.id)
        elif event.type not in {"response.failed", "error"}:
            return None
        self._is_over = True
        self._socket.rest()
        return event

    async def chunks(self) -> AsyncIterator[bytes]:
        size = 0
        message: bytes | None = self._first
        while message is not None:
            size += len(message)
            if size > BODY_BYTES_MAX:
                self.abort()
                raise too_long(self._socket.host, BODY_BYTES_MAX)
            if is_limits(message):
                self._socket.headers = {**self._socket.headers, **headers_of(message)}  # for the next answer
            else:
                yield b"data: " + message.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n"
            message = None if self._is_over else await self._next()

    async def _next(self) -> bytes:
        seconds = min(self._idle_seconds, self._ends_at - self._now())
        try:
            async with asyncio.timeout(seconds):
                message = await self._socket.hear()
        except TimeoutError:
            self.abort()
            raise Silent(f"{self._socket.host} fell silent in the middle of its answer", code="idle_timeout") from None
        if message is None:
            raise Broken(f"{self._socket.host} broke off its answer", code="cut")
        self._look(message)
        return message

    async def read(self, bytes_max: int) -> bytes:
        """Of an error: the message itself. Else all the events."""
        if self.status >= HTTPStatus.BAD_REQUEST:
            return self._first[:bytes_max]
        pieces: list[bytes] = []
        left = bytes_max
        async for piece in self.chunks():
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                self.abort()
                raise too_long(self._socket.host, bytes_max)
        return b"".join(pieces)

    async def release(self) -> None:
        self.abort()

    def abort(self) -> None:
        """What is still being said there belongs to nobody: the socket goes with it."""
        if not self._is_over:
            self._is_over = True
            self._socket.hang_up()


def _forgotten(response_id: str) -> Told:
    message = f"the WebSocket on which {response_id[:100]!r} was told is closed; send the whole conversation as input"
    return _error(HTTPStatus.BAD_REQUEST, message, "previous_response_not_found")


def _refused() -> Told:
    return _error(HTTPStatus.UPGRADE_REQUIRED, "the provider takes no WebSocket", "websocket_not_served")


def _error(status: int, message: str, code: str) -> Told:
    error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
    return Told(status, msgspec.json.encode({"error": error}))
