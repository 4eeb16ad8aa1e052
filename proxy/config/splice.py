"""Cutting and pasting YAML text at the marks of its nodes.

Each function yields texts that may be the result. None is trusted: `edit` reads them again, and takes the first that
holds what was asked for. So the rules here are for texts as people write them, and need not cover the rest.

A value *hangs* behind the colon of its key or the dash of its item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from proxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from proxy.config.settings import JsonValue
from proxy.config.writing import INDENT, block, indented, inline, is_inline

Step: TypeAlias = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hanging:
    """`node` hangs at `anchor`, the index behind the colon or dash. `column`: of a block that hangs there."""

    node: Node
    anchor: int
    column: int
    is_item: bool
    is_in_flow: bool


def child(node: Node, step: Step) -> Node | None:
    match node, step:
        case Mapping(), str():
            entry = node.get(step)
            return entry.value if entry else None
        case Sequence(), int() if 0 <= step < len(node.items):
            return node.items[step]
    return None


def put(text: str, root: Node | None, place: tuple[Step, ...], value: JsonValue) -> Iterator[str]:
    node, hanging = root, None
    for depth, step in enumerate(place):
        if node is None or (isinstance(node, Scalar) and node.is_null):
            value = _wrapped(place[depth:], value)
            break
        found = child(node, step)
        if found is None:
            if isinstance(node, Mapping) and not node.is_flow:
                yield from _added(text, node, str(step), _wrapped(place[depth + 1 :], value))
            return
        node, hanging = found, _hanging(text, node, step, found)
        if hanging is None:
            return
    if hanging:
        yield from _replaced(text, hanging, value)
    elif node is None or isinstance(node, Scalar):
        yield from _added(text, None, "", value)


def append(text: str, root: Node | None, place: tuple[Step, ...], item: JsonValue) -> Iterator[str]:
    node = root
    for step in place:
        node = child(node, step) if node else None
    if isinstance(node, Sequence) and node.items:
        if not node.is_flow:
            column = _column(text, node.start)
            yield _with_lines(text, _behind(text, node.end, column), indented(block([item]), column))
        return
    yield from put(text, root, place, [item])


def remove(text: str, root: Node | None, place: tuple[Step, ...]) -> Iterator[str]:
    node = root
    for step in place[:-1]:
        node = child(node, step) if node else None
    match node:
        case Mapping(entries=[entry]) if len(place) == 1:
            yield _without_lines(text, entry.key.start, _end(text, entry))
        case Mapping(entries=[_]):
            yield from put(text, root, place[:-1], {})
        case Sequence(items=[_]):
            yield from put(text, root, place[:-1], [])
        case Mapping(is_flow=False, entries=entries):
            at = next(index for index, entry in enumerate(entries) if entry.key.text == place[-1])
            following = entries[at + 1].key.start if at + 1 < len(entries) else len(text)
            yield _without(text, entries[at].key.start, _end(text, entries[at]), following)
        case Sequence(is_flow=False, items=items) if isinstance(index := place[-1], int):
            dash = _dash(text, node, index)
            next_dash = _dash(text, node, index + 1) if index + 1 < len(items) else len(text)
            if dash is not None and next_dash is not None:
                yield _without(text, dash, max(items[index].end, dash + 1), next_dash)


def _wrapped(steps: tuple[Step, ...], value: JsonValue) -> JsonValue:
    for step in reversed(steps):
        value = {str(step): value}
    return value


def _hanging(text: str, parent: Node, step: Step, node: Node) -> _Hanging | None:
    if isinstance(parent, Mapping) and (entry := parent.get(str(step))):
        anchor, column = _colon(text, entry), _column(text, parent.start) + INDENT
        return _Hanging(node=node, anchor=anchor, column=column, is_item=False, is_in_flow=parent.is_flow)
    if isinstance(parent, Sequence) and isinstance(step, int):
        dash = node.start if parent.is_flow else _dash(text, parent, step)
        if dash is not None:
            column = _column(text, dash) + INDENT
            return _Hanging(node=node, anchor=dash + 1, column=column, is_item=True, is_in_flow=parent.is_flow)
    return None


def _replaced(text: str, hanging: _Hanging, value: JsonValue) -> Iterator[str]:
    node, anchor = hanging.node, hanging.anchor
    if hanging.is_in_flow:
        if node.end > node.start:
            yield text[: node.start] + inline(value) + text[node.end :]
        return
    if _keeps_flow(node, value) and node.end > node.start:
        yield text[: node.start] + inline(value) + text[node.end :]
    if "\n" in text[anchor : node.start]:
        yield _moved(text, hanging, value)
    elif node.start == node.end:
        yield _pasted(text, anchor, anchor, value, hanging.column, is_item=hanging.is_item)
    elif is_inline(value) or hanging.is_item:
        column = _column(text, node.start)
        yield text[: node.start] + _newline(text).join(_stepped(block(value), column)) + text[node.end :]
    else:
        yield _pasted(text, anchor, node.end, value, hanging.column, is_item=False)


def _moved(text: str, hanging: _Hanging, value: JsonValue) -> str:
    """The old value begins on a line of its own. Comments between it and its key stay."""
    start = _line_start(text, hanging.node.start)
    bare = text[:start] + text[_next_line(text, hanging.node.end) :]
    if is_inline(value):
        return _pasted(bare, hanging.anchor, hanging.anchor, value, 0, is_item=hanging.is_item)
    column = _column(text, hanging.node.start)
    if isinstance(value, dict):  # only dashes may stand right below their key
        column = max(column, hanging.column - INDENT + 1)
    return _with_lines(bare, start, indented(block(value), column))


def _keeps_flow(node: Node, value: JsonValue) -> bool:
    """Brackets that somebody wrote stay, unless something large moves in."""
    match node, value:
        case Sequence(is_flow=True, items=[_, *_]), list():
            return all(is_inline(item) for item in value)
        case Mapping(is_flow=True, entries=[_, *_]), dict():
            return all(is_inline(item) for item in value.values())
    return False


def _pasted(text: str, start: int, end: int, value: JsonValue, column: int, *, is_item: bool) -> str:
    """`value` behind a colon or dash, in place of what is between `start` and `end` on that line."""
    bare = text[:start] + text[end:]
    lines = block(value)
    if is_inline(value):
        return f"{bare[:start]} {lines[0]}{bare[start:]}"
    if is_item:
        return f"{bare[:start]} {_newline(text).join(_stepped(lines, column))}{bare[start:]}"
    return _with_lines(bare, _next_line(bare, start), indented(lines, column))


def _stepped(lines: list[str], column: int) -> list[str]:
    """Lines of which the first stands already in its column."""
    return [lines[0], *indented(lines[1:], column)]


def _added(text: str, mapping: Mapping | None, key: str, value: JsonValue) -> Iterator[str]:
    """A new key: below the line where the sample file has it behind a #, else at the end. None: the whole document."""
    entry = {key: value} if mapping else value
    start, column = (mapping.start, _column(text, mapping.start)) if mapping else (0, 0)
    lines = indented(block(entry), column)
    for name in entry if isinstance(entry, dict) and len(entry) == 1 else ():
        margin = " " * column
        sample = re.compile(rf"^{margin}#{re.escape(name)}:.*(?:\n{margin}#(?! \S).*)*", re.MULTILINE)
        if found := sample.search(text, 0 if column == 0 else start):
            yield _with_lines(text, _next_line(text, found.end()), lines)
    yield _with_lines(text, _behind(text, mapping.end, column) if mapping else len(text), lines)


