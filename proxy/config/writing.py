"""JSON values → YAML text, such that this package and every other reader of YAML take it for the same value.

A text is left plain only where YAML 1.1 and 1.2 both see a text; else it is quoted as in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec
import yaml

from proxy.config.nodes import Scalar
from proxy.config.settings import JsonValue

INDENT = 2

_PLAIN = re.compile(r"[A-Za-z0-9_/]([A-Za-z0-9_./@+=:-]*[A-Za-z0-9_/])?")
_INVISIBLE = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")
"""Breaks lines, or is no character of YAML unless escaped."""
_LOOKALIKES: Mapping[str, Sequence[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers
"""First character → what YAML 1.1 takes for something else than a text (``yes``, ``12:30``, ``0x1f``)."""


def inline(value: JsonValue) -> str:
    """On one line, at home in block and in flow context."""
    match value:
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(inline(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{_text(key)}: {inline(item)}' for key, item in value.items())}}}"
        case _:
            return msgspec.json.encode(value).decode()


def block(value: JsonValue) -> list[str]:
    """Lines, without the indentation of where they go."""
    lines: list[str] = []
    match value:
        case dict() if value:
            for key, item in value.items():
                inner = block(item)
                lines += [f"{_text(key)}: {inner[0]}"] if is_inline(item) else [f"{_text(key)}:", *indented(inner)]
        case list() if value:
            for item in value:
                inner = block(item)
                lines += [f"- {inner[0]}", *indented(inner[1:])]
        case _:
            lines.append(inline(value))
    return lines


def is_inline(value: JsonValue) -> bool:
    """Whether it stands on the line of its key, even in block style."""
    return not (isinstance(value, list | dict) and value)


def indented(lines: list[str], columns: int = INDENT) -> list[str]:
    return [" " * columns + line for line in lines]


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and _is_text(text):
        return text
    quoted = msgspec.json.encode(text).decode()
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _is_text(text: str) -> bool:
    scalar = Scalar(line=0, start=0, end=0, text=text, is_plain=True)
    if scalar.is_null or scalar.boolean is not None or scalar.number is not None:
        return False
    return not any(pattern.match(text) for _tag, pattern in _LOOKALIKES.get(text[0], ()))
