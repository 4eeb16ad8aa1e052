"""Questions to the usage ledger. Each takes a connection; `proxy.observe.ledger.Ledger.read` gives one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast

import msgspec

from proxy.observe.database import Connection, Record
from proxy.observe.ledger_schema import COLUMNS, DAY, HOUR
from proxy.observe.usage import BUCKETS, Cell

Answer: TypeAlias = "dict[str, object]"
Step: TypeAlias = Literal["hour", "day"]
GROUPS = {"key": "key", "account": "credential", "provider": "provider", "model": "model"}
"""What totals may be split by → the column."""
SAMPLES_MAX = 100_000
"""So many of the newest requests are looked at for percentiles."""
POINTS_MAX = 10_000
SPAN, SPANS = 600, 20
_SPANS = {"hourly": HOUR, "daily": DAY}
_SUMS = ("requests", "failed", "unpriced", *BUCKETS, "cost", "seconds")
_JSON = frozenset({"losses", "attempts"})
_CURSOR = "usage-queue"
_IS_FAILED = "(CASE WHEN status >= 400 THEN 1 ELSE 0 END)"
_FAILED = f"COALESCE(SUM{_IS_FAILED}, 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """`since` and `until`: Unix seconds, the latter excluded. `account`: a credential's id. None: any."""

    since: float | None = None
    until: float | None = None
    key: str | None = None
    account: str | None = None
    provider: str | None = None
    model: str | None = None
    is_failed: bool | None = None
    session: str | None = None
    request_id: str | None = None

    @property
    def is_rolled(self) -> bool:
        """It asks for nothing that the sums of hours and days have forgotten."""
        return self.is_failed is None and self.session is None and self.request_id is None

    def parts(self, *tables: str) -> Iterator[tuple[str, Filter]]:
        """`tables`: the longest spans first. In whole ones the sums know everything; only in what is left before and
        after them single requests are looked at.
        """
        table, *finer = tables if self.is_rolled else ("request",)
        span = _SPANS.get(table)
        if span is None:
            yield table, self
            return
        first = None if self.since is None else -(-self.since // span) * span
        last = None if self.until is None else self.until // span * span
        if first is not None and last is not None and first >= last:
            yield from self.parts(*finer)
            return
        if first != self.since:
            yield from replace(self, until=first).parts(*finer)
        yield table, replace(self, since=first, until=last)
        if last != self.until:
            yield from replace(self, since=last).parts(*finer)


def totals(connection: Connection, chosen: Filter, group: str | None = None) -> list[Answer]:
    """One line, or one for each of what they are split by, the most tokens first."""
    sums: dict[object, Answer] = {}
    for table, part in chosen.parts("daily", "hourly", "request"):
        by = "NULL" if group is None else _model(table) if group == "model" else f"COALESCE({GROUPS[group]}, '')"
        _add(sums, connection, table, part, "name", by, is_grouped=group is not None)
    told = [_told_sum(line) for line in sums.values()]
    if group is None:
        for line in told:
            del line["name"]
    return sorted(told, key=lambda line: (-cast("int", line["tokens"]), line.get("name")))


def series(connection: Connection, chosen: Filter, step: Step) -> list[Answer]:
    """One line for each hour or day (UTC) in which there was something, the oldest first; `at` is its beginning."""
    tables = ("daily", "hourly", "request") if step == "day" else ("hourly", "request")
    span = _SPANS[tables[0]]
    sums: dict[object, Answer] = {}
    for table, part in chosen.parts(*tables):
        at = "at" if table == tables[0] else f"{connection.floor.format(f'at / {span}')} * {span}"
        _add(sums, connection, table, part, "at", at, is_grouped=True)
    return [_told_sum(sums[at]) for at in sorted(sums, key=lambda at: cast("int", at))[-POINTS_MAX:]]


def _add(
    sums: dict[object, Answer],
    connection: Connection,
    table: str,
    part: Filter,
    name: str,
    by: str,
    *,
    is_grouped: bool,
) -> None:
    """To the sums, those of one table, by what `by` says."""
    where, values = _where(part, table)
    tail = " GROUP BY 1" if is_grouped else ""
    rows = connection.execute(f"SELECT {by} AS {name}, {_sums(table)} FROM {table}{where}{tail}", values)  # noqa: S608 - names of ours
    for row in rows:
        line = sums.setdefault(row[name], {name: row[name]})
        for each in _SUMS:
            line[each] = cast("float", line.get(each, 0)) + row[each]


def tokens_by_hour(connection: Connection, *, since: float) -> Iterator[tuple[str, str, int, int]]:
    """Account, key, beginning of the hour, and the tokens of all kinds that the one gave the other in it."""
    rows = connection.execute(
        f"SELECT credential, key, at, SUM({' + '.join(BUCKETS)}) FROM hourly WHERE at >= ? AND credential != '' "  # noqa: S608 - names of ours
        "GROUP BY 1, 2, 3",
        [since],
    )
    for account, key, at, tokens in rows:
        yield account, key, int(at), int(tokens)


def recent(connection: Connection, *, now: float) -> dict[str, list[Answer]]:
    """By account, of the last 20 spans of ten minutes, the oldest first: how many went well, how many not."""
    newest = int(now // SPAN)
    first = newest - SPANS + 1
    found: dict[str, list[Answer]] = {}
    for account, span, requests_, failed in connection.execute(
        f"SELECT credential, {connection.floor.format(f'at / {SPAN}')}, COUNT(*), {_FAILED} FROM request "  # noqa: S608 - names of ours
        "WHERE at >= ? AND credential IS NOT NULL GROUP BY 1, 2",
        [first * SPAN],
    ):
        spans = found.setdefault(
            account, [{"time": (first + n) * SPAN, "success": 0, "failed": 0} for n in range(SPANS)]
        )
        if first <= span <= newest:
            spans[span - first] |= {"success": requests_ - failed, "failed": failed}
    return found


def percentiles(connection: Connection, chosen: Filter) -> Answer:
    """Seconds to the first byte, and of the whole, of answers that came."""
    where, values = _where(chosen, "request")
    rows = connection.execute(
        f"SELECT first_byte_seconds, seconds FROM request{where or ' WHERE TRUE'} AND status < 400 "  # noqa: S608 - names of ours
        f"ORDER BY id DESC LIMIT {SAMPLES_MAX}",
        values,
    ).fetchall()
    told = {"first_byte_seconds": [row[0] for row in rows if row[0] is not None], "seconds": [row[1] for row in rows]}
    return {name: {"samples": len(seconds), **_percentiles(sorted(seconds))} for name, seconds in told.items()}


def _percentiles(ordered: list[float]) -> dict[str, float | None]:
    last = len(ordered) - 1
    return {f"p{n}": ordered[round(last * n / 100)] if ordered else None for n in (50, 90, 95, 99)}


def requests(connection: Connection, chosen: Filter, *, limit: int, before: int | None = None) -> Iterator[Answer]:
    """The newest first; `before`: the `id` of the last one that is known."""
    where, values = _where(chosen, "request")
    if before is not None:
        where, values = f"{where or ' WHERE TRUE'} AND id < ?", [*values, before]
    for row in connection.execute(
        f"SELECT id, {', '.join(COLUMNS)} FROM request{where} ORDER BY id DESC LIMIT ?",  # noqa: S608 - names of ours
        [*values, limit],
    ):
        yield _told(row)


def pop(connection: Connection, count: int) -> list[Answer]:
    """The oldest that nobody has popped; never again the same. Only in the ledger's own thread."""
    with connection.transaction(name=_CURSOR):
        found = connection.execute("SELECT value FROM meta WHERE name = ?", [_CURSOR]).fetchone()
        cursor = connection.execute(
            f"SELECT id, {', '.join(COLUMNS)} FROM request WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - names of ours
            [found[0] if found else 0, count],
        )
        rows = [_told(row) for row in cursor]
        if rows:
            connection.execute(
                "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [_CURSOR, rows[-1]["id"]],
            )
    return rows


def _told(row: Record) -> Answer:
    told: Answer = {name: msgspec.json.decode(row[name]) if name in _JSON else row[name] for name in row.keys()}  # noqa: SIM118 - a Row gives its values
    told["is_stream"] = bool(told["is_stream"])
    return told


def _model(table: str) -> str:
    return "COALESCE(model_served, '')" if table == "request" else "model"


def _sums(table: str) -> str:
    tokens = ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in BUCKETS)
    if table == "request":
        known = " OR ".join(f"{name} > 0" for name in BUCKETS)
        counts = (
            f"COUNT(*) AS requests, {_FAILED} AS failed, "
            f"COALESCE(SUM(CASE WHEN cost IS NULL AND ({known}) THEN 1 ELSE 0 END), 0) AS unpriced"
        )
    else:
        counts = ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in ("requests", "failed", "unpriced"))
    return f"{counts}, {tokens}, COALESCE(SUM(cost), 0) AS cost, COALESCE(SUM(seconds), 0) AS seconds"


def _told_sum(told: Answer) -> Answer:
    """A cost is known only where nothing is missing in it; the part that is known is told beside."""
    told["cost_known"] = told["cost"]
    told["cost"] = told["cost"] if not told["unpriced"] else None
    told["tokens"] = sum(cast("int", told[name]) for name in BUCKETS)
    return told


def _where(chosen: Filter, table: str) -> tuple[str, list[Cell]]:
    conditions: list[tuple[str, Cell]] = [
        ("at >= ?", chosen.since),
        ("at < ?", chosen.until),
        ("key = ?", chosen.key),
        ("credential = ?", chosen.account),
        ("provider = ?", chosen.provider),
        (f"{_model(table)} = ?", chosen.model),
        (f"{_IS_FAILED} = ?", None if chosen.is_failed is None else int(chosen.is_failed)),
        ("session = ?", chosen.session),
        ("request_id = ?", chosen.request_id),
    ]
    given = [(condition, value) for condition, value in conditions if value is not None]
    where = f" WHERE {' AND '.join(condition for condition, _ in given)}" if given else ""
    return where, [value for _, value in given]
