from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from proxy.providers.sandbox.sample import Sampler


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}, "required": ["a"]},
        {"type": "array", "items": {"type": "integer"}},
        {"enum": ["x", "y"]},
        {"const": 7},
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        {"$defs": {"p": {"type": "object", "properties": {"x": {"type": "integer"}}}}, "$ref": "#/$defs/p"},
        {"type": "object", "properties": {"when": {"type": "string", "format": "date"}}, "required": ["when"]},
        {"type": "object"},
        {"type": "integer", "minimum": 40},
        {},
    ],
)
def test_samples_fit_their_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(Sampler(schema, "word").sample(schema), schema)


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert isinstance(Sampler(schema, "word").sample(schema), dict)
