"""What only one wire understands: kept beside the part that it belongs to, rendered back only by the same wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from proxy.hub.values import dataclass

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Residue:
    """`fields`: the keys that a parser did not take, as they came. `shape`: how the known ones were written, in the
    wire's own words (``{"content": "string"}``), so that the same wire renders them the same way. `shape` carries no
    meaning: dropping it loses nothing that anybody asked for. Dropping a field is a `Loss`.
    """

    wire: str
    fields: Mapping[str, JsonValue] = field(default_factory=dict)
    shape: Mapping[str, JsonValue] = field(default_factory=dict)


def list_in(value: JsonValue) -> list[JsonValue]:
    """Nothing, where it is no list."""
    return value if isinstance(value, list) else []


def object_in(value: JsonValue) -> JsonObject:
    """An empty one, where it is none."""
    return value if isinstance(value, dict) else {}


def objects_in(value: JsonValue) -> list[JsonObject]:
    """Of a list; what else is in it is left out."""
    return [each for each in list_in(value) if isinstance(each, dict)]
