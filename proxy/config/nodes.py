"""YAML text → nodes that know their place. Safe by what it cannot say: no anchors, aliases, tags, merge keys.

Types are not resolved here: a plain ``8317`` is a scalar, and whoever reads it knows what it should be. So ``yes``,
``0777``, ``12:30`` and ``1_000`` never turn into something that nobody wrote.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from proxy.config.complaints import Complaints
from proxy.config.settings import JsonValue

DEPTH_MAX = 32
NODES_MAX = 50_000
"""Far above a config with a thousand keys, and read within a second or two."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`start`, `end`: indexes into the text; `end` is behind the last character of the content, never behind a
    comment or a line break that follows it. `line`: of the start, from 1.
    """

    line: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar(Place):
    text: str
    is_plain: bool
    """Neither quoted nor a block of lines."""

    @property
    def is_null(self) -> bool:
        return self.is_plain and self.text in _NULLS

    @property
    def boolean(self) -> bool | None:
        return _BOOLEANS.get(self.text) if self.is_plain else None

    @property
    def whole(self) -> int | None:
        return int(self.text) if self.is_plain and _WHOLE.fullmatch(self.text) else None

    @property
    def number(self) -> float | None:
        if self.is_plain and _NUMBER.fullmatch(self.text) and math.isfinite(value := float(self.text)):
            return value
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence(Place):
    items: tuple[Node, ...]
    is_flow: bool


@dataclass(frozen=True, slots=True)
class Entry:
    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping(Place):
    entries: tuple[Entry, ...]
    is_flow: bool

    def get(self, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key.text == key), None)


Node: TypeAlias = Scalar | Sequence | Mapping


def json_of(node: Node) -> JsonValue:
    """The value, by the core schema of YAML 1.2. What no JSON number can be (``.inf``) stays a text."""
    match node:
        case Sequence():
            return [json_of(item) for item in node.items]
        case Mapping():
            return {entry.key.text: json_of(entry.value) for entry in node.entries}
        case Scalar() if node.is_null:
            return None
        case Scalar():
            readings = (node.boolean, node.whole, node.number)
            return next((value for value in readings if value is not None), node.text)


def node_of(value: JsonValue) -> Node:
    """JSON as nodes, without places: texts are quoted, so that none of them is taken for a number."""
    nowhere = {"line": 1, "start": 0, "end": 0}
    match value:
        case dict():
            entries = tuple(
                Entry(Scalar(text=key, is_plain=False, **nowhere), node_of(each)) for key, each in value.items()
            )
            return Mapping(entries=entries, is_flow=True, **nowhere)
        case list():
            return Sequence(items=tuple(node_of(each) for each in value), is_flow=True, **nowhere)
        case str():
            return Scalar(text=value, is_plain=False, **nowhere)
        case bool() | None:
            return Scalar(text={True: "true", False: "false", None: "null"}[value], is_plain=True, **nowhere)
        case _:
            return Scalar(text=str(value), is_plain=True, **nowhere)


def compose(text: str, complaints: Complaints) -> Node | None:
    """The document's root; None for an empty one. What is wrong goes to `complaints`; then the nodes are a fragment."""
    try:
        return _Composer(text, complaints).document()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        complaints.add(line, "holds a character that no text has; is it a text file in UTF-8?")
    except yaml.MarkedYAMLError as error:
        complaints.add(*_syntax_fault(error))
    except (yaml.YAMLError, ValueError, OverflowError):
        # PyYAML lets the latter two through, for an escape beyond Unicode ("\UFFFFFFFF").
        complaints.add(1, "is no YAML")
    except _TooMuch:
        pass
    return None


def _syntax_fault(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = error.problem or "cannot be read"
    if "'\\t'" in problem:
        return line, "is no YAML: a tab where a value begins; indent with blanks"
    if error.context and error.context_mark:
        return line, f"is no YAML: {problem}, {error.context} that begins in line {error.context_mark.line + 1}"
    return line, f"is no YAML: {problem}"


class _TooMuch(Exception):
    pass


class _Composer:
    def __init__(self, text: str, complaints: Complaints) -> None:
        self._text = text
        self._complaints = complaints
        self._nodes = 0
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    self._complain(event, "begins a second document; a config is one")
                node = self._node(next(self._events), 1)
                root = root or node
        return root

    def _complain(self, event: yaml.Event, message: str) -> None:
        self._complaints.add(_begin(event)[0], message)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if depth > DEPTH_MAX:
            self._complain(event, f"is nested deeper than {DEPTH_MAX} levels")
            raise _TooMuch
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._complain(event, f"is the {NODES_MAX + 1}th value; so many are not read")
            raise _TooMuch
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            self._complain(event, "has an anchor (&) or an alias (*); write the value out")
        if getattr(event, "tag", None) is not None:
            self._complain(event, "has a tag (!); types follow from the setting")
        match event:
            case yaml.SequenceStartEvent():
                return self._sequence(event, depth)
            case yaml.MappingStartEvent():
                return self._mapping(event, depth)
            case yaml.ScalarEvent():
                return self._scalar(event)
            case _:
                return Scalar(line=0, start=0, end=0, text="", is_plain=True)  # an alias; it is complained of

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            self._complain(event, "holds one half of a surrogate pair, which is no character")
        (line, start), end = _begin(event), _end(event)
        if event.style in {"|", ">"}:
            end = start + len(self._text[start:end].rstrip())
        return Scalar(line=line, start=start, end=end, text=event.value, is_plain=not event.style)

    def _sequence(self, event: yaml.SequenceStartEvent, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(following := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(following, depth + 1))
        (line, start), is_flow = _begin(event), bool(event.flow_style)
        end = _end(following) if is_flow else items[-1].end
        return Sequence(line=line, start=start, end=end, items=tuple(items), is_flow=is_flow)

    def _mapping(self, event: yaml.MappingStartEvent, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        (line, start), is_flow = _begin(event), bool(event.flow_style)
        end = start
        while not isinstance(following := next(self._events), yaml.MappingEndEvent):
            key = self._node(following, depth + 1)
            value = self._node(next(self._events), depth + 1)
            end = max(key.end, value.end)
            if not isinstance(key, Scalar):
                self._complaints.add(key.line, "has a list or an object for a key")
                continue
            self._check_key(key, entries)
            entries[key.text] = Entry(key, value)
        end = _end(following) if is_flow else end
        found = tuple(entries.values())
        return Mapping(line=line, start=start, end=end, entries=found, is_flow=is_flow)

    def _check_key(self, key: Scalar, entries: dict[str, Entry]) -> None:
        if key.text == "<<" and key.is_plain:
            self._complaints.add(key.line, "has a merge key (<<); write the values out")
        elif earlier := entries.get(key.text):
            self._complaints.add(key.line, f"{key.text} is written twice; first in line {earlier.key.line}")


def _begin(event: yaml.Event) -> tuple[int, int]:
    """Line, from 1, and index."""
    assert event.start_mark is not None, "a parser marks its events"
    return event.start_mark.line + 1, event.start_mark.index


def _end(event: yaml.Event) -> int:
    assert event.end_mark is not None, "a parser marks its events"
    return event.end_mark.index
