"""The upstream of a test: a `ReplayServer` on a real socket, and what it heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from proxy.hub.residue import JsonObject
from proxy.observe.recording import Fault, Frame, Recording, Request, Response, sse_frames
from proxy.upstream.replay import Deck
from proxy.upstream.replay_server import Received, ReplayServer

CAPTURES = Path(__file__).parents[1] / "captures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How the upstream of one wire is configured and asked. `path`, `stream_path`: behind its base URL."""

    setting: str
    model: str
    path: str
    stream_path: str = ""
    credential: tuple[str, str]
    """The header that carries the key, and what stands before it."""


VENDORS: Mapping[str, Vendor] = {
    "openai_chat": Vendor(
        setting="openai-compatibility",
        model="gpt-oss-120b",
        path="/chat/completions",
        credential=("authorization", "Bearer "),
    ),
    "openai_responses": Vendor(
        setting="codex-api-key", model="gpt-5.6-sol", path="/responses", credential=("authorization", "Bearer ")
    ),
    "anthropic": Vendor(
        setting="claude-api-key", model="claude-opus-4-8", path="/v1/messages", credential=("x-api-key", "")
    ),
    "gemini": Vendor(
        setting="gemini-api-key",
        model="gemini-3.5-flash",
        path="/v1beta/models/*:generateContent",
        stream_path="/v1beta/models/*:streamGenerateContent",
        credential=("x-goog-api-key", ""),
    ),
}
FORMATS = tuple(VENDORS)


def capture(wire: str, name: str) -> bytes:
    """``capture("gemini", "tools.sse")``."""
    return (CAPTURES / wire / name).read_bytes()


def answer(wire: str, scenario: str, *, is_stream: bool, status: int = 200) -> Recording:
    """The capture of that name, for the operation that generates."""
    vendor = VENDORS[wire]
    path = vendor.stream_path if is_stream and vendor.stream_path else vendor.path
    if is_stream:
        return streamed(path, capture(wire, f"{scenario}.sse"))
    return whole(path, capture(wire, f"{scenario}.json"), status=status)


def whole(path: str, body: bytes, *, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Recording:
    return Recording(
        request=Request(path=f"*{path}"),
        response=Response(
            status=status, headers=(("Content-Type", "application/json"), *headers), frames=(Frame(data=body),)
        ),
    )


def streamed(path: str, sse: bytes) -> Recording:
    return Recording(
        request=Request(path=f"*{path}"),
        response=Response(headers=(("Content-Type", "text/event-stream"),), frames=sse_frames(sse), is_streamed=True),
    )


def faulty(recording: Recording, kind: str, *, after_bytes: int | None = None) -> Recording:
    return replace(recording, fault=Fault(kind=kind, after_bytes=after_bytes))


class Stage:
    """Plays one test's recordings in their order, the last again and again."""

    def __init__(self, server: ReplayServer) -> None:
        self.server = server
        self._began = 0

    def plays(self, *recordings: Recording) -> None:
        self.server.deck = Deck(recordings)
        self._began = self.server._count

    @property
    def heard(self) -> list[Received]:
        """The requests since `plays`, in the order in which they came."""
        count = self.server._count - self._began
        return list(self.server.requests)[-count:] if count else []

    @property
    def request(self) -> Request:
        """The only one."""
        (received,) = self.heard
        return received.request

    @property
    def body(self) -> JsonObject:
        value: JsonObject = msgspec.json.decode(self.request.body)
        return value

    async def received(self, number: int) -> Received:
        """From 1; waits until it is here."""
        return await self.server.received(self._began + number)


def header(request: Request, name: str) -> str | None:
    return next((value for key, value in request.headers if key.lower() == name), None)
