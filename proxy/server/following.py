"""One POST to the Responses API, as a turn of a conversation.

What a provider stores itself is asked of the account that has it, what it cannot store is kept here. A client's bytes
are touched only where a conversation goes on that is kept here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

from proxy.dispatch.inquiry import Inquiry, Outcome
from proxy.dispatch.splice import Members, members
from proxy.server import compaction
from proxy.server.app import App
from proxy.server.archive import View
from proxy.server.continuation import PREVIOUS, Turn, input_items, is_stored, open_turn, turn_of
from proxy.server.references import MARK, known
from proxy.server.scribe import Scribe
from proxy.server.stream import close
from proxy.upstream.base import Flowing
from proxy.wire.base import loads

WIRE = "openai_responses"
_GOES_ON = (f'"{PREVIOUS}"'.encode(), MARK)
_ELSEWHERE = (PREVIOUS, "conversation", "prompt")
"""What refers to words that were never said here."""


def concerns(inquiry: Inquiry) -> bool:
    """Whether it may go on from an answer, or be gone on from."""
    if inquiry.wire != WIRE:
        return False
    return inquiry.operation == "generate" or any(mark in inquiry.body for mark in _GOES_ON)


class Following:
    """`open` once, and read the answer's body to its end, or close it."""

    def __init__(self, app: App, inquiry: Inquiry, *, owner: str, bytes_max: int, now: float) -> None:
        """`now`: on the loop's clock. Raises `Malformed` or `TooLarge`."""
        self._app = app
        self._inquiry = inquiry
        self._owner = owner
        self._now = now
        fields = members(inquiry.body)
        view = app.archive.view(owner, now=now)
        self._is_kept = inquiry.operation == "generate" and is_stored(fields)
        self._goes_on = _is_known(fields, view) or compaction.concerns(inquiry.body)
        self._turn = turn_of(fields, view, bytes_max=bytes_max) if self._goes_on else Turn(fields=fields)

    async def open(self) -> Outcome:
        """Raises `Refused`."""
        outcome = await open_turn(self._app.dispatcher, self._turn, self._asked)
        if self._is_kept:
            outcome.body = ReadAlong(outcome, self)
        return outcome

    def forms(self) -> Iterator[Inquiry]:
        """As it is asked first, and then where the account that keeps the conversation has to rest."""
        yield self._asked(self._turn)
        if self._turn.can_be_untied:
            yield self._asked(self._turn.untied())

    def _asked(self, turn: Turn) -> Inquiry:
        return replace(self._inquiry, body=turn.body, tie=turn.tie) if self._goes_on else self._inquiry

    @property
    def is_stream(self) -> bool:
        return self._inquiry.is_stream

    def keep(self, scribe: Scribe, outcome: Outcome) -> None:
        fields = self._turn.fields
        if not self._goes_on:
            self._turn.own = input_items(fields)
        told = self._turn.told(scribe, outcome.report, is_stored=True)
        if told is not None:
            elsewhere = _ELSEWHERE[1:] if self._goes_on else _ELSEWHERE
            told.is_partial = any(bytes(fields.get(key, b"null")) != b"null" for key in elsewhere) or any(
                MARK in item for item in self._turn.own
            )
            self._app.archive.keep(self._owner, told, self._now)


class ReadAlong(Flowing):
    """An answer's body. What it says is kept before its last piece is handed on."""

    def __init__(self, outcome: Outcome, following: Following) -> None:
        self._outcome = outcome
        self._chunks = outcome.body
        self._following = following
        self._scribe = Scribe()
        self._parts: list[bytes] = []

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            if not self._following.is_stream and 200 <= self._outcome.status < 300:
                self._scribe.read_whole(b"".join(self._parts))
                self._following.keep(self._scribe, self._outcome)
            raise
        if self._following.is_stream:
            self._read(chunk)
        else:
            self._parts.append(chunk)
        return chunk

    def _read(self, chunk: bytes) -> None:
        if self._scribe.read_events(chunk):
            self._following.keep(self._scribe, self._outcome)

    async def flow(self, take: Callable[[bytes], bool]) -> None:
        """`proxy.upstream.base.Flowing`."""
        chunks: object = self._chunks
        if not self._following.is_stream or not isinstance(chunks, Flowing):
            return

        def also(chunk: bytes) -> bool:
            self._read(chunk)
            return take(chunk)

        await chunks.flow(also)

    async def aclose(self) -> None:
        await close(self._chunks)


def _is_known(fields: Members, view: View) -> bool:
    """Whether it refers to something that is kept here. What is not, its provider may have heard of."""
    value = fields.get(PREVIOUS)
    previous = None if value is None else loads(bytes(value))
    if previous is not None:
        return isinstance(previous, str) and view.answer(previous) is not None
    return MARK in bytes(fields.get("input", b"")) and bool(known(input_items(fields), view))
