"""The provider's ends of one client's WebSocket: which are open, what each of them remembers, and who may speak.

A provider keeps what was said on a socket for as long as that is open, also with ``store: false``; so a conversation
stays on its socket, and nobody else's is ever spoken there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType

PING_SECONDS = 30.0
SILENCE_SECONDS_MAX = 120.0
"""Without a single frame, pongs included, there is nobody at the other end any more."""
MESSAGES_AHEAD_MAX = 16
"""Read before a slow reader stops it."""
SOCKETS_MAX = 16
"""Of one line; the ones that have rested longest are closed first."""
KNOWN_MAX = 1024
"""Answers of one socket that may be gone on from."""


class Socket:
    """An open WebSocket to a provider: one answer at a time. `headers`: of its handshake, as long as nobody took them.

    It is listened to all the time, so that pings are answered and its end is noticed while it rests.
    """

    def __init__(
        self, websocket: ClientWebSocketResponse[Any], *, key: Hashable, host: str, headers: Mapping[str, str]
    ) -> None:
        self.key = key
        self.host = host
        self.headers = headers
        self.is_busy = False
        self.is_closed = False
        self.is_new = True
        """Nothing has been said on it yet."""
        self.close_code: int | None = None
        """Of the other end, when it has gone."""
        self._websocket = websocket
        self._known: dict[str, None] = {}
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue(MESSAGES_AHEAD_MAX)
        self.task = asyncio.get_running_loop().create_task(self._listen())

    def knows(self, response_id: str) -> bool:
        return response_id in self._known

    def remember(self, response_id: str) -> None:
        self._known[response_id] = None
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]

    async def say(self, message: bytes) -> None:
        """Raises ConnectionError."""
        self.is_busy, self.is_new = True, False
        await self._websocket.send_frame(message, WSMsgType.TEXT)

    async def hear(self) -> bytes | None:
        """The next message; None when there will be no more."""
        if self.is_closed and self._inbox.empty():
            return None
        return await self._inbox.get()

    def rest(self) -> None:
        """The answer is over."""
        self.is_busy = False

    def hang_up(self) -> None:
        """The other end is told goodbye, and not waited for."""
        self.is_closed = True
        self.task.cancel()

    async def _listen(self) -> None:
        try:
            await self._hear_all()
        finally:
            self.is_closed = True
            self.close_code = self._websocket.close_code
            if self._inbox.full():
                self._inbox.get_nowait()  # nobody reads any more, or the end is what matters
            self._inbox.put_nowait(None)
            with suppress(ConnectionError):
                await self._websocket.close(code=WSCloseCode.GOING_AWAY)

    async def _hear_all(self) -> None:
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while loop.time() - heard_at < SILENCE_SECONDS_MAX:
            try:
                message = await self._websocket.receive(PING_SECONDS)
            except TimeoutError:
                with suppress(ConnectionError):
                    await self._websocket.ping()
                continue
            heard_at = loop.time()
            match message.type:
                case WSMsgType.TEXT if self.is_busy:
                    await self._inbox.put(bytes(message.data))
                case WSMsgType.TEXT | WSMsgType.PONG:
                    pass  # between answers a provider has nothing to say that concerns anybody
                case WSMsgType.PING:
                    with suppress(ConnectionError):
                        await self._websocket.pong(message.data)
                case _:
                    return


class Line:
    """Belongs to one connection of a client, which closes it at its end."""

    def __init__(self) -> None:
        self._sockets: list[Socket] = []

    def knows(self, response_id: str) -> bool:
        """Whether it can be gone on from: the socket on which it was told is open."""
        return any(each.knows(response_id) for each in self._open())

    def take(self, key: Hashable, previous: str) -> Socket | None:
        """One that rests. `previous`: the answer that it must know; empty: none."""
        for socket in reversed(self._open()):
            if socket.key == key and not socket.is_busy and (not previous or socket.knows(previous)):
                return socket
        return None

    def add(self, socket: Socket) -> None:
        """It replaces those that have rested longest, where there are too many."""
        self._sockets = [*self._open(), socket]
        resting = [each for each in self._sockets if not each.is_busy and each is not socket]
        for each in resting[: max(0, len(self._sockets) - SOCKETS_MAX)]:
            each.hang_up()

    def close(self) -> None:
        for socket in self._sockets:
            socket.hang_up()
        self._sockets.clear()

    def _open(self) -> list[Socket]:
        return [each for each in self._sockets if not each.is_closed]
