"""What tokens cost, by a file of the operator's: unknown is unknown, not zero.

::

    # prices.yaml: US dollars for a million tokens; the first pattern that fits counts
    claude-sonnet-*: {input: 3, output: 15, cache-read: 0.3, cache-write: 3.75}
    openrouter/some-model: {input: 0.1, output: 0.4}      a provider's name and / before the model is more exact
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec

from proxy.observe.usage import Tokens

BYTES_MAX = 1024 * 1024
MILLION = 1_000_000
_Dollars = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """Dollars for a million tokens; None: not known. Reasoning costs what output does."""

    input: _Dollars | None = None
    output: _Dollars | None = None
    cache_read: _Dollars | None = None
    cache_write: _Dollars | None = None

    def cost(self, tokens: Tokens) -> float | None:
        """Dollars; None where a bucket is filled that has no price, or nothing is known."""
        if not tokens.is_known:
            return None
        rates = (
            (tokens.input_uncached, self.input),
            (tokens.cache_read, self.cache_read),
            (tokens.cache_write, self.cache_write),
            (tokens.output, self.output),
            (tokens.reasoning, self.output),
        )
        total = 0.0
        for count, rate in rates:
            if count:
                if rate is None:
                    return None
                total += count * rate
        return total / MILLION


class Prices:
    """Looks at its file again when that has changed. A faulty one changes nothing: `fault` says why."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._table: Mapping[str, Price] = {}
        self.fault: str | None = None

    def cost(self, provider: str | None, model: str | None, tokens: Tokens) -> float | None:
        if model is None or not tokens.is_known:
            return None
        price = self._find(f"{provider}/{model}", model)
        return None if price is None else price.cost(tokens)

    def _find(self, *names: str) -> Price | None:
        for name in names:
            if name in self._table:
                return self._table[name]
        for pattern, price in self._table.items():
            if any(fnmatchcase(name, pattern) for name in names):
                return price
        return None

    def look(self) -> None:
        """Blocks."""
        if self._path is None:
            return
        try:
            found = self._path.stat()
            if (found.st_mtime_ns, found.st_size) == self._seen:
                return
            self._seen = (found.st_mtime_ns, found.st_size)
            self._table = _table(self._path)
        except FileNotFoundError:
            self._seen, self._table, self.fault = None, {}, None
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self.fault = f"{self._path}: {error}"
        else:
            self.fault = None


def _table(path: Path) -> Mapping[str, Price]:
    """Raises OSError, ValueError, `msgspec.MsgspecError`."""
    with path.open("rb") as file:
        raw = file.read(BYTES_MAX + 1)
    if len(raw) > BYTES_MAX:
        raise ValueError(f"is larger than {BYTES_MAX} bytes")
    return msgspec.yaml.decode(raw, type=dict[str, Price]) if raw.strip() else {}
