"""Replacing one value in JSON text, every other byte as it was.

Two ways, for two sizes. A request may be megabytes: its top level is read shallowly (`Members`), inner values stay the
bytes that they were, so numbers keep their spelling and unknown fields their order. A frame of an answer is small: the
value's span is found by walking the tokens from the start (`span`), which stops as soon as it is found.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import msgspec

from proxy.errors import Malformed
from proxy.wire.base import dumps

Members: TypeAlias = dict[str, msgspec.Raw]

_members = msgspec.json.Decoder(Members).decode
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)
_COLON = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")


def members(body: bytes) -> Members:
    """The members of the object at the top, in order. Raises `Malformed`."""
    try:
        return _members(body)
    except ValueError as error:
        raise Malformed(f"the body is not a JSON object: {error}") from None


def joined(fields: Members) -> bytes:
    return msgspec.json.encode(fields)


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(dumps(value))


def span(data: bytes, path: tuple[str, ...]) -> tuple[int, int] | None:
    """Where the string at `path` stands in `data`, quotes included; None when there is none.

    `data` may be framed: whatever stands before the first brace is passed over, if it holds no quote or bracket.
    """
    wanted = [b'"' + key.encode() + b'"' for key in path]
    depth = 0
    found = 0  # how many keys of the path lead to where we are
    for token in _TOKEN.finditer(data):
        first = data[token.start()]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
            if depth <= found:
                return None  # the object that should hold the next key is over
        elif depth == found + 1 and token[0] == wanted[found]:
            colon = _COLON.match(data, token.end())
            if colon is None:
                continue
            if found + 1 == len(wanted):
                value = _TOKEN.match(data, colon.end())
                return value.span() if value and value[0][:1] == b'"' else None
            if data[colon.end() : colon.end() + 1] != b"{":
                return None
            found += 1
    return None


def replaced(data: bytes, path: tuple[str, ...], value: bytes) -> bytes:
    """With the string at `path` replaced by `value`, which is JSON; as it was where there is none."""
    where = span(data, path)
    return data if where is None else data[: where[0]] + value + data[where[1] :]
