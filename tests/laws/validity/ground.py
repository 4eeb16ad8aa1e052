"""What the judges share: walking JSON, and judging a schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from proxy.hub.residue import JsonObject, JsonValue

Json = Any
"""Judges read what they judge without ceremony; a wrong shape is a failed test."""


def unknown_keys(value: JsonObject, known: Iterable[str], where: str) -> Iterator[str]:
    for key in sorted(value.keys() - set(known)):
        yield f"{where}.{key} is no field there"


def bad_schema(schema: JsonValue, where: str) -> Iterator[str]:
    """Whether it is a JSON Schema at all."""
    why = _why_bad(msgspec.json.encode(schema))
    if why is not None:
        yield f"{where} is no JSON Schema: {why}"


@cache
def _why_bad(schema: bytes) -> str | None:
    """The same tools come in request after request."""
    try:
        Draft202012Validator.check_schema(msgspec.json.decode(schema))
    except SchemaError as error:
        return error.message[:200]
    return None


def duplicates(values: Iterable[str], what: str) -> Iterator[str]:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield f"{what} {value!r} stands twice"
        seen.add(value)


def marks(value: JsonValue, key: str) -> int:
    """How often `key` stands in it."""
    if isinstance(value, dict):
        return (value.get(key) is not None) + sum(marks(item, key) for item in value.values())
    return sum(marks(item, key) for item in value) if isinstance(value, list) else 0
