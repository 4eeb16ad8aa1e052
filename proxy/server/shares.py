"""Whose share of an account's usage windows is whose: what is used of a window, split by the tokens that each key took.

Providers tell how much of a window is used, and nobody tells what a token is of it: it differs by model and by plan. So
each key's part of the tokens since the window began is its part of what is used. What the owner uses elsewhere is split
alike. Pure; times are the pool's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from auth.quota import DAY, HOUR, Quotas, Window
from proxy.server.periods import Per

_LENGTHS: Mapping[Per, tuple[float, float]] = {
    "day": (HOUR, 1.5 * DAY),
    "week": (1.5 * DAY, 10 * DAY),
    "month": (10 * DAY, 100 * DAY),
}
"""Which windows a budget is of, in seconds: longer than the first, up to the second. Those of minutes are no plan's."""
_SAME = 0.5
"""A window's reset may be told a little differently each time; half its length later it is another window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Of all windows of one length. `share`: from 0 to 1. `resets_at`: when the first of them is reset."""

    share: float
    resets_at: float | None


@dataclass(slots=True, eq=False)
class _Tally:
    resets_at: float
    tokens: dict[str, int] = field(default_factory=dict)

    def part(self, name: str) -> float:
        total = sum(self.tokens.values())
        return self.tokens.get(name, 0) / total if total else 0.0


class Shares:
    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def note(self, name: str, account: str, tokens: int, now: float) -> None:
        """A request of that key took so many tokens of that account."""
        for window in self._windows(account, now):
            tally = self._tally(account, window)
            tally.tokens[name] = tally.tokens.get(name, 0) + tokens

    def windows(self, now: float) -> Iterator[tuple[str, Window]]:
        """Those that are split, with their accounts."""
        for account in dict.fromkeys(account for account, _ in self._quotas.all()):
            for window in self._windows(account, now):
                yield account, window

    def learn(self, account: str, window: Window, tokens: Mapping[str, int]) -> None:
        """What was taken by each key since the window began, as the ledger has it."""
        self._tally(account, window).tokens = dict(tokens)

    def part(self, name: str, per: Per, accounts: Collection[str], now: float) -> Part | None:
        """Of those accounts' windows together, each counting alike. None: none of them has such a window."""
        low, high = _LENGTHS[per]
        having: set[str] = set()
        share, resets = 0.0, []
        for account, window in self._quotas.all():
            if account in accounts and _is_of(window, low, high):
                having.add(account)
        for account in having:
            current = [window for window in self._windows(account, now) if _is_of(window, low, high)]
            share += max((self._share(name, account, window) for window in current), default=0.0)
            resets += [window.resets_at for window in current if window.resets_at is not None]
        return Part(share=share / len(having), resets_at=min(resets, default=None)) if having else None

    def _share(self, name: str, account: str, window: Window) -> float:
        used = 1.0 if window.is_rejected else min(window.used or 0.0, 1.0)
        return used * self._tally(account, window).part(name)

    def _windows(self, account: str, now: float) -> list[Window]:
        """Those of the whole account, in force."""
        return [each for each in self._quotas.current(account, "", now) if each.models == "*" and each.seconds]

    def _tally(self, account: str, window: Window) -> _Tally:
        resets_at = window.resets_at or 0.0
        tally = self._tallies.get((account, window.slot))
        if tally is None or resets_at - tally.resets_at > _SAME * (window.seconds or 0.0):
            tally = self._tallies[account, window.slot] = _Tally(resets_at)
        return tally


def _is_of(window: Window, low: float, high: float) -> bool:
    return window.models == "*" and window.seconds is not None and low < window.seconds <= high
