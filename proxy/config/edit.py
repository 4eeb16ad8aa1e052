"""Edits of config.yaml that leave every other line as its author wrote it.

An edit is spliced into the text at the marks of the nodes (`splice`). The result is read again and must hold exactly
what was asked for; a text in which that cannot be done is refused, never rewritten.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from proxy.config import splice
from proxy.config.complaints import Complaints
from proxy.config.load import Loaded, parse, text_of
from proxy.config.nodes import Mapping, Node, Scalar, Sequence, compose, json_of
from proxy.config.settings import JsonValue
from proxy.config.store import changing
from proxy.config.writing import inline
from proxy.errors import ConfigError

BOM = b"\xef\xbb\xbf"

Place: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the top: ``("claude-api-key", 0, "weight")``."""


@dataclass(frozen=True, slots=True)
class Put:
    """Set a value, or replace it. A missing key is added, with the objects that lead to it."""

    place: Place
    value: JsonValue


@dataclass(frozen=True, slots=True)
class Append:
    """Add an item to a list, and the list if there is none."""

    place: Place
    item: JsonValue


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a key or an item out. A missing one is an error."""

    place: Place


Edit: TypeAlias = Put | Append | Remove


def write_back(path: Path, edits: Iterable[Edit], *, digest: str) -> Loaded:
    """Edit the file, all or nothing; what it holds then. `digest`: of the content that the edits were made for.

    Raises `ConfigChanged` when it holds something else by now; `ConfigError` when an edit is not possible, the result
    is no good config, or the file cannot be written. Blocks: call it in a thread.
    """
    with changing(path, digest=digest) as (raw, put):
        edited_raw = edited(raw, edits, name=str(path))
        loaded = parse(edited_raw, name=str(path))
        put(edited_raw)
    return loaded


def replace(path: Path, raw: bytes, *, digest: str) -> Loaded:
    """Replace the whole text, like `write_back`."""
    with changing(path, digest=digest) as (_, put):
        loaded = parse(raw, name=str(path))
        put(raw)
    return loaded


def edited(raw: bytes, edits: Iterable[Edit], *, name: str = "config.yaml") -> bytes:
    """The file's bytes after the edits, one after the other. Raises `ConfigError`."""
    mark, text = (BOM if raw.startswith(BOM) else b""), text_of(raw, name)
    for edit in edits:
        text = _edited(text, edit, name)
    return mark + text.encode()


def _edited(text: str, edit: Edit, name: str) -> str:
    root = _composed(text, name)
    before = _value(root)
    wanted = _canonical(changed(before, edit))
    for candidate in _candidates(text, root, edit):
        complaints = Complaints(name)
        result = compose(candidate, complaints)
        if complaints.is_empty and _canonical(_value(result)) == wanted:
            return candidate
    raise ConfigError(
        f"{name}: {spelled(edit.place)} cannot be edited in the way that the file is written; do it by hand"
    )


def _composed(text: str, name: str) -> Node | None:
    complaints = Complaints(name)
    root = compose(text, complaints)
    complaints.raise_if_any()
    return root


def _value(root: Node | None) -> JsonValue:
    """A document without content is an object without keys."""
    return {} if root is None or (isinstance(root, Scalar) and root.is_null) else json_of(root)


def _canonical(value: JsonValue) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _candidates(text: str, root: Node | None, edit: Edit) -> Iterator[str]:
    """Texts that may be the result, the most careful one first."""
    match edit:
        case Put(place, value):
            yield from splice.put(text, root, place, value)
        case Append(place, item):
            yield from splice.append(text, root, place, item)
        case Remove(place):
            yield from splice.remove(text, root, place)
    yield from _rewritten_flow(text, root, edit)


def _rewritten_flow(text: str, root: Node | None, edit: Edit) -> Iterator[str]:
    """Inside ``[…]`` and ``{…}`` the outermost pair of brackets is written anew, on one line."""
    node, ahead = root, edit.place
    while isinstance(node, Sequence | Mapping) and not node.is_flow and ahead:
        node, ahead = splice.child(node, ahead[0]), ahead[1:]
    if isinstance(node, Sequence | Mapping) and node.is_flow:
        inner = (
            changed(json_of(node), dataclasses.replace(edit, place=ahead))
            if ahead or isinstance(edit, Append)
            else None
        )
        if inner is not None:
            yield text[: node.start] + inline(inner) + text[node.end :]


def changed(value: JsonValue, edit: Edit) -> JsonValue:
    """`value` after the edit. Raises `ConfigError` when there is no such place."""
    match edit:
        case Put(place, new):
            return _at(value, place, place, lambda _: copy.deepcopy(new))
        case Append(place, item):
            return _at(value, place, place, lambda old: _appended(old, item, place))
        case Remove(place):
            return _at(value, place[:-1], place, lambda old: _without(old, place))


def _at(value: JsonValue, ahead: Place, place: Place, change: Callable[[JsonValue], JsonValue]) -> JsonValue:
    if not ahead:
        return change(value)
    match ahead[0], value:
        case str(key), None:
            return {key: _at(None, ahead[1:], place, change)}
        case str(key), dict():
            return {**value, key: _at(value.get(key), ahead[1:], place, change)}
        case int(index), list() if 0 <= index < len(value):
            return [*value[:index], _at(value[index], ahead[1:], place, change), *value[index + 1 :]]
    raise ConfigError(f"there is no {spelled(place)}")


def _appended(old: JsonValue, item: JsonValue, place: Place) -> JsonValue:
    if old is not None and not isinstance(old, list):
        raise ConfigError(f"{spelled(place)} is no list")
    return [*(old or []), copy.deepcopy(item)]


def _without(old: JsonValue, place: Place) -> JsonValue:
    match place[-1], old:
        case str(key), dict() if key in old:
            return {each: value for each, value in old.items() if each != key}
        case int(index), list() if 0 <= index < len(old):
            return [*old[:index], *old[index + 1 :]]
    raise ConfigError(f"there is no {spelled(place)}")


def spelled(place: Place) -> str:
    """``claude-api-key[0].weight``."""
    words = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(words).removeprefix(".")
