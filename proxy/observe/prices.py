"""What tokens cost: by a file of the operator's, else by the list that ships. Unknown is unknown, not zero.

::

    # prices.yaml: US dollars for a million tokens; the first pattern that fits counts
    claude-sonnet-*: {input: 3, output: 15, cache-read: 0.3, cache-write: 3.75}
    openrouter/some-model: {input: 0.1, output: 0.4}      a provider's name and / before the model is more exact
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from proxy.observe.price import Price
from proxy.observe.price_list import listed
from proxy.observe.usage import Tokens

BYTES_MAX = 1024 * 1024
FOUND_MAX = 4096


_UNKNOWN = Price()


class Prices:
    """Looks at its file again when that has changed. A faulty one changes nothing: `fault` says why."""

    def __init__(self, path: Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._seen: tuple[int, int] | None = None
        self._table: Mapping[str, Price] = {}
        self._found: dict[tuple[str | None, str], Price | None] = {}
        """What the table has for a provider's model; bounded, as models are made up without end."""
        self.fault: str | None = None

    def cost(self, provider: str | None, model: str | None, tokens: Tokens, at: float | None = None) -> float | None:
        """`at`: Unix seconds; None: now."""
        if model is None or not tokens.is_known:
            return None
        found, table = self._found, self._table
        price = found.get((provider, model), _UNKNOWN)
        if price is _UNKNOWN:
            price = _find(table, f"{provider}/{model}", model) or listed(provider or "", model)
            if len(found) >= FOUND_MAX:
                found.clear()
            found[provider, model] = price
        return None if price is None else price.at(self._now() if at is None else at).cost(tokens)

    def look(self) -> None:
        """Blocks."""
        if self._path is None:
            return
        try:
            found = self._path.stat()
            if (found.st_mtime_ns, found.st_size) == self._seen:
                return
            self._seen = (found.st_mtime_ns, found.st_size)
            self._use(_table(self._path))
        except FileNotFoundError:
            self._use({})
            self._seen, self.fault = None, None
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self.fault = f"{self._path}: {error}"
        else:
            self.fault = None

    def _use(self, table: Mapping[str, Price]) -> None:
        """Another thread may be asking: what it finds by the old table it notes where nobody looks any more."""
        if table != self._table:
            self._table = table
            self._found = {}


def _find(table: Mapping[str, Price], *names: str) -> Price | None:
    for name in names:
        if name in table:
            return table[name]
    for pattern, price in table.items():
        if any(fnmatchcase(name, pattern) for name in names):
            return price
    return None


def _table(path: Path) -> Mapping[str, Price]:
    """Raises OSError, ValueError, `msgspec.MsgspecError`."""
    with path.open("rb") as file:
        raw = file.read(BYTES_MAX + 1)
    if len(raw) > BYTES_MAX:
        raise ValueError(f"is larger than {BYTES_MAX} bytes")
    return msgspec.yaml.decode(raw, type=dict[str, Price]) if raw.strip() else {}
