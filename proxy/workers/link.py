"""The socket between the owner and one follower: messages each way, in order, and sockets along with them.

A message is its length in four bytes and itself in msgpack. A file descriptor travels with a message's first byte
(SCM_RIGHTS), so that it is there before the message is whole. Within one event loop; nothing is written down, and
nobody else can open such a link: both ends are made by the owner.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from proxy.workers.messages import Message

T = TypeVar("T", bound=Message)

READ_BYTES = 256 * 1024
DESCRIPTORS_MAX = 4
"""In one read; there is never more than one with a message."""
PENDING_BYTES_MAX = 64 * 1024 * 1024
"""That the other end has not read. Beyond it nothing is said that could as well be left out."""
_LENGTH = struct.Struct("!I")


class Link(Generic[T]):
    """`take`: told each message that comes, with the socket that came along. `lose`: told once when the other end is
    gone.
    """

    def __init__(
        self,
        end: socket.socket,
        decoder: msgspec.msgpack.Decoder[T],
        *,
        take: Callable[[T, socket.socket | None], None],
        lose: Callable[[], None],
    ) -> None:
        end.setblocking(False)
        self._end = end
        self._decode = decoder.decode
        self._encoder = msgspec.msgpack.Encoder()
        self._take = take
        self._lose = lose
        self._loop = asyncio.get_running_loop()
        self._came = bytearray()
        self._brought: deque[int] = deque()
        self._pending: deque[tuple[memoryview, int | None]] = deque()
        self._pending_bytes = 0
        self._emptied: asyncio.Future[None] | None = None
        self.is_closed = self._is_deaf = False
        self._loop.add_reader(end, self._read)

    @property
    def is_full(self) -> bool:
        return self._pending_bytes > PENDING_BYTES_MAX

    def tell(self, message: Message, descriptor: int | None = None) -> None:
        """`descriptor`: sent along; whose it is keeps it."""
        if self.is_closed or self._is_deaf:
            return
        payload = self._encoder.encode(message)
        data = memoryview(_LENGTH.pack(len(payload)) + payload)
        self._pending.append((data, None if descriptor is None else os.dup(descriptor)))
        self._pending_bytes += len(data)
        if len(self._pending) == 1:
            self._write()

    async def empty(self) -> None:
        """Until all that was told has left."""
        if self._pending and not self.is_closed:
            self._emptied = self._emptied or self._loop.create_future()
            await asyncio.shield(self._emptied)

    def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        while self._brought:
            os.close(self._brought.pop())
        self._drop()
        self._is_empty()

    def _drop(self) -> None:
        while self._pending:
            _, descriptor = self._pending.pop()
            if descriptor is not None:
                os.close(descriptor)
        self._pending_bytes = 0

    # what the socket says

    def _write(self) -> None:
        try:
            while self._pending:
                self._send(*self._pending[0])
        except BlockingIOError:
            self._loop.add_writer(self._end, self._write)
        except OSError:
            self._is_deaf = True  # what it has said last is still to be read
            self._drop()
        if not self._pending:
            self._loop.remove_writer(self._end)
            self._is_empty()

    def _send(self, data: memoryview, descriptor: int | None) -> None:
        """Raises OSError."""
        if descriptor is None:
            sent = self._end.send(data)
        else:
            sent = socket.send_fds(self._end, [data], [descriptor])
            os.close(descriptor)
        self._pending_bytes -= sent
        if sent == len(data):
            self._pending.popleft()
        else:
            self._pending[0] = data[sent:], None

    def _is_empty(self) -> None:
        emptied, self._emptied = self._emptied, None
        if emptied is not None and not emptied.done():
            emptied.set_result(None)

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, READ_BYTES, DESCRIPTORS_MAX)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # as Python's own are
            self._brought.append(descriptor)
        if not data:
            self._gone()
            return
        self._came += data
        at, end = 0, len(self._came)
        while not self.is_closed and end - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._came, at)
            if end - at < _LENGTH.size + length:
                break
            at += _LENGTH.size + length
            self._give(bytes(memoryview(self._came)[at - length : at]))
        del self._came[:at]

    def _give(self, payload: bytes) -> None:
        message = self._decode(payload)
        self._take(message, socket.socket(fileno=self._brought.popleft()) if message.brings else None)

    def _gone(self) -> None:
        if not self.is_closed:
            self.close()
            self._loop.call_soon(self._lose)
