"""What a CLI is told, so that it comes to ask its provider what a caller asks: one step after the other.

A step is something that is said to it, after which it makes exactly one request. What becomes of that request:

* it has been answered before: the CLI hears from us what the model said then, and remembers it;
* nobody is to answer it, as the caller has said more at once than the CLI takes: it is refused;
* it is what the caller asks now: it goes on to the provider, and the answer back to both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from proxy.hub.residue import JsonObject, JsonValue


class Fate(Enum):
    """Of a request that no answer is known to."""

    GOES_ON = "goes on"
    IS_REFUSED = "is refused"


@dataclass(frozen=True, slots=True)
class Say:
    """A prompt. `blocks`: the protocol's content blocks."""

    blocks: tuple[JsonObject, ...]


class Called(NamedTuple):
    """A call of the model's. `name`: of the tool, as it was offered. `id`: or empty. `arguments`: or None, where the
    CLI carries out one call after the other, and it does not matter which is which.
    """

    name: str
    id: str = ""
    arguments: JsonValue = None


@dataclass(frozen=True, slots=True)
class Results:
    """Of the tools that the CLI waits for, in the order of its `calls`: each an MCP ``CallToolResult``."""

    calls: tuple[Called, ...]
    results: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """`then`: the answer that is known, as the provider would send it; or what becomes of the request."""

    told: Say | Results
    then: bytes | Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one call asks. `said`: a digest of each thing that was said, in order; `terms`: one of all that holds for a
    whole conversation. `tools`: as MCP lists them. `settings`: the file of them.
    `steps`: what to tell a CLI that knows so many things already, and waits for the results of these calls; raises
    `ValueError` where that cannot be.
    """

    model: str
    is_stream: bool
    instructions: str
    tools: tuple[JsonObject, ...]
    settings: bytes
    said: tuple[bytes, ...]
    terms: bytes
    steps: Callable[[int, Sequence[Called]], tuple[Step, ...]]
