"""One vendor of a soak, as a process of its own that may be killed at any time: it streams canaries in all four formats
and fails in scripted ways.

Its books are lines of time, canary and what happened: ``asked`` before anything is answered, ``tells`` before it tells
how many tokens that took.

``python bench/soak_vendor.py PORT BOOKS SEED MOOD``, which is ``scripted``, ``outage`` (all fail) or ``well``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.soak_wires import PIECES, Told, Wire, input_tokens, tell

CHANCES = (
    ("limited", 0.01),
    ("overloaded", 0.01),
    ("error-inside", 0.01),
    ("cut-before", 0.005),
    ("reset-inside", 0.005),
)
"""The rest is answered well. At most one of them happens to a request."""
GROUP = 8
"""Pieces that are sent at once, but for how their last bytes fall."""
PACE_SECONDS = 0.12
_PATHS: tuple[tuple[str, Wire], ...] = (
    ("/messages", "anthropic"),
    ("/chat/completions", "openai_chat"),
    ("/responses", "openai_responses"),
    (":streamGenerateContent", "gemini"),
)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CANARY = re.compile(rb"canary-\d+")
_BODIES: dict[Wire, bytes] = {
    "anthropic": b'{"type":"error","error":{"type":"%s","message":"scripted"}}',
    "openai_chat": b'{"error":{"message":"scripted","type":"%s","code":null}}',
    "openai_responses": b'{"error":{"message":"scripted","type":"%s","code":null}}',
    "gemini": b'{"error":{"code":0,"message":"scripted","status":"%s"}}',
}
_REFUSALS = {
    "limited": (429, b"rate_limit_error", b"Retry-After: 2\r\n"),
    "overloaded": (529, b"overloaded_error", b""),
    "outage": (503, b"api_error", b""),
}


class Vendor:
    def __init__(self, books: Path, seed: int, mood: str) -> None:
        self._books = os.open(books, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._chance = random.Random(seed)
        self._mood = mood

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used again."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        path = head.split(b" ", 2)[1].decode()
        wire = next(wire for part, wire in _PATHS if part in path)
        found = _CANARY.search(body)
        assert found is not None, body
        canary, mishap = found[0].decode(), self._mishap()
        self._note(canary, f"asked {mishap}")
        if mishap in _REFUSALS:
            return _refuse(writer, wire, mishap)
        return await self._stream(writer, tell(wire, canary), canary, mishap)

    def _note(self, canary: str, what: str) -> None:
        os.write(self._books, f"{time.monotonic_ns()} {canary} {what}\n".encode())

    def _mishap(self) -> str:
        if self._mood != "scripted":
            return self._mood
        roll = self._chance.random()
        for name, chance in CHANCES:
            roll -= chance
            if roll < 0:
                return name
        return "well"

    async def _stream(self, writer: asyncio.StreamWriter, told: Told, canary: str, mishap: str) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await self._send(writer, told.start, canary, output=1 if told.is_counted_early else 0)
        await asyncio.sleep(PACE_SECONDS)
        if mishap == "error-inside":
            _chunk(writer, told.error)
            writer.write(b"0\r\n\r\n")
            return True
        if mishap == "cut-before":
            return False
        rest = b""
        for first in range(0, len(told.pieces), GROUP):
            rest += b"".join(told.pieces[first : first + GROUP])
            cut = self._chance.randrange(len(rest) - 60, len(rest))
            await self._send(writer, rest[:cut], canary)
            rest = rest[cut:]
            await asyncio.sleep(PACE_SECONDS)
            if mishap == "reset-inside" and first:
                _reset(writer)
                return False
        await self._send(writer, rest + told.end, canary, output=PIECES)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _send(self, writer: asyncio.StreamWriter, data: bytes, canary: str, *, output: int = 0) -> None:
        """`output`: so many tokens of it are told with these bytes, and all of the input; 0: none."""
        if output:
            self._note(canary, f"tells {input_tokens(canary)[0]} {output}")
        _chunk(writer, data)
        await writer.drain()


def _refuse(writer: asyncio.StreamWriter, wire: Wire, mishap: str) -> bool:
    status, kind, header = _REFUSALS[mishap]
    body = _BODIES[wire] % kind
    writer.write(
        b"HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
        % (status, header, len(body), body)
    )
    return True


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    if data:
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))


def _reset(writer: asyncio.StreamWriter) -> None:
    transport_socket: socket.socket = writer.get_extra_info("socket")
    transport_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def main(port: str, books: str, seed: str, mood: str) -> None:
    vendor = Vendor(Path(books), int(seed), mood)
    server = await asyncio.start_server(vendor.serve, "127.0.0.1", int(port), backlog=1024, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
