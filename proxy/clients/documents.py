"""Settings files of other programs, changed value by value: all else in them stays as it was.

JSON is written anew, in its order and indentation. TOML and dotenv are changed line by line, so comments stay. Whatever
the way, the result is read again and has to hold what was meant, or nothing is changed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

import msgspec

from proxy.clients.base import Format, Keys
from proxy.errors import ConfigError
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import dumps


class Absent:
    """Stands for a value that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()
Value: TypeAlias = "JsonValue | Absent"


def parse(kind: Format, text: str) -> JsonObject:
    """Raises `ConfigError`."""
    if not text.strip():
        return {}
    try:
        value: JsonValue = _FORMATS[kind].parse(text)
    except ValueError as error:
        raise ConfigError(f"this is no {kind} that we can change without harm: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"this is no {kind} with settings in it")
    return value


def value_at(document: JsonObject, keys: Keys) -> Value:
    found: JsonValue = document
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return ABSENT
        found = found[key]
    return found


def changed(kind: Format, text: str, values: Mapping[Keys, Value]) -> str:
    """With the line ends that it has. Raises `ConfigError`, and then nothing can be changed but by hand."""
    if "\r\n" in text and text.count("\r\n") == text.count("\n"):
        return changed(kind, text.replace("\r\n", "\n"), values).replace("\n", "\r\n")
    wanted = parse(kind, text)
    for keys, value in values.items():
        wanted = _with(wanted, keys, value)
    for keys, value in values.items():
        if value_at(parse(kind, text), keys) != value:
            text = _FORMATS[kind].change(text, keys, value)
    if parse(kind, text) != wanted:
        raise ConfigError("it is written in a way that we cannot change without harm")
    return text


def _with(document: JsonObject, keys: Keys, value: Value) -> JsonObject:
    """What is left empty by a removal goes, too. Raises `ConfigError`."""
    first, *rest = keys
    result = dict(document)
    if isinstance(value, Absent) and not rest:
        result.pop(first, None)
        return result
    if not rest:
        assert not isinstance(value, Absent)
        return {**result, first: value}
    inner = document.get(first, {})
    if not isinstance(inner, dict):
        if isinstance(value, Absent):
            return result
        raise ConfigError(f"{first} holds something else than settings")
    below = _with(inner, tuple(rest), value)
    if isinstance(value, Absent) and not below:
        result.pop(first, None)
        return result
    return {**result, first: below}


# JSON


def _change_json(text: str, keys: Keys, value: Value) -> str:
    indented = re.search(r"^( +)\S", text, re.MULTILINE)
    document = _with(parse("json", text), keys, value)
    return msgspec.json.format(dumps(document), indent=len(indented[1]) if indented else 2).decode() + "\n"


# dotenv: ``NAME=value``, quoted where it must be

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


def _parse_dotenv(text: str) -> JsonObject:
    assignments = (_ASSIGNMENT.fullmatch(line) for line in _lines(text))
    return {found[1]: _unquoted(found[2]) for found in assignments if found}


def _unquoted(value: str) -> str:
    for quote in ('"', "'"):
        if len(value) > 1 and value[0] == value[-1] == quote:
            return value[1:-1]
    return value


def _change_dotenv(text: str, keys: Keys, value: Value) -> str:
    (name,) = keys
    assigned = [] if isinstance(value, Absent) else [f'{name}="{value}"']
    lines = _lines(text)
    at = [number for number, line in enumerate(lines) if (found := _ASSIGNMENT.fullmatch(line)) and found[1] == name]
    for number in reversed(at):
        lines[number : number + 1] = assigned if number == at[0] else []
    return _text(lines if at else [*lines, *assigned])


# TOML: settings at the top, and whole tables of plain values

_IDLE = re.compile(r"\s*(?:#.*)?")
_REMARK = re.compile(r"""=\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'#\[{]+)(\s*#.*)$""")
"""Behind a plain value."""
_HEADER = re.compile(r"\s*\[{1,2}\s*[^\[\]]+\]{1,2}\s*(?:#.*)?")


def _change_toml(text: str, keys: Keys, value: Value) -> str:
    lines = _lines(text)
    return _text(_with_table(lines, keys, value) if len(keys) > 1 else _with_setting(lines, keys[0], value))


def _with_setting(lines: list[str], name: str, value: Value) -> list[str]:
    end = next((number for number, line in enumerate(lines) if _HEADER.fullmatch(line)), len(lines))
    head, rest = lines[:end], lines[end:]
    written = [] if isinstance(value, Absent) else [f"{name} = {dumps(value).decode()}"]
    for number, line in enumerate(head):
        if re.match(rf"\s*{re.escape(name)}\s*=", line):
            remark = _REMARK.search(line)
            written = [each + (remark[1] if remark else "") for each in written]
            return [*head[:number], *written, *head[number + 1 :], *rest]
    while head and not head[-1].strip():
        head.pop()
    return [*head, *written, *([""] if rest else []), *rest]


def _with_table(lines: list[str], keys: Keys, value: Value) -> list[str]:
    name = r"\s*\.\s*".join(re.escape(key) for key in keys)
    start = next((n for n, line in enumerate(lines) if re.fullmatch(rf"\s*\[\s*{name}\s*\]\s*(?:#.*)?", line)), None)
    written: list[str] = []
    if isinstance(value, dict):
        written = [f"[{'.'.join(keys)}]", *(f"{key} = {dumps(item).decode()}" for key, item in value.items())]
    if start is None:
        return [*lines, "", *written] if lines and lines[-1].strip() else [*lines, *written]
    following = (n for n, line in enumerate(lines[start + 1 :], start + 1) if _HEADER.fullmatch(line))
    end = next(following, len(lines))
    while _IDLE.fullmatch(lines[end - 1]):
        end -= 1  # what stands before the next table is said of that
    head, rest = lines[:start], lines[end:]
    if written:  # what somebody has remarked there stays
        written[1:1] = [line for line in lines[start + 1 : end] if line.lstrip().startswith("#")]
    while not written and head and not head[-1].strip():
        head.pop()
    is_apart = not rest or not rest[0].strip() or not (written or head)
    return [*head, *written, *([] if is_apart else [""]), *rest]


def _lines(text: str) -> list[str]:
    """As editors see them: what Unicode calls a line end as well may stand in a value or a comment."""
    return text.removesuffix("\n").split("\n") if text else []


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


class _Way(NamedTuple):
    parse: Callable[[str], JsonValue]
    change: Callable[[str, Keys, Value], str]


_FORMATS: Mapping[Format, _Way] = MappingProxyType(
    {
        "json": _Way(msgspec.json.decode, _change_json),
        "toml": _Way(tomllib.loads, _change_toml),
        "dotenv": _Way(_parse_dotenv, _change_dotenv),
    }
)
