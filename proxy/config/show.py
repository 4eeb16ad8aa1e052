"""The effective config as YAML, with secrets masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast
from urllib.parse import urlsplit

import yaml

from proxy.config.settings import Group, GroupOf, JsonValue, Kind, ListOf, MapOf, Setting, Text, Time, settings_of

MASK = "•••"
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def as_yaml(config: Group) -> str:
    return yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True, width=120)


def plain(group: Group) -> dict[str, JsonValue]:
    """Every setting by its YAML key, defaults included, as JSON; what may hold a secret is masked."""
    return {setting.key: _shown(setting, getattr(group, setting.attribute)) for setting in settings_of(type(group))}


def _shown(setting: Setting, value: object) -> JsonValue:
    shown = jsonable(setting.kind, value)
    return _masked(shown) if setting.limits.is_private else shown


def _masked(value: JsonValue) -> JsonValue:
    """A URL without its user, its password and what follows ?, an object without its values."""
    if isinstance(value, dict):
        return dict.fromkeys(value, MASK)
    parts = urlsplit(str(value))
    netloc = f"{MASK}@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
    if netloc == parts.netloc and not parts.query:
        return value
    return parts._replace(netloc=netloc, query=MASK if parts.query else "").geturl()


def jsonable(kind: Kind, value: object) -> JsonValue:
    """A setting's value in the words of the file. Secrets are masked."""
    match kind:
        case GroupOf():
            return plain(cast("Group", value))
        case ListOf(item):
            return [jsonable(item, each) for each in cast("Iterable[object]", value)]
        case MapOf(item):
            return {key: jsonable(item, each) for key, each in cast("Mapping[str, object]", value).items()}
        case Time():
            return duration_text(cast("float", value))
        case Text(is_secret=True):
            return MASK if value else ""
        case _:
            return cast("JsonValue", value)


def duration_text(seconds: float) -> str:
    """``1h30m``; the shortest text that is read as this duration."""
    if seconds != int(seconds):
        return f"{seconds:g}s"
    left, words = int(seconds), []
    for unit, size in _UNITS:
        amount, left = divmod(left, size)
        if amount:
            words.append(f"{amount}{unit}")
    return "".join(words) or "0s"
