"""JSON Schema (2020-12) of config.yaml, for editors. Generated from the settings."""

from __future__ import annotations

from proxy.config.foreign import foreign_under
from proxy.config.schema import Config
from proxy.config.settings import (
    Choice,
    Flag,
    Group,
    GroupOf,
    Json,
    JsonValue,
    Kind,
    Limits,
    ListOf,
    MapOf,
    Number,
    Setting,
    Text,
    Time,
    Whole,
    settings_of,
)
from proxy.config.show import jsonable

_NO_LIMITS = Limits()


def json_schema() -> dict[str, JsonValue]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "config.yaml",
        **group_schema(Config),
    }


def group_schema(group: type[Group], path: str = "") -> dict[str, JsonValue]:
    settings = settings_of(group)
    properties: dict[str, JsonValue] = {setting.key: _setting(setting, path) for setting in settings}
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": properties | _ignored(path),
        "additionalProperties": False,
    }
    if needed := [setting.key for setting in settings if setting.is_required]:
        schema["required"] = list[JsonValue](needed)
    return schema


def _ignored(path: str) -> dict[str, JsonValue]:
    """Keys of the well-known system that load with a warning; editors strike them through."""
    return {
        key: {"deprecated": True, "description": f"Ignored: {known.sentence}."}
        for key, known in foreign_under(path).items()
        if not known.is_refused
    }


def _setting(setting: Setting, path: str) -> dict[str, JsonValue]:
    schema = {
        "description": setting.sentence,
        **_kind(setting.kind, setting.limits, f"{path}.{setting.key}".lstrip(".")),
    }
    if not setting.is_required and not isinstance(setting.kind, GroupOf):
        schema["default"] = jsonable(setting.kind, setting.default)
    return schema if setting.is_required else _or_null(schema)


def _or_null(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A key without a value stands for the default."""
    match schema:
        case {"type": kind}:
            return {**schema, "type": [kind, "null"]}
        case {"enum": [*options]}:
            return {**schema, "enum": [*options, None]}
        case {"anyOf": [*options]}:
            return {**schema, "anyOf": [*options, {"type": "null"}]}
        case _:
            return schema


def _kind(kind: Kind, limits: Limits, path: str) -> dict[str, JsonValue]:
    match kind:
        case Flag():
            return {"type": "boolean"}
        case Whole() | Number():
            bounds = {"minimum": limits.low, "maximum": limits.high}
            word = "integer" if isinstance(kind, Whole) else "number"
            return {"type": word, **{bound: value for bound, value in bounds.items() if value is not None}}
        case Text():
            return {"type": "string"}
        case Time():
            return {"anyOf": [{"type": "string", "pattern": "^([0-9.]+(ms|s|m|h|d))+$"}, {"type": "number"}]}
        case Choice(options):
            return {"enum": [*options, *limits.short]}
        case ListOf(item):
            return {"type": "array", "items": _kind(item, _NO_LIMITS, f"{path}[]")}
        case MapOf(item):
            return {"type": "object", "additionalProperties": _kind(item, _NO_LIMITS, path)}
        case GroupOf(group, plain):
            inner = group_schema(group, path)
            return {"anyOf": [{"type": "string"}, inner]} if plain else inner
        case Json():
            return {}
