"""What comes back, whole."""

from __future__ import annotations

from typing import Literal, TypeAlias

from proxy.hub.parts import Part
from proxy.hub.residue import Residue
from proxy.hub.values import dataclass

FinishReason: TypeAlias = Literal["stop", "tool_calls", "length", "refusal", "paused", "malformed_call", "other"]
"""stop: the natural end, or a stop sequence · tool_calls: the caller is to run tools · length: tokens or window ·
refusal: blocked by the model or a filter · paused: a hosted tool's loop wants to go on · malformed_call: the model
wrote a call that cannot be read · other."""


@dataclass(frozen=True, slots=True)
class Finish:
    """`raw` is the wire's own word; `stop_sequence` the one that was met, where the wire tells."""

    reason: FinishReason
    raw: str | None = None
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, in disjoint buckets: the prompt is `input_uncached + cache_read + cache_write`, what the model wrote is
    `output` (without reasoning) `+ reasoning`. None: not said by the upstream, which is not zero.
    """

    input_uncached: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    residue: Residue | None = None

    @property
    def input_total(self) -> int:
        return (self.input_uncached or 0) + (self.cache_read or 0) + (self.cache_write or 0)

    @property
    def output_total(self) -> int:
        return (self.output or 0) + (self.reasoning or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`created` in Unix seconds; None where the wire has no such field."""

    id: str
    model: str
    created: int | None = None
    parts: tuple[Part, ...] = ()
    finish: Finish | None = None
    usage: Usage | None = None
    residue: Residue | None = None
