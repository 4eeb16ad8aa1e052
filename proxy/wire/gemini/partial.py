"""A function call that arrives in pieces (`streamFunctionCallArguments`): values with the path where they belong."""

from __future__ import annotations

import re
from itertools import pairwise

from proxy.hub.residue import JsonObject, JsonValue

GAP_MAX = 64
"""Places of an array that may be left out before the next one comes: a wild index must not cost memory."""
_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_VALUES = ("stringValue", "numberValue", "boolValue")


class BrokenPath(ValueError):
    """A path that is none, or that leads where another kind of value lies already."""


class PartialArguments:
    """`value`: what has come so far. Texts are joined at the end, so that many small pieces cost no more than few."""

    def __init__(self) -> None:
        self._root: JsonObject = {}
        self._texts: dict[str, tuple[JsonObject | list[JsonValue], str | int, list[str]]] = {}

    def feed(self, pieces: JsonValue) -> None:
        """Raises `BrokenPath`."""
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                self._piece(piece)

    def merge(self, args: JsonObject) -> None:
        self._root.update(args)

    def finish(self) -> JsonObject:
        for holder, key, pieces in self._texts.values():
            _put(holder, key, "".join(pieces))
        self._texts.clear()
        return self._root

    def _piece(self, piece: JsonObject) -> None:
        path = piece.get("jsonPath")
        if not isinstance(path, str):
            raise BrokenPath("a piece of a call's arguments without jsonPath")
        value = next((piece[key] for key in _VALUES if piece.get(key) is not None), None)
        known = self._texts.get(path)
        if known is not None and isinstance(value, str):
            known[2].append(value)
            return
        holder, key = self._holder(path)
        if isinstance(value, str):
            _put(holder, key, "")  # keeps its place among the keys
            self._texts[path] = (holder, key, [value])
        else:
            _put(holder, key, value)

    def _holder(self, path: str) -> tuple[JsonObject | list[JsonValue], str | int]:
        steps = _steps(path)
        holder: JsonObject | list[JsonValue] = self._root
        for step, following in pairwise(steps):
            inner = _get(holder, step)
            if inner is None:
                inner = [] if isinstance(following, int) else {}
                _put(holder, step, inner)
            if not isinstance(inner, dict | list):
                raise BrokenPath(f"{path} leads through a value that holds nothing")
            holder = inner
        return holder, steps[-1]


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            break
        name, index, single, double = match.groups()
        quoted = single if single is not None else double
        steps.append(int(index) if index is not None else name if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = match.end()
    if not path.startswith("$") or at < len(path) or not steps:
        raise BrokenPath(f"{path!r} is no JSON path")
    return steps


def _get(holder: JsonObject | list[JsonValue], step: str | int) -> JsonValue:
    if isinstance(holder, dict):
        return holder.get(str(step))
    return holder[step] if isinstance(step, int) and step < len(holder) else None


def _put(holder: JsonObject | list[JsonValue], step: str | int, value: JsonValue) -> None:
    if isinstance(holder, dict):
        holder[str(step)] = value
        return
    if not isinstance(step, int) or step > len(holder) + GAP_MAX:
        raise BrokenPath(f"{step!r} is no place of an array of {len(holder)}")
    holder.extend([None] * (step + 1 - len(holder)))
    holder[step] = value
