"""Pumps an answer to the client: with heartbeats while nothing comes, and no faster than it is read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from functools import lru_cache

from multidict import CIMultiDict

from proxy.server.answer import Answer
from proxy.server.visit import Visit
from proxy.upstream.base import Flowing

EVENT_STREAM = "text/event-stream"
_OWN_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "keep-alive",
        "server",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)  # fmt: skip - one set, one look
"""They say how bytes travel, and ours do not travel like the upstream's."""
_SENDABLE = re.compile(r"[\t -~\x80-\xff]*")
_FRAME_END = re.compile(rb"(?:\r\n|\n){2}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def clean_headers(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    """Without those that belong to a connection, and those that would break one (RFC 9110 §5.5)."""
    return CIMultiDict([each for each in headers if _passes(*each)])


@lru_cache(maxsize=4096)
def _passes(name: str, value: str) -> bool:
    return bool(name.lower() not in _OWN_HEADERS and _TOKEN.fullmatch(name) and _SENDABLE.fullmatch(value))


async def whole(body: AsyncIterator[bytes]) -> bytes:
    """An answer that is not streamed: it is complete already, and gets a Content-Length."""
    try:
        parts = [part async for part in body]
    finally:
        await close(body)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def last_frame(frames: bytes) -> bytes:
    """Of server-sent events."""
    return _FRAME_END.split(frames.rstrip())[-1] + b"\n\n"


class Pump:
    """One streamed answer. `heartbeat` gives the bytes of one; empty: the framing has none.

    The head leaves together with the first frame, or with the first heartbeat. Each chunk of the body is a number of
    complete frames, so there is room for a heartbeat between any two.
    """

    def __init__(
        self,
        visit: Visit,
        answer: Answer,
        *,
        heartbeat: Callable[[], bytes],
        keepalive_seconds: float,
        silent_since: float,
    ) -> None:
        self._visit = visit
        self._answer = answer
        self._heartbeat = heartbeat
        self._keepalive_seconds = keepalive_seconds
        self._sent_at = silent_since
        self._loop = asyncio.get_running_loop()
        self.has_content = False

    async def run(self, body: AsyncIterator[bytes]) -> None:
        """Raises ConnectionError when the client is gone. However it ends, the body is closed."""
        loop = self._loop
        heart = loop.create_task(self._beat()) if self._keepalive_seconds else None
        try:
            await self._visit.begin(self._answer)
            flowing = body if isinstance(body, Flowing) else None
            async for chunk in body:
                self.has_content = True
                await self._visit.write(chunk)
                self._sent_at = loop.time()
                if flowing is not None and self._visit.can_send and not self._visit.is_slow:
                    await flowing.flow(self._send)
        finally:
            if heart is not None:
                heart.cancel()
            self._heartbeat = bytes  # who gave it holds us: neither should wait for the collector of cycles
            await close(body)
        await self._visit.end()

    def _send(self, chunk: bytes) -> bool:
        self._sent_at = self._loop.time()
        return self._visit.send(chunk)

    async def _beat(self) -> None:
        loop = self._loop
        heartbeat = self._heartbeat()
        while heartbeat:
            silence = loop.time() - self._sent_at
            if silence < self._keepalive_seconds:
                await asyncio.sleep(self._keepalive_seconds - silence)
                continue
            if not self._visit.is_slow:
                with suppress(ConnectionError):  # the pump meets it, too
                    await self._visit.write(heartbeat)
            self._sent_at = loop.time()


async def close(body: AsyncIterator[bytes]) -> None:
    """Aborts the upstream at once, where the body was not read to its end."""
    if (aclose := getattr(body, "aclose", None)) is not None:
        await aclose()
