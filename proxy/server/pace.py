"""How fast a client takes what it is sent: who reads slowly is waited for, who does not read at all is not."""

from __future__ import annotations

import asyncio

from proxy.alarm import NEVER, Alarm
from proxy.server.connection import STALL_BYTES_PER_SECOND_MIN


class Paced(asyncio.Protocol):
    """A connection's writing end, and its one deadline. `transport` is set by whoever makes it of this."""

    __slots__ = ("_alarm", "_drained", "_loop", "_stall_seconds", "_stalled_at", "deadline", "is_slow", "transport")

    def __init__(self, alarm: Alarm, stall_seconds: float) -> None:
        self._alarm = alarm
        self._loop = asyncio.get_running_loop()
        self._stall_seconds = stall_seconds
        self._stalled_at = 0
        self._drained: asyncio.Future[None] | None = None
        self.is_slow = False
        self.deadline = NEVER
        self.transport: asyncio.Transport

    def expect(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds
        self._alarm.expect(self.deadline)

    def pause_writing(self) -> None:
        self.is_slow = True
        self._stalled_at = self.transport.get_write_buffer_size()
        self.expect(self._stall_seconds)

    def resume_writing(self) -> None:
        self.deadline = NEVER
        self.resume()

    def resume(self) -> None:
        self.is_slow = False
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    async def drain(self) -> None:
        """Raises ConnectionError when the client is gone."""
        if self.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        if self.is_slow:
            self._drained = self._drained or self._loop.create_future()
            await asyncio.shield(self._drained)

    def overdue_reading(self, now: float) -> None:
        """A slow reader may go on, a stalled one may not."""
        left = self.transport.get_write_buffer_size()
        if self._stalled_at - left >= STALL_BYTES_PER_SECOND_MIN * self._stall_seconds:
            self._stalled_at = left
            self.deadline = now + self._stall_seconds
        else:
            self.transport.abort()
