"""A WebSocket of a client, as a transport (RFC 6455): the handshake, messages, the closing, and who is still there.

What aiohttp leaves open is settled here: a message that is too large is told so before the close frame, whoever broke
the rules gets time to read the close frame, and codes that stand for a missing close frame are neither taken nor sent.
Compression is declined: for frames so short it costs more than it saves.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web
from multidict import CIMultiDict

from proxy.errors import Malformed, TooLarge
from proxy.hub.events import Failure
from proxy.server.access import KEY_PROTOCOL, PROTOCOL_HEADER
from proxy.server.connection import Connection
from proxy.server.routes import NoWebSocket

VERSION: Final = "13"
CLOSE_SECONDS = 2.0
"""For the client's own close frame."""
LINGER_SECONDS = 5.0
QUIET_SECONDS = 0.25
"""For reading why it was refused, while it may still be sending: until it has been quiet for a while."""
_NEVER_ON_THE_WIRE = frozenset({1004, 1005, 1006, 1015})
_CODE_MAX = 4999
_BREACHES = frozenset({WSCloseCode.PROTOCOL_ERROR, WSCloseCode.INVALID_TEXT, WSCloseCode.MESSAGE_TOO_BIG})


def check_handshake(request: web.BaseRequest) -> None:
    """Raises `NoWebSocket` where there is none to be had, so that the client goes over to HTTP; `Malformed`."""
    headers = request.headers
    if (
        headers.get("upgrade", "").strip().lower() != "websocket"
        or "upgrade" not in _tokens(headers.get("connection", ""))
        or request.version < (1, 1)
    ):
        raise NoWebSocket(
            "this is no WebSocket handshake (a reverse proxy may have taken Upgrade and Connection out): "
            "send a POST instead",
            code="websocket_not_served",
        )
    if headers.get("sec-websocket-version", "").strip() != VERSION:
        raise NoWebSocket(
            f"only version {VERSION} of WebSocket is served: send a POST instead", code="websocket_not_served"
        )
    try:
        nonce = base64.b64decode(headers.get("sec-websocket-key", "").strip(), validate=True)
    except (binascii.Error, ValueError):
        nonce = b""
    if len(nonce) != 16:
        raise Malformed("Sec-WebSocket-Key must be 16 bytes in base64", code="invalid_handshake")


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def protocol_for(headers: Mapping[str, str]) -> str | None:
    """The first that the client offers: a browser wants one of its own back. Never the one that is its key."""
    offered = headers.get(PROTOCOL_HEADER, "").split(",")
    names = (name.strip() for name in offered)
    return next((name for name in names if name and not name.startswith(KEY_PROTOCOL)), None)


class WebSocket(web.WebSocketResponse):
    """`bytes_max`: of one message. `complaint`: a failure as a message to the client."""

    def __init__(self, *, bytes_max: int, complaint: Callable[[Failure], bytes]) -> None:
        # aiohttp refuses what is as long as its limit.
        super().__init__(
            autoclose=False,
            autoping=False,
            compress=False,
            max_msg_size=bytes_max + 1,
            timeout=CLOSE_SECONDS,
            decode_text=False,
        )
        self._bytes_max = bytes_max
        self._complaint = complaint
        self._connection: Connection | None = None

    async def open(self, request: web.BaseRequest) -> None:
        """`check_handshake` has been asked."""
        if protocol := protocol_for(request.headers):
            self.headers["Sec-WebSocket-Protocol"] = protocol
        # aiohttp would log what it does not know of the client's protocols: one of them may be a key.
        headers = CIMultiDict(request.headers)
        headers.popall(PROTOCOL_HEADER, None)
        connection = request.protocol
        assert isinstance(connection, Connection)
        self._connection = connection
        await self.prepare(request.clone(headers=headers))

    async def take(self) -> bytes | None:
        """The next message; None when there will be no more. Raises `Malformed` for a message of bytes."""
        while True:
            message = await self.receive()
            match message.type:
                case WSMsgType.TEXT:
                    data = bytes(message.data)
                    if _is_text(data):
                        return data
                    await self.close(code=WSCloseCode.INVALID_TEXT)
                    return None
                case WSMsgType.BINARY:
                    raise Malformed("messages must be text, not bytes", code="invalid_message")
                case WSMsgType.PING:
                    await self.pong(message.data)
                case WSMsgType.PONG:
                    pass  # its bytes have been noticed
                case WSMsgType.CLOSE:
                    await self._answer_close(message.data)
                    return None
                case _:
                    return None

    async def _answer_close(self, code: int) -> None:
        if code in _NEVER_ON_THE_WIRE or code > _CODE_MAX:
            code = WSCloseCode.PROTOCOL_ERROR
        await super().close(code=code or WSCloseCode.OK, drain=False)

    async def send(self, message: bytes) -> None:
        """Text. Raises ConnectionError when the client is gone; waits while it does not read."""
        await self.send_frame(message, WSMsgType.TEXT)

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        """For a breach of the rules it is called by aiohttp, which would cut the connection, unread words and all."""
        if code not in _BREACHES or self.closed:
            return await super().close(code=code, message=message, drain=drain)
        with suppress(ConnectionError):
            if code == WSCloseCode.MESSAGE_TOO_BIG:
                await self.send(self._complaint(Failure.of(self._too_large())))
            await self.send_frame(code.to_bytes(2) + message, WSMsgType.CLOSE)
            await self._linger()
        self.cut()
        return await super().close(code=code)

    async def _linger(self) -> None:
        """What is still being sent is thrown away meanwhile. The end of the connection cancels it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LINGER_SECONDS
        is_quiet = False
        while not is_quiet and loop.time() < deadline:
            await asyncio.sleep(QUIET_SECONDS)
            is_quiet = self.silence(loop.time()) >= QUIET_SECONDS

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the message is larger than {self._bytes_max} bytes; server.body-bytes-max sets the limit",
            code="request_too_large",
        )

    def silence(self, now: float) -> float:
        """Seconds since the last byte of the client's; `now` on the loop's clock."""
        return 0.0 if self._connection is None else now - self._connection.received_at

    def cut(self) -> None:
        """Without a word: nobody would hear it."""
        if self._connection is not None and self._connection.transport is not None:
            self._connection.transport.abort()


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
