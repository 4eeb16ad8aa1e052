"""Where frames of server-sent events end, without reading them.

A relay forwards only complete frames: what is cut off in the middle of one can be followed by a proper error, and no
client can do anything with half of one anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.wire.sse import LINE_BYTES_MAX, SseSplitter

HELD_BYTES_MAX = LINE_BYTES_MAX
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LONGEST_END = 4


class FrameTooLong(ValueError):
    """A frame exceeds `HELD_BYTES_MAX`."""


class FrameCutter:
    """Bytes, cut anywhere → bytes, cut behind the last complete frame. Linear in the number of bytes."""

    __slots__ = ("_size", "held")

    def __init__(self) -> None:
        self.held: list[bytes] = []
        """Of a frame that is not complete."""
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        if not self.held:
            if data.endswith(b"\n\n"):
                return data
            cut = _last_end(data)
        else:
            # An end may lie across the border between what is held and what came.
            overlap = self.held[-1][1 - _LONGEST_END :] if len(self.held[-1]) >= _LONGEST_END else self._join()
            cut = _last_end(overlap + data) - len(overlap)
        if cut <= 0:
            self._hold(data)
            return b""
        complete = b"".join((*self.held, data[:cut]))
        self.held, self._size = [], 0
        self._hold(data[cut:])
        return complete

    def _join(self) -> bytes:
        whole = b"".join(self.held)
        self.held = [whole]
        return whole[1 - _LONGEST_END :]

    def _hold(self, data: bytes) -> None:
        if data:
            self.held.append(data)
            self._size += len(data)
            if self._size > HELD_BYTES_MAX:
                raise FrameTooLong(f"a frame of more than {HELD_BYTES_MAX} bytes")

    def finish(self) -> bytes:
        """What never became a complete frame."""
        rest = b"".join(self.held)
        self.held, self._size = [], 0
        return rest


def _last_end(data: bytes, before: int | None = None) -> int:
    """Just behind the last end of a frame; 0 when there is none."""
    ends = (
        data.rfind(b"\n\n", 0, before) + 2,
        data.rfind(b"\r\n\r\n", 0, before) + 4,
        data.rfind(b"\r\r", 0, before) + 2,
    )
    return max(end if end > width - 1 else 0 for end, width in zip(ends, (2, 4, 2), strict=True))


def frames(block: bytes) -> Iterator[bytes]:
    """The frames of a block that `FrameCutter` gave, each with its end."""
    start = 0
    for end in _END.finditer(block):
        yield block[start : end.end()]
        start = end.end()
    if start < len(block):
        yield block[start:]


def frame_at(block: bytes, position: int) -> slice:
    """Where the frame stands that holds this byte, with its end."""
    start = _last_end(block, position)
    end = _END.search(block, position)
    return slice(start, len(block) if end is None else end.end())


def payloads(block: bytes) -> list[bytes]:
    """The data of each frame of the block."""
    splitter = SseSplitter()
    return [event.data for event in (*splitter.feed(block), *splitter.finish())]
