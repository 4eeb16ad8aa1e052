"""Taking known keys out of a JSON object; what is left is residue. Wrong types are refused with their path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar, overload

from proxy.errors import Malformed
from proxy.hub.loss import Loss
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import json_type

T = TypeVar("T")

BOOKKEEPING = frozenset({"id", "status", "object"})
"""What an API says of its own records: dropping it elsewhere loses nothing."""
SELF_EVIDENT: Mapping[str, JsonValue] = {"type": "message", "role": "assistant", "caller": {"type": "direct"}}
"""What goes without saying elsewhere: that an answer is one, and that a model itself made a call (Anthropic)."""


class Fields:
    """One object on its way in. `take*` removes a key and returns its value, None when it is absent or null.

    An explicit null counts as absent but is remembered, so that `residue` gives it back at home.
    """

    __slots__ = ("_left", "path", "wire")

    def __init__(self, value: JsonValue, *, wire: str, path: str = "") -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{path or 'the body'} must be an object, not {json_type(value)}", path=path or None)
        self._left: JsonObject = dict(value)
        self.path = path
        self.wire = wire

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def peek(self, key: str) -> JsonValue:
        return self._left.get(key)

    def take(self, key: str) -> JsonValue:
        value = self._left.get(key)
        if value is not None:
            del self._left[key]
        return value

    @overload
    def _take_as(self, key: str, kind: type[T], noun: str) -> T | None: ...
    @overload
    def _take_as(self, key: str, kind: tuple[type[T], ...], noun: str) -> T | None: ...
    def _take_as(self, key: str, kind: type[T] | tuple[type[T], ...], noun: str) -> T | None:
        value = self._left.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise Malformed(f"{self.at(key)} must be {noun}, not {json_type(value)}", path=self.at(key))
        del self._left[key]
        return value

    def take_str(self, key: str) -> str | None:
        return self._take_as(key, str, "a string")

    def take_int(self, key: str) -> int | None:
        """An integer; ``4.0`` is one, ``4.5`` is not."""
        value = self._left.get(key)
        if isinstance(value, float) and value.is_integer():
            self._left[key] = int(value)
        return self._take_as(key, int, "an integer")

    def take_number(self, key: str) -> float | None:
        """A number, kept as int or float as it came."""
        return self._take_as(key, (int, float), "a number")

    def take_bool(self, key: str) -> bool | None:
        return self._take_as(key, bool, "a boolean")

    def take_list(self, key: str) -> list[JsonValue] | None:
        return self._take_as(key, list, "an array")

    def take_object(self, key: str) -> JsonObject | None:
        return self._take_as(key, dict, "an object")

    def take_fields(self, key: str) -> Fields | None:
        value = self.take_object(key)
        return None if value is None else Fields(value, wire=self.wire, path=self.at(key))

    def need_str(self, key: str) -> str:
        value = self.take_str(key)
        if value is None:
            raise Malformed(f"{self.at(key)} is required and must be a string", path=self.at(key))
        return value

    def need_int(self, key: str) -> int:
        value = self.take_int(key)
        if value is None:
            raise Malformed(f"{self.at(key)} is required and must be an integer", path=self.at(key))
        return value

    def need_list(self, key: str) -> list[JsonValue]:
        value = self.take_list(key)
        if value is None:
            raise Malformed(f"{self.at(key)} is required and must be an array", path=self.at(key))
        return value

    def give_back(self, key: str, value: JsonValue) -> None:
        """A known key whose value turned out to be no word of the hub's."""
        self._left[key] = value

    def residue(self, **shape: JsonValue) -> Residue | None:
        """What nobody took. None when there is nothing, and nothing to say of its shape."""
        if not self._left and not shape:
            return None
        return Residue(wire=self.wire, fields=self._left, shape=shape)


def residue_fields(residue: Residue | None, wire: str) -> JsonObject:
    """The fields of `residue` for its own wire; nothing for another's."""
    return dict(residue.fields) if residue is not None and residue.wire == wire else {}


def residue_shape(residue: Residue | None, wire: str, key: str) -> JsonValue:
    return residue.shape.get(key) if residue is not None and residue.wire == wire else None


def residue_losses(residue: Residue | None, wire: str, path: str = "") -> Iterator[Loss]:
    """One for each field that only another wire than `wire` understands. A null or empty one asked for nothing."""
    if residue is None or residue.wire == wire:
        return
    for key, value in residue.fields.items():
        if value not in (None, "", [], {}) and key not in BOOKKEEPING and value != SELF_EVIDENT.get(key):
            yield Loss(f"{path}.{key}" if path else key, key, f"only {residue.wire} knows it")
