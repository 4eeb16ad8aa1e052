"""What comes back, streamed: start, deltas, end.

``ResponseStart (PartStart PartDelta* PartEnd | OpaqueEvent | Heartbeat)* (ResponseEnd | Failure)``

Several parts may be open at once (OpenAI Chat interleaves parallel calls); an index is used once. After ResponseEnd
or Failure nothing follows.
"""

from __future__ import annotations

from typing import TypeAlias

from proxy.errors import Kind, ProxyError
from proxy.hub.parts import Part
from proxy.hub.residue import JsonValue, Residue
from proxy.hub.response import Finish, Usage
from proxy.hub.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseStart:
    """`usage`: what is known of the prompt at the start (Anthropic tells), for clients that show it early."""

    id: str
    model: str
    created: int | None = None
    usage: Usage | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True)
class PartStart:
    """`part` is the part so far: empty text, a call with id and name and no arguments (``""``)."""

    index: int
    part: Part


@dataclass(frozen=True, slots=True)
class PartDelta:
    """`text` is appended to what the open part is made of: text, refusal, arguments; for Thinking to section `section`
    (the first delta of a section opens it).
    """

    index: int
    text: str
    section: int = 0


@dataclass(frozen=True, slots=True)
class PartEnd:
    """`part` is the finished part: start + deltas, plus what is only known at the end (signature, residue)."""

    index: int
    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEnd:
    """`usage` is the last word: cumulative, never to be added to an earlier one."""

    finish: Finish
    usage: Usage | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error: as a whole body, in the middle of a stream, or our own. `raw` is the upstream's own JSON."""

    kind: Kind
    message: str
    status: int
    code: str | None = None
    type: str | None = None
    """The upstream's own word for the kind (``overloaded_error``, ``RESOURCE_EXHAUSTED``)."""
    path: str | None = None
    retry_after_seconds: float | None = None
    resets_at: float | None = None
    """Unix seconds: when what is used up is there again, for formats that tell a date."""
    request_id: str | None = None
    raw: JsonValue = None

    @classmethod
    def of(cls, error: ProxyError) -> Failure:
        return cls(
            kind=error.kind,
            message=error.message,
            status=error.status,
            code=error.code,
            path=error.path,
            retry_after_seconds=error.retry_after_seconds,
        )


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened, and the upstream is alive."""


@dataclass(frozen=True, slots=True)
class OpaqueEvent:
    """An event of one wire that the hub has no word for. `name` is its type there."""

    wire: str
    name: str
    value: JsonValue


Event: TypeAlias = ResponseStart | PartStart | PartDelta | PartEnd | ResponseEnd | Failure | Heartbeat | OpaqueEvent
