"""Server-sent events, as the WHATWG defines them, over bytes that may be cut anywhere.

CR, LF and CRLF end a line, also when cut between the two; several ``data:`` lines are joined by LF; comments are
dropped; one space after the colon is not data. JSON never holds a raw line break, so the data of one event is one
line in practice, and that case is fast.
"""

from __future__ import annotations

from typing import NamedTuple

LINE_BYTES_MAX = 16 * 1024 * 1024
"""A line longer than this, or an event of as much data, is an attack or a fault."""
_BOM = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
    """`event`: its type, empty when the stream names none. `data`: UTF-8 bytes."""

    event: bytes
    data: bytes


class SseTooLong(ValueError):
    """A line, or an event's data, exceeds `LINE_BYTES_MAX`."""


class SseSplitter:
    """Bytes → events. Linear in the number of bytes, whatever the cuts."""

    __slots__ = ("_chunks", "_data", "_data_size", "_event", "_has_cr", "_size", "comments")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []  # an unfinished line
        self._size = 0
        self._has_cr = False  # the last byte seen was a CR: a LF that follows belongs to it
        self._event = b""
        self._data: list[bytes] = []
        self._data_size = 0
        self.comments = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        events: list[SseEvent] = []
        for line in self._lines(data):
            if line[:6] == b"data: ":
                self._data.append(line[6:])
                self._data_size += len(line)
            elif line:
                self._line(line)
            else:
                if self._data:
                    events.append(SseEvent(self._event, self._taken()))
                self._event = b""
        if self._size > LINE_BYTES_MAX or self._data_size > LINE_BYTES_MAX:
            raise SseTooLong(f"an event of more than {LINE_BYTES_MAX} bytes")
        return events

    def _lines(self, data: bytes) -> list[bytes]:
        """Those that are complete by now; what begins another is kept."""
        if self._has_cr and data:
            self._has_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        if b"\r" in data:
            self._has_cr = data[-1:] == b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._chunks:
            self._chunks.append(lines[0])
            lines[0] = b"".join(self._chunks)
            self._chunks.clear()
            self._size = 0
        if rest:
            self._chunks.append(rest)
            self._size += len(rest)
        return lines

    def _taken(self) -> bytes:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._data_size = 0
        return data

    def _line(self, line: bytes) -> None:
        """Any but the usual form of the data."""
        if line.startswith(b"event:"):
            self._event = line[6:].strip()
        elif line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            self._data_size += len(line)
        elif line.startswith(b":"):
            self.comments += 1
        elif line == b"data":
            self._data.append(b"")
            self._data_size += 4
        elif line.startswith(_BOM):
            self._line(line[3:])

    def finish(self) -> list[SseEvent]:
        """At the end of the bytes. An event without its closing blank line still counts: several providers end so."""
        events = self.feed(b"\n\n") if self._chunks or self._data else []
        self._has_cr = False
        return events
