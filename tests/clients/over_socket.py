"""OpenAI's provider as Codex knows it: over a WebSocket, and told there what is new. It plays what a test tells it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from proxy.observe.recording import Recording, Request
from tests.clients.upstream import Upstream
from tests.socket_vendor import Asked, Close, Hold, SocketVendor, Step, as_messages, messages

PATH = "/openai_responses/v1/responses"
ID = b"resp_harbour1"
"""Of all answers in `tests.clients.answers`; on a socket each needs its own."""


def on_socket(upstream: Upstream, vendor: SocketVendor | None = None) -> SocketVendor:
    """`upstream` is asked, but for the prewarms, which generate nothing."""
    vendor = vendor or SocketVendor()
    ids = itertools.count(1)

    def play(asked: Asked) -> Sequence[Step]:
        own_id = f"resp_harbour1{next(ids)}"
        if asked.body.get("generate") is False:
            return messages("", response_id=own_id, model=asked.body["model"], stored=False)
        request = Request(method="POST", path=PATH, headers=asked.headers, body=asked.data)
        recording = upstream.draw(request)
        assert recording is not None
        return [each.replace(ID, own_id.encode()) if isinstance(each, bytes) else each for each in _steps(recording)]

    vendor.plays = play
    return vendor


def _steps(recording: Recording) -> list[Step]:
    response = recording.response
    if response.status >= 400:
        body = msgspec.json.decode(response.frames[0].data)
        headers = {name.lower(): value for name, value in response.headers if name.lower() != "content-type"}
        return [msgspec.json.encode({"type": "error", "status": response.status, "headers": headers, **body})]
    told: list[Step] = [*as_messages([frame.data for frame in response.frames])]
    if recording.fault is None:
        return told
    return [*told[: len(told) // 2], Hold() if recording.fault.kind == "stall" else Close(0)]


def said_on(frames: bytes) -> Iterator[bytes]:
    """The texts of a client's frames (RFC 6455 §5.2), each in one piece."""
    while len(frames) > 6:
        opcode, size = frames[0] & 0xF, frames[1] & 0x7F
        at = 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(frames[2 : 2 + width]), 2 + width
        mask, data = frames[at : at + 4], frames[at + 4 : at + 4 + size]
        if opcode == 1:
            key = int.from_bytes((mask * (len(data) // 4 + 1))[: len(data)])
            yield (int.from_bytes(data) ^ key).to_bytes(len(data))
        frames = frames[at + 4 + size :]


def without_credential(headers: Sequence[tuple[str, str]], *replaced: str) -> list[tuple[str, str]]:
    """Of a handshake: what is neither the connection's nor the account's."""
    hop = {"host", "connection", "upgrade", "authorization", *replaced}
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in hop and not name.lower().startswith("sec-websocket-")
    ]
