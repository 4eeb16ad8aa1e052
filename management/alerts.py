"""What somebody should hear of: the difference between how the pool was and how it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

REFUSED = "refused"
"""Its key, again and again: it is asked once in a while, and nobody counts on it."""
DEAD = frozenset({"broken", "error", REFUSED})
"""Whose account stands so, only a human can help it."""
UNABLE = frozenset({*DEAD, "cooling", "probing"})
"""Cannot serve now."""
UNCOUNTED = frozenset({"disabled", "unused"})
"""Nobody counts on them."""
RECOVERED_MARGIN = 10.0
"""Per cent that a window must have gone down by, to be low anew."""


@dataclass(frozen=True, slots=True)
class Seen:
    label: str
    provider: str
    state: str
    why: str = ""
    windows: Mapping[str, float] = field(default_factory=dict)
    """By name: how much of it is used, in per cent. Only those that are known."""


Picture = Mapping[str, Seen]
"""By account."""


@dataclass(frozen=True, slots=True)
class Alert:
    """`subject`: what it is about, so that the same is not told twice in a row."""

    type: str
    subject: str
    data: Mapping[str, object]
    used: float = 0.0


def alerts(before: Picture, after: Picture) -> Iterator[Alert]:
    """`before`: empty at the start, when what is bad already is told, too."""
    for account, seen in after.items():
        was = before.get(account)
        told = {"account": account, "label": seen.label, "provider": seen.provider}
        was_dead = was is not None and was.state in DEAD
        if seen.state in DEAD and not was_dead:
            yield Alert("account.dead", account, {**told, "why": seen.why})
        elif was_dead and seen.state not in {*DEAD, *UNCOUNTED}:
            yield Alert("account.recovered", account, told)
        for name, used in seen.windows.items():
            if was is None or used != was.windows.get(name):
                yield Alert("quota.low", f"{account}/{name}", {**told, "window": name, "used_percent": used}, used)
    yield from _of_pools(before, after)


def _of_pools(before: Picture, after: Picture) -> Iterator[Alert]:
    """Of each provider, and of all together (provider null)."""
    empty_before, empty_now = _empty(before), _empty(after)
    for provider, accounts in empty_now.items():
        if provider not in empty_before:
            yield Alert("pool.empty", provider, {"provider": provider or None, "accounts": accounts})
    for provider in empty_before.keys() - empty_now.keys():
        if any(provider in {"", seen.provider} and seen.state not in {*UNABLE, *UNCOUNTED} for seen in after.values()):
            yield Alert("pool.recovered", provider, {"provider": provider or None})


def _empty(picture: Picture) -> dict[str, int]:
    counted = [seen for seen in picture.values() if seen.state not in UNCOUNTED]
    found = {}
    for provider in ("", *sorted({seen.provider for seen in counted})):
        states = [seen.state for seen in counted if provider in {"", seen.provider}]
        if states and all(state in UNABLE for state in states):
            found[provider] = len(states)
    return found


class Low:
    """Which windows were told to be low: each once, until it has come down."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def is_news(self, subject: str, used: float, limit: float) -> bool:
        if used < limit - RECOVERED_MARGIN:
            self._told.pop(subject, None)
        if used < limit or subject in self._told:
            return False
        self._told[subject] = used
        return True


class Repeats:
    """The same is not told twice within so many seconds: something that comes and goes is one piece of news. But what
    was held back is told then, where the last that was told says otherwise: nobody takes for good what is bad.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._told_at: dict[tuple[str, str], float] = {}
        self._last: dict[tuple[str, str], str] = {}
        self._held: dict[tuple[str, str], Alert] = {}

    def is_news(self, alert: Alert, now: float) -> bool:
        what = _what(alert)
        if now - self._told_at.get((alert.type, alert.subject), now - self._seconds) < self._seconds:
            self._held[what] = alert
            return False
        self._told_at[alert.type, alert.subject] = now
        self._last[what] = alert.type
        self._held.pop(what, None)
        return True

    def due(self, now: float) -> list[Alert]:
        """What was held back, and is news now."""
        found = []
        for what, alert in [*self._held.items()]:
            if alert.type == self._last[what]:
                del self._held[what]
            elif self.is_news(alert, now):
                found.append(alert)
        return found


def _what(alert: Alert) -> tuple[str, str]:
    """``account.dead`` and ``account.recovered`` are about one thing."""
    return alert.type.partition(".")[0], alert.subject
