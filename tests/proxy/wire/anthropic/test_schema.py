from __future__ import annotations

import jsonschema
import pytest

from proxy.hub.loss import Loss
from proxy.hub.residue import JsonObject
from proxy.wire.anthropic.schema import output_schema, tool_schema

PATH = "tools[0].parameters"


def tool(schema: JsonObject | None) -> tuple[JsonObject, list[str]]:
    losses: list[Loss] = []
    cleaned = tool_schema(schema, PATH, losses)
    jsonschema.Draft202012Validator.check_schema(cleaned)
    return cleaned, [loss.path for loss in losses]


def output(schema: JsonObject) -> tuple[JsonObject, list[str]]:
    losses: list[Loss] = []
    cleaned = output_schema(schema, "schema", losses)
    jsonschema.Draft202012Validator.check_schema(cleaned)
    return cleaned, [loss.what for loss in losses]


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    assert tool(None) == ({"type": "object", "properties": {}}, [])
    assert tool({}) == ({"type": "object"}, [])


def test_a_modern_schema_is_left_as_it_is() -> None:
    schema: JsonObject = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "type": {"const": None, "default": None},
            "required": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]},
            "n": {"type": ["integer", "null"], "exclusiveMinimum": 0, "enum": [1, None]},
        },
        "$defs": {"a": {"type": "array", "prefixItems": [{"type": "string"}], "items": False}},
        "required": ["type"],
        "additionalProperties": False,
    }
    assert tool(schema) == (schema, [])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        ({"type": "object", "required": None, "properties": None}, {"type": "object"}),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, {"type": "number", "exclusiveMinimum": 0}),
        ({"type": "number", "maximum": 9, "exclusiveMaximum": False}, {"type": "number", "maximum": 9}),
        ({"type": "string", "required": True}, {"type": "string"}),
        ({"type": ["STRING", "NULL"]}, {"type": ["string", "null"]}),
    ],
)
def test_older_ways_of_saying_it(old: JsonObject, new: JsonObject) -> None:
    deep: JsonObject = {"type": "object", "properties": {"x": {"type": "array", "items": old}}}
    assert tool(deep)[0] == {"type": "object", "properties": {"x": {"type": "array", "items": new}}}


def test_alternatives_at_the_top_are_merged() -> None:
    schema: JsonObject = {
        "anyOf": [
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"]},
            {"type": "object", "properties": {"a": {"type": "integer"}, "c": {}}, "required": ["a"]},
        ],
        "required": ["d"],
    }
    cleaned, lost = tool(schema)
    assert cleaned == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {}, "c": {}},
        "required": ["d", "a"],
    }
    assert lost == [f"{PATH}.anyOf"]
    both = tool({"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"required": ["b"]}, True]})[0]
    assert both == {"type": "object", "properties": {"a": {}}, "required": ["a", "b"]}


def test_structured_output_is_closed_and_tells_what_it_cannot_enforce() -> None:
    cleaned, lost = output(
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "Whose.", "minLength": 2, "pattern": "^a"},
                "when": {"type": "string", "format": "date"},
                "what": {"type": "string", "format": "color"},
                "tags": {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "null"}]}, "minItems": 1},
                "more": {"type": "array", "items": {}, "minItems": 3},
                "inner": {"type": "object", "properties": {}, "additionalProperties": True},
            },
            "required": ["name"],
        }
    )
    assert cleaned == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": 'Whose.\n\n{minLength: 2, pattern: "^a"}'},
            "when": {"type": "string", "format": "date"},
            "what": {"type": "string", "description": '{format: "color"}'},
            "tags": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "minItems": 1},
            "more": {"type": "array", "items": {}, "description": "{minItems: 3}"},
            "inner": {"type": "object", "properties": {}, "additionalProperties": False},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    assert sorted(lost) == ["additionalProperties", "format", "minItems", "minLength", "pattern"]


def test_a_strict_schema_is_left_as_it_is() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"format": {"type": ["string", "null"]}, "pattern": {"$ref": "#/$defs/p"}},
        "$defs": {"p": {"enum": ["a", 1]}},
        "required": ["format", "pattern"],
        "additionalProperties": False,
        "title": "T",
    }
    assert output(schema) == (schema, [])


def test_depth_has_a_limit() -> None:
    schema: JsonObject = {"type": "STRING"}
    for _ in range(500):
        schema = {"type": "array", "items": schema}
    deep: JsonObject = {"type": "object", "properties": {"x": schema}}
    assert tool_schema(deep, PATH, []) == deep
