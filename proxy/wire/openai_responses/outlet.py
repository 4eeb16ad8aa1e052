"""Events on their way out: numbered, and framed for SSE or for a WebSocket (a JSON object a line, a line a frame)."""

from __future__ import annotations

from typing import NamedTuple

from proxy.wire.base import dumps

_COMMENT = b": keep-alive\n\n"


class Template(NamedTuple):
    """An event whose number and text are still to come."""

    head: bytes
    tail: bytes


class Outlet:
    """Collects what an event gives, until `take`. Numbers rise by one from 0."""

    __slots__ = ("_chunks", "_is_sse", "sequence")

    def __init__(self, framing: str) -> None:
        self._is_sse = framing != "frames"
        self._chunks: list[bytes] = []
        self.sequence = 0

    @property
    def is_sse(self) -> bool:
        return self._is_sse

    def send(self, name: str, **body: object) -> None:
        data = dumps({"type": name, "sequence_number": self.sequence, **body})
        self.sequence += 1
        self._chunks.append(b"event: %b\ndata: %b\n\n" % (name.encode(), data) if self._is_sse else data + b"\n")

    def send_raw(self, body: object) -> None:
        """A frame without a number."""
        self._chunks.append(dumps(body) + b"\n")

    def template(self, name: str, **body: object) -> Template:
        """For deltas: everything but the text is written once a part."""
        data = dumps({"type": name, **body})[:-1] + b',"sequence_number":'
        if self._is_sse:
            return Template(b"event: %b\ndata: %b" % (name.encode(), data), b"}\n\n")
        return Template(data, b"}\n")

    def send_delta(self, template: Template, text: str) -> None:
        self._chunks.append(b'%b%d,"delta":%b%b' % (template.head, self.sequence, dumps(text), template.tail))
        self.sequence += 1

    def heartbeat(self) -> None:
        """A comment; on a WebSocket the event that OpenAI itself sends."""
        if self._is_sse:
            self._chunks.append(_COMMENT)
        else:
            self.send("keepalive")

    def take(self) -> bytes:
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data
