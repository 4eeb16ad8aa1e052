"""What the proxy's usage ledger says of a soak, next to what its clients saw and what the vendors wrote down.

Each request carries a canary as its id. Of a stream that its client has read to the end, the ledger must have the
vendor's own numbers; of one that was cut or left, those that the vendor had told until then, or none.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

Tokens = tuple[int, int]
"""Input and output, all their kinds together."""
NOTHING: Tokens = (0, 0)


@dataclass(slots=True)
class Asked:
    """One request as its vendor wrote it down. `told`: of tokens, the last word last; it may have been killed over
    that, but whoever has read the stream to its end has read it.
    """

    at: int
    mishap: str
    told: list[Tokens] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """One request in the ledger. `calls`: how many accounts were asked; `failed`: how many of them in vain."""

    tokens: Tokens
    calls: int
    failed: int


def vendors_books(paths: Iterable[Path]) -> dict[str, list[Asked]]:
    """By canary, in the order in which they were asked."""
    books: dict[str, list[Asked]] = defaultdict(list)
    for path in paths:
        last: dict[str, Asked] = {}
        for line in _lines(path):
            at, canary, what, *rest = line.split()
            if what == "asked":
                last[canary] = Asked(int(at), rest[0])
                books[canary].append(last[canary])
            else:
                last[canary].told.append((int(rest[0]), int(rest[1])))
    for asked in books.values():
        asked.sort(key=lambda each: each.at)
    return books


def _lines(path: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return path.read_text().splitlines()
    return []


def ledger(path: Path) -> dict[str, list[Row]]:
    """By canary. After the server has ended, so that all is written."""
    rows: dict[str, list[Row]] = defaultdict(list)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute(
            "SELECT request_id, attempts, input_uncached, cache_read, cache_write, output, reasoning FROM request"
        )
        for canary, attempts, uncached, read, written, output, reasoning in found:
            tried = msgspec.json.decode(attempts)
            tokens = sum(each or 0 for each in (uncached, read, written)), (output or 0) + (reasoning or 0)
            rows[canary].append(Row(tokens, len(tried), sum(bool(each["why"]) for each in tried)))
    return rows


@dataclass(slots=True)
class Audit:
    """`faults`: where they differ. `ledger`, `vendors`: the tokens of all streams that came to their end."""

    ledger: Tokens = NOTHING
    vendors: Tokens = NOTHING
    faults: list[str] = field(default_factory=list)


def audit(ends: Mapping[str, str], rows: Mapping[str, list[Row]], books: Mapping[str, list[Asked]]) -> Audit:
    """`ends`: how each client saw its stream end."""
    found = Audit()
    for canary, end in ends.items():
        mine = rows.get(canary, [])
        if len(mine) != 1:
            found.faults.append(f"{canary} ({end}) stands in the ledger {len(mine)} times")
            continue
        [row] = mine
        last = books[canary][-1] if canary in books else Asked(0, "")
        told = last.told or [NOTHING]
        if end == "whole":
            found.ledger = _sum(found.ledger, row.tokens)
            found.vendors = _sum(found.vendors, told[-1])
            is_true = row.tokens == told[-1]
        else:
            is_true = all(
                ours in {0, *theirs} for ours, theirs in zip(row.tokens, zip(*told, strict=True), strict=True)
            )
        if not is_true:
            found.faults.append(f"{canary} ({end}): the ledger has {row.tokens}, its vendor told {last.told}")
    return found


def _sum(one: Tokens, other: Tokens) -> Tokens:
    return one[0] + other[0], one[1] + other[1]


def mishaps(ends: Iterable[str], books: Mapping[str, list[Asked]]) -> Counter[str]:
    """What the vendors made of the calls for these canaries."""
    return Counter(each.mishap for canary in ends for each in books.get(canary, ()))
