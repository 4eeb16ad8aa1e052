"""The operator's rules over requests on their way to the provider (``payload`` in the configuration).

Order: `default` sets what the client left out, the first rule winning; `override` sets it anyway, the last winning;
`filter` takes out. A path is dotted (``generationConfig.temperature``); a number in it is an index of an array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatchcase

from proxy.config.payload import Payload, PayloadModel
from proxy.dispatch.splice import Members, raw
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import loads

_WIRES: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai_chat",),
    "openai-response": ("openai_responses",),
    "codex": ("openai_responses",),
    "claude": ("anthropic",),
    "gemini": ("gemini",),
    "gemini-cli": ("gemini",),
    "antigravity": ("gemini",),
}
"""The well-known system's names of protocols."""


class Edits:
    """What the rules ask of one upstream model and wire. Falsy when that is nothing, which is the usual case."""

    __slots__ = ("_defaults", "_filters", "_overrides")

    def __init__(self, payload: Payload, model: str, wire: str) -> None:
        self._defaults = [
            (_steps(path), value)
            for rule in payload.default
            if _applies(rule.models, model, wire)
            for path, value in rule.params.items()
        ]
        self._overrides = [
            (_steps(path), value)
            for rule in payload.override
            if _applies(rule.models, model, wire)
            for path, value in rule.params.items()
        ]
        self._filters = [
            _steps(path) for rule in payload.filter if _applies(rule.models, model, wire) for path in rule.params
        ]

    def __bool__(self) -> bool:
        return bool(self._defaults or self._overrides or self._filters)

    def apply(self, body: JsonObject) -> None:
        """In place."""
        for path, value in self._defaults:
            if not _has(body, path):
                _set(body, path, deepcopy(value))
        for path, value in self._overrides:
            _set(body, path, deepcopy(value))
        for path in self._filters:
            _delete(body, path)

    def apply_shallow(self, fields: Members) -> None:
        """The same, reading only the members that a rule touches."""
        touched = dict.fromkeys(self._heads())
        body: JsonObject = {key: loads(bytes(fields[key])) for key in touched if key in fields}
        self.apply(body)
        for key in touched:
            if key in body:
                fields[key] = raw(body[key])
            else:
                fields.pop(key, None)

    def _heads(self) -> Iterator[str]:
        for path, _ in (*self._defaults, *self._overrides):
            yield path[0]
        for path in self._filters:
            yield path[0]


def _applies(models: Sequence[PayloadModel], model: str, wire: str) -> bool:
    return not models or any(
        fnmatchcase(model, each.name) and (not each.protocol or wire in _WIRES[each.protocol]) for each in models
    )


def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _inner(value: JsonValue, step: str) -> JsonValue:
    """None where there is nothing: a member that is null counts as absent."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return None


def _has(body: JsonObject, path: tuple[str, ...]) -> bool:
    value: JsonValue = body
    for step in path:
        value = _inner(value, step)
    return value is not None


def _set(body: JsonObject, path: tuple[str, ...], value: JsonValue) -> None:
    """Objects on the way are made; where the way leads through something that is no object, nothing is changed."""
    here: JsonValue = body
    for step in path[:-1]:
        there = _inner(here, step)
        if there is None and isinstance(here, dict):
            there = here[step] = {}
        here = there
    if isinstance(here, dict):
        here[path[-1]] = value
    elif isinstance(here, list) and path[-1].isdecimal() and int(path[-1]) < len(here):
        here[int(path[-1])] = value


def _delete(body: JsonObject, path: tuple[str, ...]) -> None:
    here: JsonValue = body
    for step in path[:-1]:
        here = _inner(here, step)
    if isinstance(here, dict):
        here.pop(path[-1], None)
    elif isinstance(here, list) and path[-1].isdecimal() and int(path[-1]) < len(here):
        del here[int(path[-1])]
