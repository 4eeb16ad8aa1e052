"""An upstream that plays recordings: in tests, in demonstrations, and behind ``--replay DIR``.

The bytes go over a real socket to a `ReplayServer` on 127.0.0.1 and come back through `HttpUpstream`: what breaks here
breaks as it does outside.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec
from yarl import URL

from proxy.errors import ConfigError
from proxy.observe.recording import Recording, Request, load
from proxy.observe.shapes import is_sensitive_parameter
from proxy.upstream.base import Answer, Call
from proxy.upstream.faults import plan
from proxy.upstream.http import HttpUpstream
from proxy.upstream.replay_server import ReplayServer, parsed

CALLS_KEPT = 1000
_decode = msgspec.json.Decoder().decode


class Deck:
    """Which recording answers a request.

    Method and path (with ``*``) must fit, and `match`, where there is one. Of those that fit, the ones that were
    recorded with the very same JSON body come first, then the ones with a `match`, then the rest; among equals, those
    whose query the request holds; within these, in order. At the end it sticks at the last, or begins again (`at_end`).
    Raises `ConfigError` on an unknown fault.
    """

    def __init__(self, recordings: Iterable[Recording] = (), *, at_end: Literal["stick", "loop"] = "stick") -> None:
        self._at_end = at_end
        self._cards: list[_Card] = []
        for recording in recordings:
            self.add(recording)

    @classmethod
    def read(cls, folder: Path) -> Deck:
        """Every recording below a folder, again and again. Raises `ConfigError`."""
        return cls(load(folder), at_end="loop")

    def add(self, recording: Recording) -> None:
        try:
            plan(recording)
        except ValueError as error:
            raise ConfigError(f"the recording of {recording.request.path}: {error}") from None
        self._cards.append(_Card(recording))

    def peek(self, request: Request) -> Recording | None:
        card = self._card(request)
        return card.recording if card else None

    def draw(self, request: Request) -> Recording | None:
        card = self._card(request)
        if card is None:
            return None
        card.times += 1
        return card.recording

    def _card(self, request: Request) -> _Card | None:
        body = _json(request.body)
        ranked = [(rank, card) for card in self._cards if (rank := card.rank(request, body)) is not None]
        best = max((rank for rank, _ in ranked), default=None)
        cards = [card for rank, card in ranked if rank == best]
        if not cards:
            return None
        if self._at_end == "loop":
            return min(cards, key=lambda card: card.times)
        return next((card for card in cards if not card.times), cards[-1])


class _Card:
    __slots__ = ("_body", "recording", "times")

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.times = 0
        self._body = _json(recording.request.body)

    def rank(self, request: Request, body: object) -> tuple[int, bool] | None:
        """None: it does not fit. Higher is nearer."""
        ours, wanted = self.recording.request, self.recording.match
        if ours.method != request.method or not _fits(request.path, ours.path):
            return None
        if wanted and not _holds(body, dict(wanted)):
            return None
        has_query = all(pair in request.query or is_sensitive_parameter(pair[0]) for pair in ours.query)
        return (2 if body is not None and body == self._body else 1 if wanted else 0), has_query


class ReplayUpstream:
    """`proxy.upstream.base.Upstream`. `calls`: what was asked of it, newest last."""

    def __init__(self, deck: Deck | Iterable[Recording], *, pace: float = 1.0) -> None:
        self.deck = deck if isinstance(deck, Deck) else Deck(deck)
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.server = ReplayServer(self.deck, pace=pace)
        self._http = HttpUpstream()
        self._starting = asyncio.Lock()
        self._is_started = False

    async def send(self, call: Call) -> Answer:
        self.calls.append(call)
        await self._start()
        target = URL(call.url, encoded=True).raw_path_qs
        request = parsed(call.method, target, call.headers, call.body)
        recording = self.deck.peek(request)
        if recording is not None and recording.fault is not None and recording.fault.kind == "refuse":
            self.deck.draw(request)
            with socket.socket() as nobody:  # bound, but it does not listen
                nobody.bind(("127.0.0.1", 0))
                return await self._send_to(f"http://127.0.0.1:{nobody.getsockname()[1]}{target}", call)
        return await self._send_to(self.server.url + target, call)

    async def close(self) -> None:
        await self._http.close()
        if self._is_started:
            await self.server.close()

    async def _send_to(self, url: str, call: Call) -> Answer:
        return await self._http.send(replace(call, url=url, proxy_url=None))

    async def _start(self) -> None:
        async with self._starting:
            if not self._is_started:
                await self.server.start()
                self._is_started = True


def _fits(path: str, pattern: str) -> bool:
    return path == pattern or ("*" in pattern and fnmatchcase(path, pattern.replace("[", "[[]").replace("?", "[?]")))


def _holds(value: object, wanted: object) -> bool:
    """Objects may hold more than is wanted; all else is equal."""
    if isinstance(wanted, dict) and isinstance(value, dict):
        return all(key in value and _holds(value[key], item) for key, item in wanted.items())
    if isinstance(wanted, list) and isinstance(value, list) and len(value) == len(wanted):
        return all(map(_holds, value, wanted))
    return type(value) is type(wanted) and value == wanted


def _json(body: bytes) -> object:
    try:
        value: object = _decode(body)
    except (ValueError, RecursionError):
        return None
    return value
