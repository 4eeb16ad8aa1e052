"""How rows are written: all of them, in order, by few statements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proxy.observe.ledger_schema import COLUMNS, ROWS_AT_ONCE, Row, insert
from proxy.observe.sqlite import SqliteConnection, SqliteDatabase

NUMBERS = COLUMNS.index("at"), COLUMNS.index("is_stream"), COLUMNS.index("status"), COLUMNS.index("seconds")


def row(number: int) -> Row:
    cells: list[Any] = [""] * len(COLUMNS)
    cells[COLUMNS.index("request_id")] = f"r-{number}"
    for place in (*NUMBERS, *range(COLUMNS.index("input_uncached"), COLUMNS.index("cost") + 1)):
        cells[place] = number
    return tuple(cells)


def test_however_many_there_are_few_statements_write_them(tmp_path: Path) -> None:
    """SQLite keeps each, with what it held last: a statement for each number of rows was megabytes of them."""
    connection = SqliteDatabase(tmp_path / "usage.sqlite").open()
    assert isinstance(connection, SqliteConnection)
    execute, texts = connection.execute, set()

    def noted(sql: str, *values: Any) -> Any:
        texts.add(sql)
        return execute(sql, *values)

    connection.execute = noted
    count = 0
    for size in range(260):
        insert(connection, [row(count + n) for n in range(size)])
        count += size
    assert len([sql for sql in texts if sql.startswith("INSERT INTO request")]) == len(ROWS_AT_ONCE)
    written = [each[0] for each in execute("SELECT request_id FROM request ORDER BY rowid")]
    assert written == [f"r-{n}" for n in range(count)]
    connection.close()
