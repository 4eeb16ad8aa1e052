"""A call that left at once, over a connection that stood ready, with nobody waiting for it.

Whoever has begun it is told whenever something has come, in the same turn of the loop, and looks: an answer that is
all there can be taken; one that needs somebody who waits (it streams, it failed, it is long) is waited for as any other
by sending the call again (`DirectUpstream.send`), which goes on with what was begun. A task and the futures between it
and the connection cost 25 µs a call; this costs 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from multidict import CIMultiDict

from proxy.upstream.connection import Connection


class Begun:
    """`tell`: called whenever there is something to look at. Exactly one of `done`, `abort` and another `send` of the
    call ends it.
    """

    __slots__ = ("_connection", "_keep")

    def __init__(self, connection: Connection, tell: Callable[[], None], keep: Callable[[Connection], None]) -> None:
        """`keep`: takes the connection back, for the next call."""
        self._connection = connection
        self._keep = keep
        connection.listener = tell

    @property
    def is_complete(self) -> bool:
        """All of it is there."""
        return self._connection.is_complete

    @property
    def status(self) -> int:
        """0: its head is not there yet."""
        return self._connection.status

    @property
    def fields(self) -> Sequence[tuple[str, str]]:
        """Of its head, as they came."""
        return self._connection.headers

    @property
    def headers(self) -> Mapping[str, str]:
        return CIMultiDict(self._connection.headers)

    @property
    def is_encoded(self) -> bool:
        return bool(self._connection.encoding)

    @property
    def needs_waiting(self) -> bool:
        """Of an answer that is not complete: it is not one that can be taken here, or not soon."""
        connection = self._connection
        return connection.is_done or connection.is_paused or (bool(connection.status) and not self._is_plain())

    def _is_plain(self) -> bool:
        """Good, in JSON, and not encoded."""
        if not 200 <= self.status < 300 or self.is_encoded:
            return False
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"

    def look(self) -> bytes:
        """At what has come of its body, which stays there until it is `done`."""
        return self._connection.look()

    def done(self) -> None:
        """The answer has been taken: its connection can serve again."""
        self._keep(self.leave())

    def leave(self) -> Connection:
        """Nobody is told any more."""
        self._connection.listener = None
        return self._connection

    def abort(self) -> None:
        """The answer is of no use to anybody: its connection is closed."""
        self.leave().abort()
