"""How much of an account's usage windows is used up, as its provider tells in passing.

A reading is a hypothesis with an age and a source. It says nothing more once its window has been reset, and what was
never told is None: unknown is not zero. Clocks are passed in; all times are the pool's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
UNDATED_SECONDS_MAX = 15 * MINUTE
"""How long a reading counts that does not say when its window is reset."""
WINDOWS_MAX = 64
"""Of one account."""
_NAMES: tuple[tuple[float, float, str], ...] = (
    (MINUTE, MINUTE, "minute"),
    (HOUR, HOUR, "hour"),
    (5 * HOUR, 5 * HOUR, "5-hour"),
    (DAY, DAY, "daily"),
    (7 * DAY, 7 * DAY, "weekly"),
    (28 * DAY, 31 * DAY, "monthly"),
)


def window_name(seconds: float) -> str:
    """By its length as observed, not by the place where it was told: plans change, and free ones count by the month."""
    for low, high, name in _NAMES:
        if low * 0.98 <= seconds <= high * 1.02:
            return name
    for unit, word in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds >= unit:
            return f"{round(seconds / unit)}-{word}"
    return f"{round(seconds)}-second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`slot`: where it is told, so that a later reading takes an earlier one's place. `name`: its length or, where that
    is not told, what it counts. `seconds`: its length. `used`: a share; beyond 1 the provider goes on for money.
    `models`: which upstream models it limits, as a wildcard. `source`: what told it, for whoever doubts it.
    """

    slot: str
    name: str
    read_at: float
    source: str
    seconds: float | None = None
    used: float | None = None
    resets_at: float | None = None
    models: str = "*"
    is_rejected: bool = False

    @property
    def is_full(self) -> bool:
        return self.is_rejected or (self.used is not None and self.used >= 1.0)

    def is_current(self, now: float) -> bool:
        if self.resets_at is not None:
            return now < self.resets_at
        return now < self.read_at + (self.seconds or UNDATED_SECONDS_MAX)

    def limits(self, model: str) -> bool:
        return self.models == "*" or fnmatchcase(model.lower(), self.models)

    def is_beyond(self, most: float) -> bool:
        """More of it is used than that share."""
        return self.is_rejected or (self.used is not None and self.used >= most)


class Quotas:
    """The last readings of each account."""

    def __init__(self) -> None:
        self._windows: dict[str, dict[tuple[str, str], Window]] = {}
        self._tight: set[str] = set()

    def note(self, credential_id: str, windows: Iterable[Window], *, most: float = 1.0) -> None:
        """`most`: the share of a window that may be used of this account."""
        kept = self._windows.setdefault(credential_id, {})
        for window in windows:
            kept.pop((window.slot, window.models), None)
            kept[window.slot, window.models] = window
        while len(kept) > WINDOWS_MAX:
            del kept[next(iter(kept))]
        if any(window.is_beyond(most) for window in kept.values()):
            self._tight.add(credential_id)
        else:
            self._tight.discard(credential_id)

    @property
    def has_tight(self) -> bool:
        return bool(self._tight)

    def is_tight(self, credential_id: str) -> bool:
        """One of its windows was used beyond what may be used: worth a closer look."""
        return credential_id in self._tight

    def current(self, credential_id: str, model: str, now: float) -> list[Window]:
        """Those that limit this model and have not been reset since they were read."""
        windows = self._windows.get(credential_id)
        if not windows:
            return []
        return [window for window in windows.values() if window.is_current(now) and window.limits(model)]

    def all(self) -> Iterator[tuple[str, Window]]:
        """Also those that are past: their age tells."""
        for credential_id, windows in self._windows.items():
            for window in windows.values():
                yield credential_id, window

    def beyond(self, credential_id: str, model: str, now: float, most: float) -> Window | None:
        """Of the windows that are used beyond that share, the one that is reset last."""
        if credential_id not in self._tight:
            return None
        found = [window for window in self.current(credential_id, model, now) if window.is_beyond(most)]
        return max(found, key=lambda window: window.resets_at or 0.0, default=None)

    def forget(self, credential_id: str) -> None:
        self._windows.pop(credential_id, None)
        self._tight.discard(credential_id)

    def retain(self, credential_ids: Collection[str]) -> None:
        for gone in self._windows.keys() - set(credential_ids):
            del self._windows[gone]
        self._tight.intersection_update(credential_ids)
