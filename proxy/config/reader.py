"""Nodes → settings. Every fault is noted with its line and its path, and reading goes on behind it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Any, TypeVar, cast

from auth.secret import Secret
from proxy.config.complaints import Complaints
from proxy.config.foreign import Foreign, foreign
from proxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence, json_of
from proxy.config.schema import Config
from proxy.config.settings import (
    Choice,
    Duration,
    Flag,
    Group,
    GroupOf,
    Json,
    Kind,
    Limits,
    ListOf,
    MapOf,
    Number,
    Setting,
    Text,
    Time,
    Whole,
    group_kind,
    settings_of,
)

N = TypeVar("N", Mapping, Sequence)

KNOWN_SHOWN_MAX = 8
_FLAG_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_NO_LIMITS = Limits()


class _Faulty(Exception):
    """A value has no reading; the complaint is noted."""


class Reader:
    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self._readings: dict[type[Kind], Callable[[Any, Limits, Node, str], object]] = {
            Flag: self._flag,
            Whole: self._whole,
            Number: self._number,
            Text: self._text,
            Time: self._time,
            Choice: self._choice,
            ListOf: self._list,
            MapOf: self._map,
            GroupOf: self._group,
            Json: self._json,
        }

    def config(self, root: Node) -> Config:
        """Only worth something when nothing was complained of."""
        return cast("Config | None", self.group(Config, root)) or Config()

    def group(self, group: type[Group], root: Node) -> object | None:
        """Only worth something when nothing was complained of."""
        try:
            return self._group(group_kind(group), _NO_LIMITS, root, "")
        except _Faulty:
            return None

    def _fault(self, node: Node, path: str, message: str) -> _Faulty:
        self._complaints.add(node.line, f"{path or 'the file'} {message}")
        return _Faulty()

    def _wrong(self, node: Node, path: str, expected: str) -> _Faulty:
        return self._fault(node, path, f"must be {expected}, not {_found(node)}")

    def _value(self, kind: Kind, limits: Limits, node: Node, path: str) -> object:
        value = self._readings[type(kind)](kind, limits, node, path)
        if limits.check and not isinstance(kind, ListOf) and (fault := limits.check(value)):
            raise self._fault(node, path, fault)
        return value

    def _flag(self, _kind: Flag, _limits: Limits, node: Node, path: str) -> bool:
        value = _FLAG_WORDS.get(node.text.lower()) if isinstance(node, Scalar) and node.is_plain else None
        if value is None:
            raise self._wrong(node, path, "true or false")
        return value

    def _whole(self, _kind: Whole, limits: Limits, node: Node, path: str) -> int:
        value = node.whole if isinstance(node, Scalar) else None
        if value is None:
            raise self._wrong(node, path, "a whole number")
        self._check_range(value, limits, node, path)
        return value

    def _number(self, _kind: Number, limits: Limits, node: Node, path: str) -> float:
        value = node.number if isinstance(node, Scalar) else None
        if value is None:
            raise self._wrong(node, path, "a number")
        self._check_range(value, limits, node, path)
        return value

    def _check_range(self, value: float, limits: Limits, node: Node, path: str) -> None:
        if limits.low is not None and value < limits.low:
            raise self._fault(node, path, f"must be at least {limits.low}, not {value:g}")
        if limits.high is not None and value > limits.high:
            raise self._fault(node, path, f"must be at most {limits.high}, not {value:g}")

    def _text(self, kind: Text, _limits: Limits, node: Node, path: str) -> str | Secret:
        """A number may be meant as a text (``- 12345``); true and null are never."""
        if not isinstance(node, Scalar) or node.is_null or node.boolean is not None:
            raise self._wrong(node, path, "a text")
        return Secret(node.text) if kind.is_secret else node.text

    def _time(self, _kind: Time, limits: Limits, node: Node, path: str) -> Duration:
        seconds = None
        if isinstance(node, Scalar):
            seconds = node.number if node.number is not None else _seconds(node.text)
        if seconds is None:
            raise self._wrong(node, path, "a time such as 90s, 15m or 1h30m")
        self._check_range(seconds, limits, node, path)
        return Duration(seconds)

    def _choice(self, kind: Choice, limits: Limits, node: Node, path: str) -> str:
        if not isinstance(node, Scalar):
            raise self._wrong(node, path, _one_of(kind.options))
        word = "" if node.is_null else node.text
        word = limits.short.get(word, word)
        if word not in kind.options:
            near = difflib.get_close_matches(word, kind.options, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise self._fault(node, path, f"must be {_one_of(kind.options)}, not {word[:40]!r}{hint}")
        return word

    def _list(self, kind: ListOf, limits: Limits, node: Node, path: str) -> tuple[object, ...]:
        sequence = self._collection(Sequence, node, path, "a list (each item on its own line, after a dash)")
        places = [(item, f"{path}[{index}]", kind.item, limits) for index, item in enumerate(sequence.items)]
        return tuple(value for _, value in self._sound(places))

    def _map(self, kind: MapOf, _limits: Limits, node: Node, path: str) -> MappingProxyType[str, object]:
        mapping = self._collection(Mapping, node, path, "an object (key: value)")
        places = [(entry.value, entry.key.text, kind.item, _NO_LIMITS) for entry in mapping.entries]
        return MappingProxyType(dict(self._sound(places, path)))

    def _collection(self, wanted: type[N], node: Node, path: str, noun: str) -> N:
        if not isinstance(node, wanted):
            raise self._wrong(node, path, noun)
        return node

    def _sound(self, places: list[tuple[Node, str, Kind, Limits]], parent: str = "") -> Iterator[tuple[str, object]]:
        """(path under `parent`, value) of those that have a reading."""
        for node, path, kind, limits in places:
            try:
                yield path, self._value(kind, limits, node, _join(parent, path))
            except _Faulty:
                continue

    def _json(self, _kind: Json, _limits: Limits, node: Node, _path: str) -> object:
        return json_of(node)

    def _group(self, kind: GroupOf, _limits: Limits, node: Node, path: str) -> object:
        settings = {setting.key: setting for setting in settings_of(kind.group)}
        if kind.plain and isinstance(node, Scalar) and not node.is_null:
            plain = settings[kind.plain]
            return self._built(kind.group, {plain.attribute: self._setting(plain, node, path)}, {}, node, path)
        mapping = self._collection(
            Mapping, node, path, f"an object with {_first_of(settings)}" if path else "key: value"
        )
        values: dict[str, object] = {}
        nodes: dict[str, Node | None] = {}
        for entry in mapping.entries:
            key, place = entry.key.text, _join(path, entry.key.text)
            setting = settings.get(key)
            if setting is None:
                self._unknown(kind.group, entry, place)
            elif not (isinstance(entry.value, Scalar) and entry.value.is_null):
                nodes[key] = entry.value
                try:
                    values[setting.attribute] = self._setting(setting, entry.value, place)
                except _Faulty:
                    nodes[key] = None
        self._check_required(settings, nodes, mapping, path)
        return self._built(kind.group, values, nodes, mapping, path)

    def _setting(self, setting: Setting, node: Node, path: str) -> object:
        return self._value(setting.kind, setting.limits, node, path)

    def _check_required(
        self, settings: dict[str, Setting], nodes: dict[str, Node | None], mapping: Mapping, path: str
    ) -> None:
        missing = [setting.key for setting in settings.values() if setting.is_required and setting.key not in nodes]
        for key in missing:
            self._complaints.add(mapping.line, f"{path} needs {key}")
        if missing or any(settings[key].is_required for key, node in nodes.items() if node is None):
            raise _Faulty

    def _built(
        self, group: type[Group], values: dict[str, object], nodes: dict[str, Node | None], node: Node, path: str
    ) -> object:
        """The group, after a look at what its settings say together. `nodes`: None for a key that has no reading."""
        built = cast("Callable[..., object]", group)(**values)
        for tell, hook in ((self._complaints.add, "faults"), (self._complaints.warn, "hints")):
            for key, message in getattr(built, hook, tuple)():
                place = nodes.get(key, node)
                if place is not None:
                    tell(place.line, f"{_join(path, key)} {message}")
        return built

    def _unknown(self, group: type[Group], entry: Entry, path: str) -> None:
        known = foreign(path)
        if known:
            self._foreign(known, entry, path)
        else:
            self._complaints.add(entry.key.line, f"{path[:120]} is not known{_suggestion(group, entry.key.text)}")

    def _foreign(self, known: Foreign, entry: Entry, path: str) -> None:
        inner = entry.value.entries if isinstance(entry.value, Mapping) else ()
        named = [(child, each) for child in inner if (each := foreign(_join(path, child.key.text)))]
        for child, each in named:
            self._foreign(each, child, _join(path, child.key.text))
        if named:
            return
        if known.is_refused:
            self._complaints.add(entry.key.line, f"{path} is not supported: {known.sentence}")
        else:
            self._complaints.warn(entry.key.line, f"{path} is ignored: {known.sentence}")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _first_of(keys: Iterable[str]) -> str:
    first = [*keys]
    return ", ".join(first if len(first) <= KNOWN_SHOWN_MAX else [*first[: KNOWN_SHOWN_MAX - 1], "…"])


def _one_of(options: tuple[str, ...]) -> str:
    return "one of " + ", ".join(option or '""' for option in options)


def _found(node: Node) -> str:
    """What stands there, without a text's content: it may be a secret in the wrong place."""
    match node:
        case Mapping():
            return "an object"
        case Sequence():
            return "a list"
        case Scalar() if node.is_null:
            return "nothing"
        case Scalar() if node.boolean is not None:
            return node.text
        case Scalar() if node.number is not None:
            return f"the number {node.text[:20]}"
        case _:
            return "a text" if node.is_plain else "a quoted text"


def _seconds(text: str) -> float | None:
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(amount) * _UNIT_SECONDS[unit] for amount, unit in re.findall(r"([0-9.]+)(ms|s|m|h|d)", text))


def _suggestion(group: type[Group], key: str) -> str:
    keys = [setting.key for setting in settings_of(group)]
    if near := difflib.get_close_matches(key.lower().replace("_", "-"), keys, 1):
        return f"; did you mean {near[0]}?"
    if homes := sorted(path for path in _paths(Config) if path.endswith(f".{key}") and path.count(".") == 1):
        return f"; it belongs under {homes[0].split('.')[0]}"
    return f"; known here: {', '.join(keys)}" if len(keys) <= KNOWN_SHOWN_MAX else ""


def _paths(group: type[Group]) -> Iterator[str]:
    for setting in settings_of(group):
        yield setting.key
        if isinstance(setting.kind, GroupOf):
            yield from (f"{setting.key}.{inner}" for inner in _paths(setting.kind.group))
