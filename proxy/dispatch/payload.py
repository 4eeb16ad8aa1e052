"""The operator's rules over requests on their way to the provider (``payload`` in the configuration).

Order: `default`, then `default-raw` set what the client left out, the first rule winning; `override`, then
`override-raw` set it anyway, the last winning; `filter` takes out. What a rule asks of the model and the wire is
settled once, what it asks of the client once a request; what it asks of the body is answered before any rule changes
it. A path is dotted (``generationConfig.temperature``); a number in it is an index of an array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from fnmatch import fnmatchcase
from itertools import chain
from typing import TypeAlias

from proxy.config.payload import Payload, PayloadModel, PayloadRule, RawPayloadRule, raw_value
from proxy.dispatch.inquiry import Inquiry
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


Steps: TypeAlias = tuple[str, ...]
When: TypeAlias = "tuple[PayloadModel, ...] | None"
"""Conditions of which one must fit; None: always. Those of the model and the wire are settled."""


class Edits:
    """What the rules ask of one upstream model and wire. Falsy when that is nothing, which is the usual case."""

    __slots__ = ("_defaults", "_filters", "_is_conditional", "_overrides")

    def __init__(self, payload: Payload, model: str, wire: str) -> None:
        defaults = [*_settings(payload.default), *_settings(payload.default_raw, raw_value)]
        overrides = [*_settings(payload.override), *_settings(payload.override_raw, raw_value)]
        filters = [(rule.models, _steps(path), None) for rule in payload.filter for path in rule.params]
        self._defaults, self._overrides, self._filters = (
            [
                (when, path, value)
                for models, path, value in edits
                for when in [_narrowed(models, lambda each: _fits_model(each, model, wire))]
                if when != ()
            ]
            for edits in (defaults, overrides, filters)
        )
        self._is_conditional = any(when is not None for when, _, _ in self._all())

    def __bool__(self) -> bool:
        return bool(self._defaults or self._overrides or self._filters)

    def of(self, inquiry: Inquiry) -> Edits:
        """What is left of them for one client's request."""
        if not self._is_conditional:
            return self
        edits = object.__new__(Edits)
        edits._defaults, edits._overrides, edits._filters = (
            [
                (still, path, value)
                for when, path, value in each
                for still in [when if when is None else _narrowed(when, lambda one: _fits_client(one, inquiry))]
                if still != ()
            ]
            for each in (self._defaults, self._overrides, self._filters)
        )
        edits._is_conditional = any(when is not None for when, _, _ in edits._all())
        return edits

    def apply(self, body: JsonObject) -> None:
        """In place."""
        defaults, overrides, filters = (
            [(path, value) for when, path, value in edits if when is None or _holds(when, body)]
            for edits in (self._defaults, self._overrides, self._filters)
        )
        for path, value in defaults:
            if not _has(body, path):
                _set(body, path, deepcopy(value))
        for path, value in overrides:
            _set(body, path, deepcopy(value))
        for path, _ in filters:
            _delete(body, path)

    def apply_shallow(self, fields: Members) -> None:
        """The same, reading only the members that a rule touches or asks about."""
        touched = dict.fromkeys(path[0] for _, path, _ in self._all())
        asked = {**touched, **dict.fromkeys(head for when, _, _ in self._all() for head in _heads(when))}
        body: JsonObject = {key: loads(bytes(fields[key])) for key in asked if key in fields}
        self.apply(body)
        for key in touched:
            if key in body:
                fields[key] = raw(body[key])
            else:
                fields.pop(key, None)

    def _all(self) -> Iterator[_Edit]:
        return chain(self._defaults, self._overrides, self._filters)


_Edit: TypeAlias = tuple[When, Steps, JsonValue]


def _settings(
    rules: Iterable[PayloadRule | RawPayloadRule], read: Callable[[JsonValue], JsonValue] = lambda value: value
) -> Iterator[tuple[tuple[PayloadModel, ...], Steps, JsonValue]]:
    for rule in rules:
        for path, value in rule.params.items():
            yield rule.models, _steps(path), read(value)


def _narrowed(models: tuple[PayloadModel, ...], fits: Callable[[PayloadModel], bool]) -> When:
    """Those that fit, as far as that can be said by now; none where nothing fits any more."""
    if not models:
        return None
    kept = tuple(each for each in models if fits(each))
    return None if any(not _is_open(each) for each in kept) else kept


def _is_open(model: PayloadModel) -> bool:
    """It says something of the client or of the request."""
    of_client = model.from_protocol or model.keys or model.headers
    return bool(of_client or model.match or model.not_match or model.exist or model.not_exist)


def _fits_model(each: PayloadModel, model: str, wire: str) -> bool:
    return fnmatchcase(model, each.name) and (not each.protocol or wire in _WIRES[each.protocol])


def _fits_client(each: PayloadModel, inquiry: Inquiry) -> bool:
    return (
        (not each.from_protocol or inquiry.wire in _WIRES[each.from_protocol])
        and (not each.keys or any(fnmatchcase(inquiry.client, pattern) for pattern in each.keys))
        and all(fnmatchcase(inquiry.headers.get(name, ""), pattern) for name, pattern in each.headers.items())
    )


def _holds(when: tuple[PayloadModel, ...], body: JsonObject) -> bool:
    return any(_fits_body(each, body) for each in when)


def _fits_body(each: PayloadModel, body: JsonObject) -> bool:
    return (
        all(_at(body, path) == value for path, value in _pairs(each.match))
        and not any(_at(body, path) == value for path, value in _pairs(each.not_match))
        and all(_has(body, _steps(path)) for path in each.exist)
        and not any(_has(body, _steps(path)) for path in each.not_exist)
    )


def _pairs(conditions: Iterable[Mapping[str, JsonValue]]) -> Iterator[tuple[str, JsonValue]]:
    return chain.from_iterable(each.items() for each in conditions)


def _heads(when: When) -> Iterator[str]:
    for each in when or ():
        for path in (*each.exist, *each.not_exist, *(path for path, _ in _pairs((*each.match, *each.not_match)))):
            yield _steps(path)[0]


def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _inner(value: JsonValue, step: str) -> JsonValue:
    """None where there is nothing: a member that is null counts as absent."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return None


def _at(body: JsonObject, path: str) -> JsonValue:
    value: JsonValue = body
    for step in _steps(path):
        value = _inner(value, step)
    return value


def _has(body: JsonObject, path: Steps) -> bool:
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
