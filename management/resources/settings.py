"""Single settings: ``GET /debug`` → ``{"debug": false}``, ``PUT /debug`` with ``{"value": true}``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Literal, cast

import msgspec

from management.editing import change
from management.masking import Masked
from management.refusal import invalid
from management.routes import OK, Ask, Handler, Reply, Route, Schema
from proxy.config.edit import Edit, Put, Remove
from proxy.config.json_schema import group_schema
from proxy.config.schema import Config
from proxy.config.settings import (
    Choice,
    Flag,
    Group,
    GroupOf,
    JsonValue,
    Kind,
    Number,
    Setting,
    Text,
    Time,
    Whole,
    settings_of,
)

Place = tuple[str, ...]
CLOSED = frozenset({"remote-management"})
"""Who may use this API is not changed setting by setting through it; the file as a whole says it."""
_LEAVES = (Flag, Whole, Number, Time, Choice, Text)
_WHOLE_GROUPS = frozenset({"payload"})


_ALL = cast("type[Group]", Config)


def open_settings(group: type[Group] = _ALL, place: Place = ()) -> Iterator[tuple[Place, Setting]]:
    """Every setting that has a route, with its place in the file."""
    for setting in settings_of(group):
        here = (*place, setting.key)
        if here[0] in CLOSED:
            continue
        if isinstance(setting.kind, GroupOf) and setting.key not in _WHOLE_GROUPS:
            yield from open_settings(setting.kind.group, here)
        else:
            yield here, setting


def is_scalar(kind: Kind) -> bool:
    return isinstance(kind, _LEAVES)


def path_of(place: Place) -> str:
    return "/" + "/".join(place)


@cache
def _schema() -> Schema:
    """Of all of them: a tenth of a second of each start, were it made for each."""
    return group_schema(_ALL)


def schema_at(place: Place) -> Schema:
    """JSON Schema of the setting there."""
    schema = _schema()
    for key in place:
        properties = cast("dict[str, dict[str, JsonValue]]", schema["properties"])
        schema = properties[key]
    return schema


def value_at(settings: JsonValue, place: Place) -> JsonValue:
    for key in place:
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings


def shown(ask: Ask, place: Place) -> JsonValue:
    """As it is in force, masked."""
    return value_at(Masked(ask.state.config()).settings, place)


def removal(tree: dict[str, JsonValue], place: Place) -> list[Edit]:
    """What takes it out of the file, if it is there."""
    return [Remove(place)] if place[-1] in (_object(value_at(tree, place[:-1]))) else []


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _get(place: Place) -> Handler:
    async def get(ask: Ask) -> Reply:
        return Reply(body={place[-1]: shown(ask, place)})

    return get


def _put(place: Place) -> Handler:
    async def put(ask: Ask) -> Reply:
        body = await ask.json()
        if not isinstance(body, dict) or body.get("value") is None:
            raise invalid()
        value = body["value"]
        await change(ask, lambda _tree, masked: [Put(place, masked.restored(value))])
        return Reply()

    return put


def _put_whole(place: Place) -> Handler:
    async def put(ask: Ask) -> Reply:
        body = await ask.json()
        if not isinstance(body, dict):
            raise invalid()
        value = body.get("value", body)
        await change(ask, lambda _tree, masked: [Put(place, masked.restored(value))])
        return Reply()

    return put


def _delete(place: Place) -> Handler:
    async def delete(ask: Ask) -> Reply:
        await change(ask, lambda tree, _masked: removal(tree, place))
        return Reply()

    return delete


def _routes(place: Place, setting: Setting) -> Iterator[Route]:
    schema, path = schema_at(place), path_of(place)
    is_whole = not is_scalar(setting.kind)
    value: Schema = {"type": "object", "properties": {"value": schema}, "required": ["value"]}  # type: ignore[dict-item]  # a mapping is JSON
    reply: Schema = {"type": "object", "properties": {place[-1]: schema}, "required": [place[-1]]}  # type: ignore[dict-item]  # likewise
    yield Route(method="GET", path=path, handler=_get(place), sentence=setting.sentence, reply=reply)
    methods: tuple[Literal["PUT", "PATCH"], ...] = ("PUT",) if is_whole else ("PUT", "PATCH")
    for method in methods:
        yield Route(
            method=method,
            path=path,
            handler=_put_whole(place) if is_whole else _put(place),
            sentence=f"Change: {setting.sentence}",
            body=schema if is_whole else value,
            reply=OK,
            statuses=(409, 412, 413),
        )
    yield Route(
        method="DELETE",
        path=path,
        handler=_delete(place),
        sentence=f"Back to the default: {setting.sentence}",
        reply=OK,
        statuses=(409, 412),
    )


ROUTES = tuple(
    route
    for place, setting in open_settings()
    if is_scalar(setting.kind) or setting.key in _WHOLE_GROUPS
    for route in _routes(place, setting)
)


def canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")
