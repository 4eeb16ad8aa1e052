"""What a million tokens cost, and so what a request did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from proxy.observe.usage import Tokens

MILLION = 1_000_000
_Dollars = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """Dollars for a million tokens; None: not known. Reasoning costs what output does."""

    input: _Dollars | None = None
    output: _Dollars | None = None
    cache_read: _Dollars | None = None
    cache_write: _Dollars | None = None


class Price(Rates, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """`tiers`: prompts of more tokens than that cost something else, as a whole."""

    tiers: Mapping[int, Rates] = {}

    def at(self, _unix: float) -> Price:
        """As it is at that time."""
        return self

    def cost(self, tokens: Tokens) -> float | None:
        """Dollars; None where a bucket is filled that has no price, or nothing is known."""
        if not tokens.is_known:
            return None
        tier = self._tier(tokens)
        total = 0.0
        for count, name in (
            (tokens.input_uncached, "input"),
            (tokens.cache_read, "cache_read"),
            (tokens.cache_write, "cache_write"),
            (tokens.output, "output"),
            (tokens.reasoning, "output"),
        ):
            if count:
                rate: float | None = getattr(tier, name) if tier is not None else None
                rate = getattr(self, name) if rate is None else rate
                if rate is None:
                    return None
                total += count * rate
        return total / MILLION

    def _tier(self, tokens: Tokens) -> Rates | None:
        if not self.tiers:
            return None
        prompt = (tokens.input_uncached or 0) + (tokens.cache_read or 0) + (tokens.cache_write or 0)
        reached = [start for start in self.tiers if prompt > start]
        return self.tiers[max(reached)] if reached else None
