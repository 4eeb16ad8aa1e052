"""What the usage ledger keeps of one request: who asked whom for which model, how it went, how many tokens it took.

Never a body, never a secret, and nothing that a client made up beyond a length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import msgspec

TOKENS_MAX = 10**12
"""Of one bucket of one request. An upstream may say anything."""
TEXT_CHARACTERS_MAX = 256
LOSSES_MAX = 50
BUCKETS = ("input_uncached", "cache_read", "cache_write", "output", "reasoning")
"""Disjoint: together they are all the tokens there were."""

Cell: TypeAlias = "str | int | float | None"


class Tokens(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """None: the upstream did not say, which is not zero."""

    input_uncached: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None

    @classmethod
    def bounded(cls, said: Mapping[str, int | None]) -> Tokens:
        """From an upstream's word: less than nothing is nothing that was said."""
        get = said.get
        return cls(
            input_uncached=_bounded(get("input_uncached")),
            cache_read=_bounded(get("cache_read")),
            cache_write=_bounded(get("cache_write")),
            output=_bounded(get("output")),
            reasoning=_bounded(get("reasoning")),
        )

    @classmethod
    def of(cls, said: Said | None) -> Tokens:
        """The same, of an answer's own figures; None: it told none."""
        if said is None:
            return NO_TOKENS
        uncached, read, written = said.input_uncached, said.cache_read, said.cache_write
        output, reasoning = said.output, said.reasoning
        most = max(uncached or 0, read or 0, written or 0, output or 0, reasoning or 0)
        least = min(uncached or 0, read or 0, written or 0, output or 0, reasoning or 0)
        if least < 0 or most > TOKENS_MAX:
            uncached, read, written = _bounded(uncached), _bounded(read), _bounded(written)
            output, reasoning = _bounded(output), _bounded(reasoning)
        return cls(input_uncached=uncached, cache_read=read, cache_write=written, output=output, reasoning=reasoning)

    def counted(self) -> dict[str, int]:
        """Those that there were, by kind."""
        kinds = zip(BUCKETS, msgspec.structs.astuple(self), strict=True)
        return {kind: count for kind, count in kinds if count}

    @property
    def is_known(self) -> bool:
        return self != NO_TOKENS

    @property
    def total(self) -> int:
        return (
            (self.input_uncached or 0)
            + (self.cache_read or 0)
            + (self.cache_write or 0)
            + (self.output or 0)
            + (self.reasoning or 0)
        )


class Said(Protocol):
    """Figures as an upstream gave them."""

    @property
    def input_uncached(self) -> int | None: ...
    @property
    def cache_read(self) -> int | None: ...
    @property
    def cache_write(self) -> int | None: ...
    @property
    def output(self) -> int | None: ...
    @property
    def reasoning(self) -> int | None: ...


NO_TOKENS = Tokens()


def _bounded(count: int | None) -> int | None:
    return None if count is None or count < 0 else min(count, TOKENS_MAX)


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `status`: None where no answer came; `why`: what its failure meant. `tokens`: None where nothing was
    said of them.
    """

    provider: str
    credential: str
    model: str
    status: int | None = None
    why: str = ""
    seconds: float = 0.0
    first_byte_seconds: float | None = None
    tokens: Tokens | None = None

    @property
    def result(self) -> str:
        return "ok" if self.status is not None and self.status < 400 else "failed"


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """One request, when it is over. `at`: Unix seconds of its end. `key`: the client key's name or digest. `account`:
    the credential's label. `wire_in`: the client's; `wire_out`: the provider's. `finish`: why the model stopped; None:
    the answer did not come to its end, so that its tokens are those counted until then.
    """

    at: float
    request_id: str
    route: str
    operation: str
    status: int
    seconds: float
    key: str = ""
    model_asked: str = ""
    model_served: str | None = None
    provider: str | None = None
    credential: str | None = None
    account: str | None = None
    wire_in: str = ""
    wire_out: str | None = None
    is_stream: bool = False
    tokens: Tokens = Tokens()
    first_byte_seconds: float | None = None
    finish: str | None = None
    error: str | None = None
    """Its kind and code; never its message, which may quote the request."""
    session: str | None = None
    losses: tuple[str, ...] = ()
    attempts: tuple[Tried, ...] = ()

    @property
    def retries(self) -> int:
        return max(0, len(self.attempts) - 1)


def clipped(text: str) -> str:
    """Without half characters, and without the one that no database keeps."""
    text = text[:TEXT_CHARACTERS_MAX].replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
