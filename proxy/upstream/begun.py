"""A call that left at once, over a connection that stood ready, with nobody waiting for it.

Whoever has begun it is told whenever something has come, in the same turn of the loop, and looks: an answer that is
all there can be taken; one that needs somebody who waits (it streams, it failed, it is long) is waited for as any other
by sending the call again (`DirectUpstream.send`), which goes on with what was begun. A task and the futures between it
and the connection cost 25 µs a call; this costs 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from multidict import CIMultiDict

from proxy.upstream.connection import Connection


class Begun:
    """`tell`: called whenever there is something to look at. Exactly one of `done`, `abort` and another `send` of the
    call ends it.
    """

    __slots__ = ("connection", "give_back", "headers")

    def __init__(self, connection: Connection, tell: Callable[[], None], give_back: Callable[[], None]) -> None:
        self.connection = connection
        self.give_back = give_back
        self.headers: Mapping[str, str] = {}
        connection.listener = tell

    @property
    def status(self) -> int:
        """0: its head is not there yet."""
        return self.connection.status

    @property
    def needs_waiting(self) -> bool:
        """Its answer is not one that can be taken here, or not soon."""
        connection = self.connection
        if connection.is_complete:
            return not self._is_plain()
        return connection.is_done or connection.is_paused or (bool(connection.status) and not self._is_plain())

    def _is_plain(self) -> bool:
        """Good, in JSON, and not encoded."""
        connection = self.connection
        if not 200 <= connection.status < 300 or connection.encoding:
            return False
        self.headers = CIMultiDict(connection.headers)
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"

    def whole(self) -> bytes | None:
        """The answer's body; it stays there until it is `done`. None: something is missing yet."""
        return self.connection.look() if self.connection.is_complete else None

    def done(self) -> None:
        """The answer has been taken: its connection can serve again."""
        self.leave()
        self.give_back()

    def leave(self) -> Connection:
        """Nobody is told any more."""
        self.connection.listener = None
        return self.connection

    def abort(self) -> None:
        """The answer is of no use to anybody: its connection is closed."""
        self.leave().abort()
