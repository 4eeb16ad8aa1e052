"""The books: the line in the log, the figures and the ledger's row of each request that is over.

They are written at the end of the loop's turn, when its answers have left, of all requests that ended in it together:
under load several at once, of which all but the first find everything at hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from proxy.observe.request_line import RequestLine, through
from proxy.observe.usage import Used

if TYPE_CHECKING:
    from proxy.server.app import App


class Note(NamedTuple):
    """`client`: its key's name or digest. `is_served`: somebody has answered. `message`: what a failure said. `limit`:
    the client's own, that refused it. `is_quiet`: nobody need read of it.
    """

    used: Used
    client: str
    is_served: bool = True
    message: str | None = None
    limit: str | None = None
    is_quiet: bool = False


class Books:
    """To be flushed before the process ends."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._notes: list[Note] = []

    def note(self, note: Note) -> None:
        """Within the event loop."""
        self._notes.append(note)
        if len(self._notes) == 1:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        notes, self._notes = self._notes, []
        app = self._app
        self.enter([(note.used, note.limit) for note in notes])
        tell = app.tell or through(app.log.info)
        for note in notes:
            (through(app.log.debug) if note.is_quiet else tell)(_line(note))

    def enter(self, ended: Sequence[tuple[Used, str | None]]) -> None:
        """In the figures and the ledger. With each request: the client's own limit that refused it."""
        app = self._app
        for used, limit in ended:
            app.metrics.request_finished(used, limit=limit)
        rows = [used for used, _ in ended if used.operation]  # others asked nothing of a model
        if rows and app.ledger is not None and app.edition().config.usage_statistics_enabled:
            app.ledger.record(*rows)


def _line(note: Note) -> RequestLine:
    """Where nobody has answered it names nobody: the ledger's row says who was tried last."""
    used = note.used
    is_served, first = note.is_served, used.first_byte_seconds
    return RequestLine(
        request_id=used.request_id,
        route=used.route,
        status=used.status,
        seconds=round(used.seconds, 4),
        client=note.client,
        model=used.model_asked,
        model_served=used.model_served if is_served else None,
        provider=used.provider if is_served else None,
        credential=used.credential if is_served else None,
        first_byte_seconds=first and (round(first, 4) or None),
        tokens=used.tokens.counted() or None,
        retries=used.retries,
        finish=used.finish,
        losses=[*used.losses] or None,
        error=note.message or None,
    )
