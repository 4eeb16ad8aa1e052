"""One connection to a provider, as HTTP/1.1 has it: one call at a time, its answer as it comes.

Bytes are read by llhttp. What is kept for a slow reader is bounded; where the other end says more than was asked for,
or falls silent, the connection is never used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import copy
from typing import cast

import httptools

from proxy.alarm import NEVER
from proxy.upstream.base import Deadlines
from proxy.upstream.failures import Idle
from proxy.upstream.headers import is_value, told_of

READ_AHEAD_BYTES = 64 * 1024
"""Kept for a slow reader before the sender is stopped; at most about twice as much is held."""
BODY_BYTES_MAX = 1024 * 1024 * 1024
"""Of one answer, decoded. What has no end by then is none."""
HEAD_BYTES_MAX = 64 * 1024
PIECE_BYTES = 256 * 1024
UPLOAD_BYTES_PER_SECOND = 64 * 1024
"""Of a slow line: what a large request body adds to the time for a head."""

Pairs = list[tuple[str, str]]


_NOBODYS = httptools.HttpResponseParser(object())
"""In the place of one that is done with."""


class Connection(asyncio.Protocol):
    """`ask`, then `head`, then `more` until it gives nothing. `expects`: asked to look at `overdue` at that time."""

    __slots__ = (
        "_deadlines", "_expects", "_failure", "_fields_size", "_head_size", "_heard_at", "_is_asked", "_is_bodiless",
        "_is_sent", "_is_to_the_end", "_loop", "_lost", "_parser", "_parts", "_size", "_total_at", "_uploading",
        "_waiter", "_writable", "deadline", "encoding", "headers", "is_complete", "is_done", "is_paused", "keep_alive",
        "listener", "status", "transport",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        expects: Callable[[float], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._expects = expects
        self._lost = lost
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._uploading: asyncio.Task[None] | None = None
        self._deadlines = Deadlines()
        self._total_at = self.deadline = NEVER
        self._is_asked = False
        self.listener: Callable[[], None] | None = None
        """Called whenever something has come, and at the end, however it comes: in the place of somebody who waits."""
        self.transport: asyncio.Transport
        self.is_done = False
        """Lost, or never to be used again."""
        self._parser = self._new_parser()
        self._begin()

    def _new_parser(self) -> httptools.HttpResponseParser:
        """As lenient with providers as is safe: what is between two messages is never given to another call."""
        parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        return parser

    def _begin(self) -> None:
        self.status = 0
        self.headers: Pairs = []
        self.encoding = b""
        self.keep_alive = False
        self.is_complete = False
        self._heard_at = 0.0
        self.is_paused = False
        self._is_bodiless = False
        self._is_to_the_end = True
        self._is_sent = False
        self._failure: Exception | None = None
        self._parts: list[bytes] = []
        self._size = self._head_size = self._fields_size = 0

    # what whoever calls uses

    def ask(self, head: bytes, body: bytes, deadlines: Deadlines, *, is_bodiless: bool, total_at: float) -> None:
        """`is_bodiless`: the answer has no body, whatever its head says (HEAD)."""
        self._begin()
        self._is_asked = True
        self._is_bodiless = is_bodiless
        self._deadlines = deadlines
        self._total_at = total_at
        self._expect(deadlines.head + len(body) / UPLOAD_BYTES_PER_SECOND)
        if len(body) <= PIECE_BYTES:
            self.transport.write(head + body)
            self._is_sent = True
        else:
            self.transport.write(head)
            self._uploading = self._loop.create_task(self._upload(body))

    async def _upload(self, body: bytes) -> None:
        """In pieces, each when the one before has left: TLS over megabytes at once would hold up everybody."""
        view = memoryview(body)
        for start in range(0, len(view), PIECE_BYTES):
            if self._writable is not None:
                await self._writable
            self.transport.write(view[start : start + PIECE_BYTES])
        self._is_sent = True

    async def head(self) -> None:
        """Until it is there. Raises what went wrong."""
        while not self.status and self._failure is None:
            await self._wait()
        if not self.status:
            assert self._failure is not None
            raise copy(self._failure)  # what is raised keeps where it went, which is here

    def look(self) -> bytes:
        """At what has come since, which stays there."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def more(self) -> bytes:
        """What has come since; nothing: wait, or, when it `is_complete`, no more."""
        parts = self._parts
        if not parts:
            return b""
        self._parts, self._size = [], 0
        if self.is_paused and not self.is_done:
            self.is_paused = False
            self.transport.resume_reading()
            self._expect(self._deadlines.idle)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def wait(self) -> bool:
        """For more; whether there may be any. Raises what broke the answer off, after all that came before."""
        while not self._parts and not self.is_complete:
            if self._failure is not None:
                raise copy(self._failure)
            await self._wait()
        return bool(self._parts)

    async def _wait(self) -> None:
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def release(self) -> bool:
        """After the end of an answer: whether there may be another."""
        is_reusable = self.is_complete and self.keep_alive and self._is_sent and not self.is_done
        self._is_asked = False
        if is_reusable:
            self._total_at = self.deadline = NEVER
            self._parts = []
        else:
            self.abort()
        return is_reusable

    def abort(self) -> None:
        """Closes at once, whatever was still to be sent or read."""
        self.is_done = True
        self._is_asked = False
        self.deadline = NEVER
        if self._uploading is not None:
            self._uploading.cancel()
        if self._failure is None and not self.is_complete:
            self._failure = ConnectionAbortedError()
        self.transport.abort()
        self._wake()

    def keep_until(self, when: float) -> None:
        self.deadline = when
        self._expects(when)

    # what the clock says

    def _expect(self, seconds: float) -> None:
        deadline = self.deadline = min(self._loop.time() + seconds, self._total_at)
        self._expects(deadline)

    def overdue(self, now: float) -> None:
        """Its deadline has passed."""
        awaited = min(self._heard_at + self._deadlines.idle, self._total_at)
        if self._is_asked and not self.is_complete and self.status and now < awaited:
            self.deadline = awaited
            return
        if not self._is_asked or self.is_complete:
            self.abort()
            return
        is_idle = bool(self.status) and now < self._total_at
        self._break(Idle() if is_idle else TimeoutError())

    # what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._is_asked or self.is_complete:
            self.abort()  # nobody has asked for that
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(error)
            return
        self._heard(data)

    def _heard(self, data: bytes) -> None:
        if not self.status:
            self._head_size += len(data)
            if self._head_size > HEAD_BYTES_MAX:
                self._break(httptools.HttpParserError("its head is too long"))
        elif not self.is_complete and not self.is_paused:
            if self._size > READ_AHEAD_BYTES:
                self.is_paused = True
                self.transport.pause_reading()
                self.deadline = self._total_at
            else:
                now = self._heard_at = self._loop.time()  # `overdue` looks: to put it off each time costs more
                if self.deadline > now + self._deadlines.idle:
                    self._expect(self._deadlines.idle)
        if self.status or self._failure is not None:
            self._wake()

    def eof_received(self) -> bool:
        if self.status and self._is_to_the_end and not self.is_complete:
            self.is_complete = True
            self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_done = True
        if not self.is_complete and self._failure is None:
            self._failure = exc or ConnectionResetError()
        if self._uploading is not None:
            self._uploading.cancel()
        self.resume_writing()
        self._wake()
        self._lost(self)
        self._parser = _NOBODYS  # it and we held each other: memory would wait for a collection

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def _break(self, error: Exception) -> None:
        self._failure = self._failure or error
        self.abort()

    def _wake(self) -> None:
        if self.listener is not None:
            self.listener()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # what llhttp says

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.keep_alive = False  # nobody has asked for another

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return  # a trailer
        self._fields_size += len(name) + len(value)
        known = told_of(name)
        if known is None:
            return
        if known == "length":
            self._is_to_the_end = False
        elif known == "encoding":
            self.encoding += b"," + value
        elif is_value(text := value.decode("utf-8", "surrogateescape")):
            self.headers.append((known, text))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.is_complete:
            return
        if status < 200:
            self.headers, self.encoding = [], b""
            self._is_to_the_end = True
            return
        if self._fields_size > HEAD_BYTES_MAX:
            self._head_size = self._fields_size
            return
        self.status = status
        self.keep_alive = self._parser.should_keep_alive()
        if self._is_bodiless:
            self.keep_alive = False  # llhttp waits for a body that does not come
            self.is_complete = True

    def on_body(self, data: bytes) -> None:
        if not self.is_complete:
            self._parts.append(data)
            self._size += len(data)

    def on_message_complete(self) -> None:
        if self.status:
            self.is_complete = True
