"""The configuration of the well-known system, made one of ours: what it says is kept, moved or left out, and each is
told. Pure: text in, text and notes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias, cast

import yaml

from proxy.config.foreign import foreign
from proxy.config.load import parse
from proxy.config.schema import Config
from proxy.config.settings import GroupOf, JsonValue, Kind, ListOf, MapOf, group_kind, settings_of
from proxy.errors import ConfigError

Outcome: TypeAlias = Literal["kept", "moved", "left-out", "faulty"]
_Tree = dict[str, JsonValue]
_HEAD = "# Taken over from another system's configuration. What was left out, and why, stood in the report.\n"


@dataclass(frozen=True, slots=True)
class Note:
    path: str
    outcome: Outcome
    why: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.outcome.replace('-', ' ')}{f' ({self.why})' if self.why else ''}"


@dataclass(frozen=True, slots=True)
class Adopted:
    """`text`: a file of ours, good unless a note is faulty. Secrets stand in it."""

    text: str = field(repr=False)
    notes: tuple[Note, ...]

    @property
    def is_good(self) -> bool:
        return all(note.outcome != "faulty" for note in self.notes)


def adopted(text: str, *, ours: Mapping[str, JsonValue] = MappingProxyType({})) -> Adopted:
    """`ours`: what stays as it is here where the other file says nothing usable of it. Raises `ConfigError` for what is
    no YAML mapping.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"this is no YAML{where}") from None
    if not isinstance(tree, dict):
        raise ConfigError("this is no configuration: its top level must be keys and values")
    notes: list[Note] = []
    for key, move in _MOVES.items():
        if key in tree:
            notes.extend(move(tree, tree.pop(key)))
    kept = _kept(group_kind(Config), tree, "", notes)
    notes.extend(_filled(cast("_Tree", kept), ours, ""))
    result = _HEAD + yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, default_flow_style=False)
    try:
        parse(result.encode(), name="file")
    except ConfigError as error:
        notes += [Note("", "faulty", line.partition(" ")[2]) for line in error.message.splitlines()]
    return Adopted(result, tuple(notes))


def _kept(kind: Kind, value: JsonValue, path: str, notes: list[Note]) -> JsonValue:
    match kind, value:
        case GroupOf(group=group), dict():
            known = {each.key: each for each in settings_of(group)}
            found: _Tree = {}
            for key, each in value.items():
                below = f"{path}.{key}" if path else str(key)
                if key not in known:
                    notes.append(_left_out(below))
                elif each is not None:
                    found[key] = _kept(known[key].kind, each, below, notes)
                    if not path:
                        notes.append(Note(below, "kept"))
            return found
        case ListOf(item=item), list():
            return [_kept(item, each, f"{path}[{index}]", notes) for index, each in enumerate(value)]
        case MapOf(item=item), dict():
            return {key: _kept(item, each, f"{path}.{key}", notes) for key, each in value.items()}
        case _:
            return value


def _filled(tree: _Tree, ours: Mapping[str, JsonValue], path: str) -> Iterator[Note]:
    """An empty text says as little as none: theirs has one where there is no management key."""
    for key, value in ours.items():
        theirs = tree.get(key)
        if isinstance(theirs, dict) and isinstance(value, dict):
            yield from _filled(theirs, value, f"{path}{key}.")
        elif theirs is None or theirs == "":
            tree[key] = value
            yield Note(f"{path}{key}", "kept", "as it is here")


def _left_out(path: str) -> Note:
    known = foreign(path)
    return Note(path, "left-out", "it is not known" if known is None else known.sentence)


# what has another place here


def _move_auth_dir(_tree: _Tree, value: JsonValue) -> Iterator[Note]:
    yield Note("auth-dir", "left-out", f"it is the other system's; `proxy import --from {value}` takes its accounts")


def _move_interactions(tree: _Tree, value: JsonValue) -> Iterator[Note]:
    if isinstance(value, list) and value:
        _append(tree, "gemini-api-key", value)
        yield Note("interactions-api-key", "moved", "to gemini-api-key: the same keys, asked by the usual API")


def _append(tree: _Tree, key: str, more: list[JsonValue]) -> None:
    there = tree.get(key)
    tree[key] = [*(there if isinstance(there, list) else []), *more]


_MOVES: Mapping[str, Callable[[_Tree, JsonValue], Iterator[Note]]] = {
    "auth-dir": _move_auth_dir,
    "interactions-api-key": _move_interactions,
}


def report(found: Adopted) -> list[JsonValue]:
    return [cast("JsonValue", {"path": note.path, "outcome": note.outcome, "why": note.why}) for note in found.notes]
