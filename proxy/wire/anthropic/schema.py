"""Other wires' schemas in what this one takes: draft 2020-12 for tools, a strict subset of it for structured output."""

from __future__ import annotations

from collections.abc import Callable

from proxy.hub.loss import Loss
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import dumps

DEPTH_MAX = 64
"""What lies deeper stays as it is."""

_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_ONES = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})
_NULLABLE_VALUES = frozenset({"default", "const", "example"})
_ONLY_AT_DEPTH = ("anyOf", "oneOf", "allOf")
"""Refused at the top of a tool's schema."""

_STRICT_FORMATS = frozenset({
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
})  # fmt: skip
_STRICT_KEYS = frozenset({
    "type", "properties", "required", "items", "anyOf", "allOf", "enum", "const", "$ref", "$defs", "definitions",
    "description", "title", "default", "format", "minItems", "additionalProperties", "$schema",
})  # fmt: skip
"""What structured output takes; the vendor's own SDK tells the rest in the description."""


def tool_schema(schema: JsonObject | None, path: str, losses: list[Loss]) -> JsonObject:
    """A tool's `input_schema`: always an object's."""
    if schema is None:
        return {"type": "object", "properties": {}}
    cleaned = _walk(schema, _modern)
    branches = [key for key in _ONLY_AT_DEPTH if isinstance(cleaned.get(key), list)]
    for key in branches:
        _merge_branches(cleaned, key)
        losses.append(Loss(f"{path}.{key}", key, "not at the top of a tool's schema: the alternatives are merged"))
    return cleaned if cleaned.get("type") == "object" else {**cleaned, "type": "object"}


def output_schema(schema: JsonObject, path: str, losses: list[Loss]) -> JsonObject:
    """A schema for `output_config.format`: objects are closed, and what cannot be enforced is told."""

    def strict(node: JsonObject) -> JsonObject:
        return _strict(_modern(node), path, losses)

    return _walk(schema, strict)


def _walk(schema: JsonObject, change: Callable[[JsonObject], JsonObject], depth: int = 0) -> JsonObject:
    """`change` is applied to each schema in it, the innermost first. Properties called like a keyword are none."""
    if depth > DEPTH_MAX:
        return schema

    def inner(value: JsonValue) -> JsonValue:
        return _walk(value, change, depth + 1) if isinstance(value, dict) else value

    result: JsonObject = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            result[key] = {name: inner(each) for name, each in value.items()}
        elif key in _LISTS and isinstance(value, list):
            result[key] = [inner(each) for each in value]
        else:
            result[key] = inner(value) if key in _ONES else value
    return change(result)


def _modern(node: JsonObject) -> JsonObject:
    """Older drafts' and OpenAPI's ways of saying it: nulls, `nullable`, TYPES in capitals, boolean bounds."""
    result: JsonObject = {key: value for key, value in node.items() if value is not None or key in _NULLABLE_VALUES}
    named = result.get("type")
    if isinstance(named, str):
        result["type"] = named.lower()
    elif isinstance(named, list):
        result["type"] = [word.lower() if isinstance(word, str) else word for word in named]
    if result.pop("nullable", None) is True and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]
        enum = result.get("enum")
        if isinstance(enum, list) and None not in enum:
            result["enum"] = [*enum, None]
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(is_exclusive := result.get(bound), bool):
            del result[bound]
            if is_exclusive and limit in result:
                result[bound] = result.pop(limit)
    if isinstance(result.get("required"), bool):
        del result["required"]
    return result


def _merge_branches(schema: JsonObject, key: str) -> None:
    """All alternatives' properties; required is what each of them requires (with `allOf`, any)."""
    branches = [each for each in _listed(schema.pop(key)) if isinstance(each, dict)]
    properties = schema.get("properties")
    merged: JsonObject = dict(properties) if isinstance(properties, dict) else {}
    demands: list[list[JsonValue]] = []
    for branch in branches:
        for name, value in _mapped(branch.get("properties")).items():
            merged.setdefault(name, value)
        demands.append(_listed(branch.get("required")))
    shared = [
        name
        for name in dict.fromkeys(str(name) for demand in demands for name in demand)
        if key == "allOf" or all(name in demand for demand in demands)
    ]
    required: list[JsonValue] = list(dict.fromkeys([*map(str, _listed(schema.get("required"))), *shared]))
    schema["properties"] = merged
    if required:
        schema["required"] = required


def _strict(node: JsonObject, path: str, losses: list[Loss]) -> JsonObject:
    if "oneOf" in node and "anyOf" not in node:
        node["anyOf"] = node.pop("oneOf")
    told: JsonObject = {key: node.pop(key) for key in list(node) if key not in _STRICT_KEYS}
    if "format" in node and str(node["format"]) not in _STRICT_FORMATS:
        told["format"] = node.pop("format")
    if isinstance(least := node.get("minItems"), int) and least > 1:
        told["minItems"] = node.pop("minItems")
    types = node.get("type")
    if types == "object" or (isinstance(types, list) and "object" in types):
        if node.get("additionalProperties") not in (None, False):
            losses.append(Loss(path, "additionalProperties", "structured output takes closed objects only"))
        node["additionalProperties"] = False
    else:
        node.pop("additionalProperties", None)
    if told:
        losses.extend(Loss(path, key, "it cannot be enforced, and stands in the description") for key in told)
        rules = ", ".join(f"{key}: {dumps(value).decode()}" for key, value in told.items())
        node["description"] = "\n\n".join(filter(None, [_text(node.get("description")), f"{{{rules}}}"]))
    return node


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _mapped(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None
