"""Conversations that a client names by ``X-Claude-Session-ID``, or lets us name: how long a name means the same one.

A name is a client key's own. It ends when it has not been used for a while, or is too old; whoever uses it then begins
anew under another, and is told. The clock and the ids are passed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

HEADER = "x-claude-session-id"
IDLE_SECONDS_MAX = 3600.0
SECONDS_MAX = 24 * 3600.0
SESSIONS_MAX = 50_000
NAME_CHARACTERS_MAX = 128


class Sessions:
    """One for all clients."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        """Client and name → when it began, and when it was used last."""

    def __len__(self) -> int:
        return len(self._known)

    def copy(self) -> Sessions:
        """For whoever only looks what would be."""
        copied = Sessions()
        copied._known = self._known.copy()
        return copied

    def resume(self, client: str, name: str, now: float, new_id: Callable[[], str]) -> str:
        """Under which name it goes on. `name`: the client's; empty: it has none yet. One that is not known is a new one
        of that name: it may be from before a restart.
        """
        began = now
        times = self._known.pop((client, name), None) if name else None
        if times is not None:
            began, used = times
            if now - used >= IDLE_SECONDS_MAX or now - began >= SECONDS_MAX:
                name, began = "", now
        name = name or new_id()
        self._known[client, name] = (began, now)
        if len(self._known) > SESSIONS_MAX:
            self._known.popitem(last=False)
        return name
