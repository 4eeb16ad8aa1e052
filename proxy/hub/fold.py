"""fold: events → Response. explode: Response → events. Each other's inverse, for every wire (laws L3, L7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from proxy.hub.events import (
    Event,
    Failure,
    Heartbeat,
    OpaqueEvent,
    PartDelta,
    PartEnd,
    PartStart,
    ResponseEnd,
    ResponseStart,
)
from proxy.hub.parts import Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import Residue
from proxy.hub.response import Response


class StreamCorrupt(ValueError):
    """The events break the grammar of `proxy.hub.events`."""

    @property
    def failure(self) -> Failure:
        return Failure(kind="stream_corrupt", message=f"the upstream's stream is corrupt: {self}", status=502)


class Fold:
    """Collects events. Strict: an index opened twice, a delta without a start, an end missing → `StreamCorrupt`.

    Linear in the length of the answer: fragments are joined once, at the part's end.
    """

    def __init__(self) -> None:
        self._start: ResponseStart | None = None
        self._open: dict[int, Part] = {}
        self._done: dict[int, Part] = {}
        self._end: ResponseEnd | None = None
        self.failure: Failure | None = None

    def feed(self, event: Event) -> None:
        if self._end is not None or self.failure is not None:
            if isinstance(event, Heartbeat):
                return
            raise StreamCorrupt(f"{type(event).__name__} after the end")
        if self._start is None and not isinstance(event, ResponseStart | Heartbeat | Failure | OpaqueEvent):
            raise StreamCorrupt(f"{type(event).__name__} before the start")
        match event:
            case PartDelta(index=index):
                if index not in self._open:
                    raise StreamCorrupt(f"a delta for part {index}, which is not open")
            case PartStart() | PartEnd():
                self._boundary(event)
            case ResponseStart() | ResponseEnd():
                self._frame(event)
            case Failure():
                self.failure = event
            case Heartbeat() | OpaqueEvent():
                pass

    def _boundary(self, event: PartStart | PartEnd) -> None:
        index = event.index
        if isinstance(event, PartStart):
            if index in self._open or index in self._done:
                raise StreamCorrupt(f"part {index} was opened twice")
            self._open[index] = event.part
            return
        if self._open.pop(index, None) is None:
            raise StreamCorrupt(f"part {index} ended without a start")
        self._done[index] = event.part

    def _frame(self, event: ResponseStart | ResponseEnd) -> None:
        if isinstance(event, ResponseStart):
            if self._start is not None:
                raise StreamCorrupt("a second start")
            self._start = event
            return
        if self._open:
            raise StreamCorrupt(f"part {min(self._open)} never ended")
        self._end = event

    def finish(self) -> Response:
        """The whole response. Raises `StreamCorrupt` when the stream ended early, or failed."""
        if self.failure is not None:
            raise StreamCorrupt(f"it failed: {self.failure.message}")
        if self._start is None or self._end is None:
            raise StreamCorrupt("it ended early")
        return Response(
            id=self._start.id,
            model=self._start.model,
            created=self._start.created,
            parts=tuple(self._done[index] for index in sorted(self._done)),
            finish=self._end.finish,
            usage=self._end.usage,
            residue=merged(self._start.residue, self._end.residue),
        )


def merged(first: Residue | None, second: Residue | None) -> Residue | None:
    if first is None or second is None:
        return first or second
    return Residue(wire=second.wire, fields={**first.fields, **second.fields}, shape={**first.shape, **second.shape})


def opened(part: Part) -> Part:
    """The part as it is when a stream opens it: identity without content. A call comes with all that is known of it,
    because a client's wire may have room for its signature only before it.
    """
    match part:
        case Text():
            return Text(text="", origin=part.origin)
        case Refusal():
            return Refusal(text="", origin=part.origin)
        case Thinking():
            return Thinking(is_redacted=part.is_redacted, origin=part.origin)
        case ToolCall():
            return replace(part, arguments="")
        case _:
            return part


def explode(response: Response) -> Iterator[Event]:
    """The events that a stream of this response would have brought, with one delta a part (one a section)."""
    yield ResponseStart(
        id=response.id,
        model=response.model,
        created=response.created,
        usage=response.usage,
        residue=response.residue,
    )
    for index, part in enumerate(response.parts):
        yield PartStart(index, opened(part))
        match part:
            case Text(text=text) | Refusal(text=text):
                if text:
                    yield PartDelta(index, text)
            case Thinking(sections=sections):
                for number, section in enumerate(sections):
                    yield PartDelta(index, section, number)
            case ToolCall(arguments=arguments):
                if arguments:
                    yield PartDelta(index, arguments)
            case Opaque() | _:
                pass
        yield PartEnd(index, part)
    if response.finish is not None:
        yield ResponseEnd(finish=response.finish, usage=response.usage, residue=response.residue)