def _behind(text: str, end: int, column: int) -> int:
    """The start of the first line behind `end` that is no comment indented deeper than `column`."""
    index = _next_line(text, end)
    while re.compile(rf" {{{column + 1},}}#").match(text, index):
        index = _next_line(text, index)
    return index


def _without(text: str, start: int, end: int, following: int) -> str:
    """Without what begins at `start`: by whole lines, unless a dash stands before it on its line."""
    if not text[_line_start(text, start) : start].strip():
        return _without_lines(text, start, end)
    if text[_next_line(text, end) : following].strip():  # a comment stands between: it stays
        line_end = _next_line(text, end) - len(_newline(text))
        return text[:start].rstrip(" ") + text[line_end:]
    return text[:start] + text[following:]


def _without_lines(text: str, start: int, end: int) -> str:
    return text[: _line_start(text, start)] + text[_next_line(text, end) :]


def _with_lines(text: str, index: int, lines: list[str]) -> str:
    newline = _newline(text)
    glue = newline if index and text[index - 1] != "\n" else ""
    return text[:index] + glue + "".join(line + newline for line in lines) + text[index:]


def _end(text: str, entry: Entry) -> int:
    return max(entry.value.end, _colon(text, entry))


def _colon(text: str, entry: Entry) -> int:
    """The index behind the colon."""
    return text.find(":", entry.key.end) + 1


def _dash(text: str, sequence: Sequence, index: int) -> int | None:
    """Where the dash of an item in block style is."""
    if index == 0:
        return sequence.start
    column = _column(text, sequence.start)
    start = _next_line(text, sequence.items[index - 1].end)
    found = re.compile(rf"(?:[ \t]*(?:#.*)?\r?\n)*? {{{column}}}(-)").match(text, start)
    return found.start(1) if found else None


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _next_line(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _column(text: str, index: int) -> int:
    return index - _line_start(text, index)
