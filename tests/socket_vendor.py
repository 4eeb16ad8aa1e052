"""A provider of the Responses API that takes WebSockets, on 127.0.0.1: it plays what a test tells it, and remembers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec
from aiohttp import WSMsgType, web

from proxy.dispatch.frames import payloads
from proxy.hub.events import PartDelta, PartEnd, PartStart, ResponseEnd, ResponseStart
from proxy.hub.parts import Text
from proxy.hub.response import Finish, Usage
from proxy.wire.base import Reply
from proxy.wire.table import wire_named

MESSAGE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Close:
    """The socket is closed, with this code; 0: cut."""

    code: int = 1000


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing more, until the other end goes."""


@dataclass(frozen=True, slots=True)
class Deaf:
    """Nothing more, and nothing is read any more."""


Headers = tuple[tuple[str, str], ...]
Step = bytes | Close | Hold | Deaf


@dataclass(slots=True, kw_only=True, eq=False)
class Asked:
    """One request. `socket` counts from 1; 0: a POST. `headers`: of the handshake or the POST, in order and case."""

    socket: int
    headers: tuple[tuple[str, str], ...]
    data: bytes
    is_cut: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the other end went before its answer was over."""

    @property
    def body(self) -> Any:
        return msgspec.json.decode(self.data)

    @property
    def key(self) -> str:
        return next(value for name, value in self.headers if name.lower() == "authorization").removeprefix("Bearer ")


def messages(text: str = "Ahoy.", *, response_id: str, model: str = "m", stored: bool = True) -> list[bytes]:
    """An answer, message by message. Without `text`: that to a prewarm."""
    renderer = wire_named("openai_responses").stream_renderer(Reply(model=model, request_id="x", framing="frames"))
    told = [renderer.feed(ResponseStart(id="x", model=model))]
    if text:
        told += [
            renderer.feed(PartStart(0, Text(text=""))),
            renderer.feed(PartDelta(0, text)),
            renderer.feed(PartEnd(0, Text(text=text))),
        ]
    told.append(renderer.feed(ResponseEnd(finish=Finish("stop"), usage=Usage(input_uncached=3, output=len(text)))))
    lines = [line for each in told for line in each.splitlines() if line]
    return [_named(line, response_id, is_stored=stored) for line in lines]


def _named(line: bytes, response_id: str, *, is_stored: bool) -> bytes:
    event = msgspec.json.decode(line)
    if "response" in event:
        event["response"] |= {"id": response_id, "store": is_stored}
    return msgspec.json.encode(event)


def error(status: int, code: str, message: str = "no", **more: object) -> bytes:
    return msgspec.json.encode(
        {"type": "error", "status": status, "error": {"type": code, "code": code, "message": message}, **more}
    )


class SocketVendor:
    """``async with SocketVendor() as vendor: … vendor.url … vendor.asked``.

    `plays`: what is said to a request, on a socket as to a POST. `refuses`: the status of each handshake; None: it is
    taken. `swallows`: a handshake is never answered.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.plays: Callable[[Asked], Sequence[Step]] = self._answer
        self.refuses: int | None = None
        self.swallows = False
        self.headers: dict[str, str] = {}
        """Of each handshake's answer."""
        self.tells: Callable[[Headers], Mapping[str, str]] = lambda _asked: {}
        """More headers, of each handshake's answer and of each stream's."""
        self.asked: list[Asked] = []
        self.handshakes: list[tuple[tuple[str, str], ...]] = []
        self.others: list[str] = []
        self._runner: web.ServerRunner | None = None
        self._is_closing = asyncio.Event()

    def _answer(self, asked: Asked) -> Sequence[Step]:
        is_prewarm = asked.body.get("generate") is False
        text = "" if is_prewarm else "Ahoy."
        is_stored = asked.body.get("store") is not False
        return messages(text, response_id=f"resp_{len(self.asked)}", model=asked.body["model"], stored=is_stored)

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        self._is_closing.set()
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        assert self._runner is not None
        port: int = self._runner.addresses[0][1]
        return port

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = tuple((name.decode(), value.decode()) for name, value in request.raw_headers)
        if not request.path.endswith("/responses"):
            self.others.append(f"{request.method} {request.path}")
            return web.json_response({"error": {"message": "nothing here"}}, status=404)
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._converse(request, headers)
        asked = Asked(socket=0, headers=headers, data=await request.read())
        self.asked.append(asked)
        return await self._told(request, asked)

    async def _told(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        steps = self.plays(asked)
        if len(steps) == 1 and isinstance(steps[0], bytes):
            told = msgspec.json.decode(steps[0])
            return web.json_response({"error": told["error"]}, status=told["status"], headers=told.get("headers"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **self.tells(asked.headers)})
        await response.prepare(request)
        for step in steps:
            if isinstance(step, bytes):
                await response.write(b"data: " + step + b"\n\n")
        return response

    async def _converse(self, request: web.BaseRequest, headers: tuple[tuple[str, str], ...]) -> web.StreamResponse:
        self.handshakes.append(headers)
        number = len(self.handshakes)
        if self.swallows:
            await self._is_closing.wait()
        if self.refuses is not None:
            return web.json_response({"error": {"message": "no socket"}}, status=self.refuses)
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX, timeout=1)
        socket.headers.update({**self.headers, **self.tells(headers)})
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = Asked(socket=number, headers=headers, data=message.data.encode())
            self.asked.append(asked)
            if not await self._say(request, socket, asked):
                break
        return socket

    async def _say(self, request: web.BaseRequest, socket: web.WebSocketResponse, asked: Asked) -> bool:
        for step in self.plays(asked):
            match step:
                case bytes():
                    await socket.send_str(step.decode())
                case Hold():
                    await socket.receive()
                    asked.is_cut.set()
                    return False
                case Deaf():
                    await self._is_closing.wait()
                    return False
                case Close(code=0):
                    assert request.transport is not None
                    request.transport.abort()
                    return False
                case Close(code=code):
                    await socket.close(code=code)
                    return False
        return True


def as_messages(sse: Sequence[bytes]) -> list[bytes]:
    """Server-sent events, as a WebSocket has them."""
    return [value for frame in sse for value in payloads(frame) if value != b"[DONE]"]
