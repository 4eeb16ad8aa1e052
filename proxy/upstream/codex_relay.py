"""The way from Codex to its backend leads through here: what it asks goes on as it is, and the answer to whoever asked.

So the caller gets the backend's own answer, its status, headers and every event, at the moment that it comes; and
Codex can neither try again by itself nor go anywhere else. Each process has an address of its own that nobody guesses.
A request goes on only if it is the one turn that was just begun for a caller, and if it names the account that the
caller was given: one call to us is one request to the backend.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
from aiohttp import web

from proxy.errors import Broken, UpstreamError
from proxy.upstream.base import Answer, Call, Upstream
from proxy.upstream.cli_echo import body_of, echo
from proxy.upstream.codex_answer import Listener

ABOUT_SECONDS = 300.0
"""How long what the backend tells about an account (its settings, its workspaces) is believed. Codex asks before every
turn, and waits for it.
"""
ABOUT_BYTES_MAX = 4 * 1024 * 1024
ACCOUNT_HEADERS = ("authorization", "chatgpt-account-id")
_METADATA = "x-codex-turn-metadata"


class Unasked(Broken):
    """Codex has ended a turn without asking its backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """To one account's backend. `base`: ``https://chatgpt.com/backend-api``."""

    base: str
    proxy_url: str | None


