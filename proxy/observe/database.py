"""Where the usage ledger is kept: what it asks of a database, whichever it is. SQL is written for both, with ``?``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

Values: TypeAlias = Sequence[object]


class Unfit(Exception):
    """A database that cannot be used; the message is the end of a sentence that begins with its name."""


class Record(Protocol):
    """A line of an answer, by number or by name."""

    def __getitem__(self, place: int | str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> Iterable[str]: ...


class Found(Protocol):
    @property
    def rowcount(self) -> int: ...

    def __iter__(self) -> Iterator[Record]: ...

    def fetchone(self) -> Record | None: ...

    def fetchall(self) -> Sequence[Record]: ...


class Connection(Protocol):
    """`floor`: the whole part of a number that is not negative, as SQL with ``{}`` in it."""

    floor: str

    def execute(self, sql: str, values: Values = (), /) -> Found: ...

    def executemany(self, sql: str, rows: Iterable[Values], /) -> object: ...

    def transaction(self, *, name: str = "") -> AbstractContextManager[object]:
        """All of it or nothing. `name`: one of this name at a time, in all processes."""
        ...

    def close(self) -> None: ...


class Database(Protocol):
    """`name`: for messages; never a password. `errors`: what goes wrong on the way is one of these."""

    @property
    def name(self) -> str: ...

    @property
    def errors(self) -> tuple[type[Exception], ...]: ...

    def exists(self) -> bool:
        """Whether there may be something in it already. It is not opened."""
        ...

    def open(self) -> Connection:
        """For the one who writes: made if it is not there, and brought up to date. Raises `errors`, `Unfit`."""
        ...

    def reading(self) -> Connection:
        """Beside the one who writes. Raises `errors`."""
        ...

    def shrink(self, connection: Connection) -> None:
        """Gives back what deleted rows have left."""
        ...
