"""The OpenAPI 3.1 document, made of the table of routes: there is nothing in the one that is not in the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from management.routes import PREFIX, Parameter, Route, Schema
from proxy.config.settings import JsonValue

_COMMON = (400, 401, 403, 429)
_WORDS = {
    400: "What was sent is not valid.",
    401: "The management key is missing or wrong.",
    403: "Not from there.",
    404: "There is no such thing.",
    409: "Something else stands against it.",
    412: "It was changed since it was read.",
    413: "The body is too large.",
    422: "It would be no good configuration.",
    429: "Too many guesses at the key.",
    500: "It could not be written, or not be put into force.",
    502: "The provider could not be asked.",
    503: "It cannot be told now.",
}
_VARIABLE = re.compile(r"\{(\w+)\}")


def document(routes: Iterable[Route], version: str) -> dict[str, JsonValue]:
    paths: dict[str, dict[str, JsonValue]] = {}
    for route in routes:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "proxy: management", "version": version},
        "security": [{"bearer": []}, {"header": []}],
        "paths": {path: dict(operations) for path, operations in sorted(paths.items())},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Management-Key"},
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
                    "required": ["error"],
                }
            },
        },
    }


def _operation(route: Route) -> JsonValue:
    operation: dict[str, JsonValue] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.sentence,
        "responses": {
            "200": {"description": "Done.", "content": _content(route)},
            **{str(status): _error(status) for status in sorted({*_COMMON, *route.statuses})},
        },
    }
    named: list[JsonValue] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(route.path)
    ]
    named += [_parameter(each) for each in route.parameters]
    if named:
        operation["parameters"] = named
    if route.body is not None:
        schema = schema_of(route.body)
        operation["requestBody"] = {"content": {kind: {"schema": schema} for kind in route.body_types}}
    return operation


def _content(route: Route) -> JsonValue:
    types = {route.reply_type: route.reply, **route.more_types}
    return {kind: {"schema": schema_of(shape)} for kind, shape in types.items()}


def _parameter(parameter: Parameter) -> JsonValue:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.sentence,
        "required": parameter.is_required,
        "schema": dict(parameter.schema),
    }


def _error(status: int) -> JsonValue:
    reference: JsonValue = {"$ref": "#/components/schemas/Error"}
    if status == 207:
        return {"description": "Some of it.", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"description": _WORDS[status], "content": {"application/json": {"schema": reference}}}


def schema_of(shape: Schema | type) -> dict[str, JsonValue]:
    if isinstance(shape, Mapping):
        return dict(shape)
    (schemas, components) = msgspec.json.schema_components([shape])
    (schema,) = schemas
    return cast("dict[str, JsonValue]", _whole(schema, components))


def _whole(schema: JsonValue, components: Mapping[str, JsonValue]) -> JsonValue:
    """With what it refers to in its place."""
    match schema:
        case {"$ref": str(reference)}:
            return _whole(components[reference.rpartition("/")[2]], components)
        case dict():
            return {name: _whole(each, components) for name, each in schema.items()}
        case list():
            return [_whole(each, components) for each in schema]
        case _:
            return schema