class Exchange:
    """One turn's request to the backend and its answer, which the caller reads, and Codex after it."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.listener = Listener()
        self.asked = asyncio.Event()
        self.answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.is_cut = False
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._sending: asyncio.Task[Answer] | None = None
        self._answer: Answer | None = None

    @property
    def is_unasked(self) -> bool:
        """It is over, and the backend knows nothing of it."""
        return self.answered.done() and not self.answered.cancelled() and isinstance(self.answered.exception(), Unasked)

    async def send(self, http: Upstream, call: Call) -> Answer | None:
        """None: nothing came, or nobody waits for it any more."""
        if self.answered.done():
            return None
        sending = self._sending = asyncio.create_task(http.send(call))
        await asyncio.wait([sending])
        if sending.cancelled():
            return None
        error = sending.exception()
        if error is not None:
            self.fail(error)
            return None
        answer = self._answer = sending.result()
        if self.answered.done():
            answer.abort()
            return None
        self.answered.set_result(answer)
        return answer

    def fail(self, error: BaseException) -> None:
        self.asked.set()
        if not self.answered.done():
            self.answered.set_exception(error)
            self.answered.exception()  # it may be that nobody waits any more

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """For the caller. Raises `Silent` or `Broken`."""
        assert self._answer is not None
        try:
            async for piece in self._answer.chunks():
                self.listener.feed(piece)
                self._pieces.put_nowait(piece)
                yield piece
        finally:
            self.end()

    def end(self) -> None:
        """No more will come: Codex is told the end, or that there was none."""
        self.is_cut = self.is_cut or not self.listener.is_over
        self._pieces.put_nowait(None)

    def abort(self) -> None:
        self.answered.cancel()
        if self._sending is not None:
            self._sending.cancel()
        self.end()
        if self._answer is not None:
            self._answer.abort()

    async def echoed(self) -> AsyncIterator[bytes]:
        """For Codex."""
        while (piece := await self._pieces.get()) is not None:
            yield piece


@dataclass(slots=True, kw_only=True, eq=False)
class Line:
    """One process's way. `proxy`: for what it would ask of others, which is refused. `expected`: by thread, who waits
    for its next request. `on_stray`: a thread has asked for what nobody wanted of it.
    """

    address: str
    proxy: str
    way: Way
    on_stray: Callable[[str], None] = lambda _thread: None
    expected: dict[str, Exchange] = field(default_factory=dict)

    def expect(self, thread: str, call: Call) -> Exchange:
        exchange = self.expected[thread] = Exchange(call)
        return exchange


@dataclass(frozen=True, slots=True)
class _Told:
    at: float
    content_type: str
    body: bytes


class CodexRelay:
    """`http`: by which it goes on. `clock`: monotonic seconds."""

    def __init__(self, http: Upstream, *, clock: Callable[[], float]) -> None:
        self._http = http
        self._clock = clock
        self._lines: dict[str, Line] = {}
        self._told: dict[tuple[str, ...], _Told] = {}
        self._server: asyncio.Server | None = None
        self._handlers: web.Server | None = None
        self._opening = asyncio.Lock()

    async def open(self, way: Way) -> Line:
        async with self._opening:
            if self._server is None:
                self._handlers = web.Server(self._serve, auto_decompress=False, access_log=None)
                loop = asyncio.get_running_loop()
                self._server = await loop.create_server(self._handlers, "127.0.0.1", 0)
        key = secrets.token_hex(16)
        url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        line = self._lines[key] = Line(address=f"{url}/{key}", proxy=url, way=way)
        return line

    def remove(self, line: Line) -> None:
        self._lines.pop(line.address.rpartition("/")[2], None)
        for exchange in line.expected.values():
            exchange.fail(Broken("the codex CLI has ended"))
        line.expected.clear()

    async def close(self) -> None:
        if self._server is not None and self._handlers is not None:
            self._server.close()
            await self._handlers.shutdown(0)
            await self._server.wait_closed()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        key, _, path = request.path.removeprefix("/").partition("/")
        line = self._lines.get(key)
        if line is None:
            return web.Response(status=404)
        if request.headers.get("upgrade"):
            return web.Response(status=426)  # after which Codex asks over HTTP at once
        if (request.method, path) == ("POST", "codex/responses"):
            return await self._turn(line, request)
        if request.method == "GET" and path.startswith("backend-api/wham/"):
            return await self._about(line, path.removeprefix("backend-api"), request)
        return web.Response(status=404)

    # a turn

    async def _turn(self, line: Line, request: web.BaseRequest) -> web.StreamResponse:
        # The body first: an exchange that is expected no more would never hear that it broke off.
        body = await body_of(request)
        thread = request.headers.get("thread-id", "")
        exchange = line.expected.pop(thread, None) if _kind(request) == "turn" else None
        if exchange is None:
            line.on_stray(thread)
            return _refusal("nobody has asked for this")
        exchange.asked.set()
        call = exchange.call
        if any(request.headers.get(name) != value for name, value in _account(call).items()):
            exchange.fail(Broken("the codex CLI asked in another account's name, and was stopped"))
            return _refusal("this is another account's")
        call = replace(call, method="POST", headers=_headers(request), body=body)
        answer = await exchange.send(self._http, call)
        if answer is None:
            return _refusal("the backend did not answer")
        if not 200 <= answer.status < 300:
            return _refusal("the answer went to whoever asked")
        return await echo(exchange, answer, request)

    # about the account

    async def _about(self, line: Line, path: str, request: web.BaseRequest) -> web.StreamResponse:
        headers = _headers(request)
        name = (line.way.base, path, request.query_string, *(request.headers.get(each, "") for each in ACCOUNT_HEADERS))
        told = self._told.get(name)
        if told is None or self._clock() - told.at > ABOUT_SECONDS:
            query = f"?{request.query_string}" if request.query_string else ""
            call = Call(
                method="GET", url=f"{line.way.base}{path}{query}", headers=headers, proxy_url=line.way.proxy_url
            )
            try:
                answer = await self._http.send(call)
                body = await answer.read(ABOUT_BYTES_MAX)
                await answer.release()
            except UpstreamError:
                return web.Response(status=502)
            content_type = answer.headers.get("content-type", "application/json")
            if answer.status != 200:
                return web.Response(status=answer.status, body=body, headers={"content-type": content_type})
            self._forget_old()
            told = self._told[name] = _Told(self._clock(), content_type, body)
        return web.Response(body=told.body, headers={"content-type": told.content_type})

    def _forget_old(self) -> None:
        latest = self._clock() - ABOUT_SECONDS
        self._told = {name: told for name, told in self._told.items() if told.at > latest}


def _kind(request: web.BaseRequest) -> str:
    """``turn``; others are of Codex's own making (``prewarm``, ``compact`` …)."""
    try:
        return msgspec.json.decode(request.headers.get(_METADATA, "{}"), type=_Metadata).request_kind
    except msgspec.DecodeError:
        return ""


def _headers(request: web.BaseRequest) -> tuple[tuple[str, str], ...]:
    """Its own, in their order; those of the connection are left out where they go on (`proxy.upstream.headers`)."""
    return tuple(request.headers.items())


def _account(call: Call) -> Mapping[str, str]:
    return {name: value for name, value in call.headers if name in ACCOUNT_HEADERS}


def _refusal(why: str) -> web.Response:
    """400: the one status after which Codex ends its turn at once."""
    body = {"error": {"message": why, "type": "invalid_request_error", "code": "handed_on"}}
    return web.Response(status=400, body=msgspec.json.encode(body), headers={"content-type": "application/json"})


class _Metadata(msgspec.Struct):
    request_kind: str = ""
