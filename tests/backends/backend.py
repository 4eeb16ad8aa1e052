"""A provider as a test plays it: it keeps what it was asked, and answers as the test says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from tests.logins.vendor import Asked, Vendor, _head

CUT = object()
"""A step at which the connection breaks."""
Step = bytes | asyncio.Event | object


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    status: int
    body: object
    headers: Mapping[str, str]


Reply = bytes | Sequence[Step] | Refuse


class Request(Protocol):
    """One request for an answer. `told`: (role, its texts) of all that was said; `asked`: what was said last, as the
    caller wrote it. `conversation`: what the CLI calls it.
    """

    @property
    def body(self) -> dict[str, Any]: ...

    @property
    def account(self) -> str: ...

    @property
    def told(self) -> list[tuple[str, str]]: ...

    @property
    def asked(self) -> str: ...

    @property
    def conversation(self) -> str: ...


T = TypeVar("T", bound=Request)


class Backend(Vendor, ABC, Generic[T]):
    """`plays`: what to say to a turn. `turns`: all of them, and their `times`. `dropped`: set when a turn's asker has
    hung up, `dropped_at` a time. `headers`: of each stream. `keeps_alive`: a connection serves one request after the
    other, as at the real ones.
    """

    place: ClassVar[tuple[str, str]]
    """(host, path) at which models are asked."""
    headers: ClassVar[Mapping[str, str]] = {}

    plays: Callable[[T], Reply]
    keeps_alive = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.turns: list[T] = []
        self.times: list[float] = []
        self.dropped = asyncio.Event()
        self.dropped_at = 0.0

    def in_turn(self, *replies: Reply | Callable[[T], Reply]) -> None:
        """One a turn; the last one again and again."""
        left = list(replies)

        def play(turn: T) -> Reply:
            reply = left.pop(0) if len(left) > 1 else left[0]
            return reply(turn) if callable(reply) else reply

        self.plays = play

    @abstractmethod
    def _read(self, raw: bytes, headers: Mapping[str, str]) -> T: ...

    async def _answer(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer_one(host, reader, writer)
        while self.keeps_alive and not writer.is_closing():
            await self._answer_one(host, reader, writer)

    async def _answer_one(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, headers = await _head(reader)
        method, target, _version = line.split(" ", 2)
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        path = target.partition("?")[0]
        if ((host, path), method) != (self.place, "POST"):
            await self._about(Asked(host=host, method=method, path=path, body={}, headers=headers), writer)
            return
        turn = self._read(raw, headers)
        self.turns.append(turn)
        self.times.append(time.perf_counter())
        watching = asyncio.create_task(self._watch(reader))
        try:
            await self._tell(self.plays(turn), writer)
        finally:
            watching.cancel()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        more = b""
        with contextlib.suppress(ConnectionError):  # a reset is a hanging up, too
            more = await reader.read(1)
        if not more:
            self.dropped_at = time.perf_counter()
            self.dropped.set()

    async def _about(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        status, told = self._judge(asked)
        await self._tell(Refuse(status=status, body=told, headers={}), writer)

    async def _tell(self, reply: Reply, writer: asyncio.StreamWriter) -> None:
        if isinstance(reply, Refuse):
            raw = msgspec.json.encode(reply.body)
            head = {"content-type": "application/json", "content-length": str(len(raw)), **reply.headers}
            writer.write(self._head_of(reply.status, head) + raw)
            await writer.drain()
            return
        packing = {"transfer-encoding": "chunked"} if self.keeps_alive else {}
        writer.write(self._head_of(200, {"content-type": "text/event-stream", **packing, **self.headers}))
        for step in [reply] if isinstance(reply, bytes) else reply:
            match step:
                case bytes():
                    writer.write(self._packed(step))
                    await writer.drain()
                case asyncio.Event():
                    await step.wait()
                case _:
                    writer.transport.abort()
                    return
        if self.keeps_alive:
            writer.write(b"0\r\n\r\n")

    def _packed(self, piece: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(piece), piece) if self.keeps_alive and piece else piece

    def _head_of(self, status: int, headers: Mapping[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers.items())]
        if not self.keeps_alive:
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()
