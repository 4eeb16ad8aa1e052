"""What models cost by a maintained list, which is a file beside this one: ``make prices`` renews it.

For each provider its models in order, each by patterns: ``=`` the whole name, ``^`` its beginning, ``$`` its end, ``*``
any part of it, ``~`` a regular expression. The first that fits counts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from proxy.observe.price import Price

FILE = Path(__file__).with_name("prices.json")
NAMES: Mapping[str, str] = {
    "claude-code": "anthropic",
    "anthropic-oidc": "anthropic",
    "codex": "openai",
    "openai-oidc": "openai",
    "gemini": "google",
    "gemini-cli": "google",
    "gemini-oidc": "google",
    "vertex": "google",
    "vertex-account": "google",
    "xai": "x-ai",
    "grok": "x-ai",
    "moonshot": "moonshotai",
    "kimi": "moonshotai",
}
"""Our name of a provider → the list's, where it is not the same. A login costs what the same would cost by key."""

_DAY_SECONDS = 86_400


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Another price: from a day on (`since`, ISO), or within these minutes of each day; both in UTC."""

    price: Price
    since: str = ""
    minutes: tuple[int, int] | None = None

    def holds(self, unix: float) -> bool:
        if self.minutes is None:
            return datetime.fromtimestamp(unix, UTC).date().isoformat() >= self.since
        minute = unix % _DAY_SECONDS / 60
        begin, end = self.minutes
        return begin <= minute < end if begin <= end else minute >= begin or minute < end


class Listed(Price, frozen=True, kw_only=True):
    """`changes`: the last that holds counts."""

    changes: tuple[Change, ...] = ()

    def at(self, unix: float) -> Price:
        return next((each.price for each in reversed(self.changes) if each.holds(unix)), self)


_Entry = tuple[list[str], Listed]


class _List(msgspec.Struct):
    source: str
    at: str
    providers: dict[str, list[_Entry]]


@functools.cache
def _read() -> _List:
    return msgspec.json.decode(FILE.read_bytes(), type=_List)


def source() -> str:
    """Whose list it is, and of when."""
    found = _read()
    return f"{found.source}, {found.at}"


def listed(provider: str, model: str) -> Listed | None:
    """Blocks for a moment when it is asked first."""
    entries = _read().providers.get(NAMES.get(provider, provider.lower()), [])
    name = model.lower()
    return next((price for patterns, price in entries if any(_fits(pattern, name) for pattern in patterns)), None)


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "=": lambda text, name: text == name,
    "^": lambda text, name: name.startswith(text),
    "$": lambda text, name: name.endswith(text),
    "*": lambda text, name: text in name,
    "~": lambda text, name: re.search(text, name) is not None,
}


def _fits(pattern: str, name: str) -> bool:
    return _TESTS[pattern[0]](pattern[1:], name)
