from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.gemini.dialect import to_json_schema
from proxy.wire.gemini.flatten import NODES_MAX
from proxy.wire.gemini.schema import clean, clean_parameters

TYPES = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}
WORDS = {
    "type", "format", "title", "description", "nullable", "enum", "items", "maxItems", "minItems", "properties",
    "required", "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "anyOf", "propertyOrdering",
    "minimum", "maximum",
}  # fmt: skip


def assert_legal(node: Any, path: str = "$") -> None:
    """What Gemini's `Schema` allows, and what its endpoints are known to refuse."""
    assert isinstance(node, dict), path
    assert set(node) <= WORDS, path
    if "anyOf" in node:
        assert set(node) == {"anyOf"}, path
        assert len(node["anyOf"]) > 1, path
        for at, each in enumerate(node["anyOf"]):
            assert_legal(each, f"{path}.anyOf[{at}]")
        return
    assert node["type"] in TYPES, path
    assert ("items" in node) == (node["type"] == "ARRAY"), path
    if "items" in node:
        assert_legal(node["items"], f"{path}.items")
    if "enum" in node:
        assert node["type"] == "STRING", path
        assert node["enum"], path
        assert all(isinstance(value, str) and value for value in node["enum"]), path
    properties = node.get("properties", {})
    assert set(node.get("required", ())) <= set(properties), path
    assert len(set(node.get("required", ()))) == len(node.get("required", ())), path
    for name, each in properties.items():
        assert_legal(each, f"{path}.properties.{name}")


def lost(schema: Any) -> set[str]:
    return {loss.what for loss in clean(schema, "s")[1]}


class TestClean:
    @pytest.mark.parametrize(
        ("schema", "cleaned"),
        [
            ({"type": "string"}, {"type": "STRING"}),
            ({"type": "STRING"}, {"type": "STRING"}),
            ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
            ({"type": "string", "const": "a"}, {"type": "STRING", "enum": ["a"]}),
            ({"const": "a"}, {"type": "STRING", "enum": ["a"]}),
            ({"enum": ["a", None]}, {"type": "STRING", "enum": ["a"], "nullable": True}),
            ({"type": "array"}, None),
            ({"type": "array", "items": {"type": "integer"}, "minItems": 1.0},
             {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": 1}),
            ({"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "d"},
             {"type": "INTEGER", "nullable": True, "description": "d"}),
            ({"type": ["integer", "string"]}, {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]}),
            ({"oneOf": [{"type": "boolean"}, {"type": "string"}]},
             {"anyOf": [{"type": "BOOLEAN"}, {"type": "STRING"}]}),
            ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
             {"type": "INTEGER", "minimum": 1, "maximum": 9}),
            ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"type": "INTEGER", "minimum": 1}),
            ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
            ({"type": "string", "format": "uri"}, {"type": "STRING", "description": "Format: uri"}),
            ({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                        {"properties": {"b": {"type": "integer"}}, "required": ["b"]}]},
             {"type": "OBJECT", "properties": {"a": {"type": "STRING"}, "b": {"type": "INTEGER"}},
              "required": ["a", "b"]}),
            ({"type": "object", "properties": {}, "additionalProperties": False, "$schema": "x", "title": "T"},
             {"type": "OBJECT", "properties": {}, "title": "T"}),
            ({"type": "null"}, {"type": "NULL"}),
        ],
    )  # fmt: skip
    def test_in_and_out(self, schema: Any, cleaned: Any) -> None:
        body, losses = clean(schema, "s")
        assert_legal(body)
        if cleaned is not None:
            assert body == cleaned
            assert losses == []

    def test_properties_keep_names_that_look_like_keywords(self) -> None:
        names = ["title", "format", "default", "type", "$ref", "enum", "properties", "const", "allOf", "nullable"]
        schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}
        body, losses = clean(schema, "s")
        assert body["properties"] == {name: {"type": "STRING"} for name in names}
        assert body["required"] == names
        assert losses == []

    def test_required_null_and_names_of_nothing(self) -> None:
        body, losses = clean({"type": "object", "properties": {"a": {"type": "string"}}, "required": None}, "s")
        assert "required" not in body
        assert losses == []
        schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b", "a"]}
        body, losses = clean(schema, "s")
        assert body["required"] == ["a"]
        assert [str(loss) for loss in losses] == ["s.required: b: gemini requires declared properties only"]

    def test_references_are_inlined_with_what_stands_beside_them(self) -> None:
        schema = {
            "$defs": {"Dog": {"type": "object", "properties": {"name": {"$ref": "#/$defs/Name"}}},
                      "Name": {"type": "string", "minLength": 1}},
            "type": "object",
            "properties": {"dog": {"$ref": "#/$defs/Dog", "description": "the dog"}, "a/b": {"$ref": "#/$defs/Name"},
                           "same": {"$ref": "#/properties/a~1b"}},
        }  # fmt: skip
        body, losses = clean(schema, "s")
        name = {"type": "STRING", "minLength": 1}
        assert body["properties"] == {
            "dog": {"type": "OBJECT", "properties": {"name": name}, "description": "the dog"},
            "a/b": name, "same": name,
        }  # fmt: skip
        assert losses == []

    def test_cycles_are_cut(self) -> None:
        tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}
        body, losses = clean({"$ref": "#/$defs/Tree", "$defs": {"Tree": tree}}, "s")
        assert body == {
            "type": "OBJECT", "properties": {"children": {"type": "ARRAY", "items": {"type": "OBJECT"}}},
        }  # fmt: skip
        assert [loss.path for loss in losses] == ["s.properties.children.items.$ref"]
        assert clean({"$ref": "#"}, "s")[0] == {"type": "OBJECT"}

    def test_references_that_double_are_bounded(self) -> None:
        doubling = {
            f"d{n}": {"type": "object", "properties": {side: {"$ref": f"#/$defs/d{n + 1}"} for side in "ab"}}
            for n in range(30)
        }
        body, losses = clean({"$ref": "#/$defs/d0", "$defs": {**doubling, "d30": {"type": "string"}}}, "s")
        assert_legal(body)
        assert any(str(NODES_MAX) in loss.why for loss in losses)

    def test_nesting_is_bounded(self) -> None:
        schema: dict[str, Any] = {"type": "string"}
        for _ in range(400):
            schema = {"type": "array", "items": schema}
        assert_legal(clean(schema, "s")[0])
        schema = {"type": "string"}
        for _ in range(400):
            schema = {"allOf": [schema]}
        assert_legal(clean(schema, "s")[0])

    def test_external_references_are_lost(self) -> None:
        assert lost({"$ref": "https://example.com/x.json"}) >= {"https://example.com/x.json"}

    @pytest.mark.parametrize(
        ("schema", "what"),
        [
            ({"type": "integer", "enum": [1, 2]}, "enum"),
            ({"type": "boolean", "const": True}, "enum"),
            ({"type": "string", "enum": ["", "a"]}, "the empty string"),
            ({"type": "number", "exclusiveMinimum": 0}, "exclusiveMinimum"),
            ({"type": "number", "multipleOf": 2}, "multipleOf"),
            ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "uniqueItems"),
            ({"type": "array", "prefixItems": [{"type": "string"}]}, "a type for each place"),
            ({"type": "object", "patternProperties": {"^x": {}}}, "patternProperties"),
            ({"type": "object", "additionalProperties": {"type": "string"}}, "additionalProperties"),
            ({"type": "string", "not": {"const": "x"}}, "not"),
            ({"type": "object", "properties": {}, "if": {}, "then": {}}, "if"),
            ({"description": "whatever"}, "any type"),
            ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "type"),
        ],
    )
    def test_what_changes_the_accepted_is_a_loss(self, schema: Any, what: str) -> None:
        assert_legal(clean(schema, "s")[0])
        assert lost(schema) == {what}

    def test_values_of_numbers_are_told_in_words(self) -> None:
        body, _ = clean({"type": "integer", "enum": [1, 2], "description": "size"}, "s")
        assert body == {"type": "INTEGER", "description": "size\nOne of: 1, 2"}

    def test_alternatives_take_what_stands_beside_them(self) -> None:
        schema = {
            "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}], "description": "either",
        }  # fmt: skip
        body, losses = clean(schema, "s")
        assert [branch["required"] for branch in body["anyOf"]] == [["a"], ["b"]]
        assert all(branch["description"] == "either" for branch in body["anyOf"])
        assert losses == []


class TestParameters:
    def test_an_object_stays(self) -> None:
        assert clean_parameters({"type": "object", "properties": {}}, "s") == ({"type": "OBJECT", "properties": {}}, [])

    def test_alternatives_become_one_object(self) -> None:
        schema = {"anyOf": [
            {"type": "object", "properties": {"a": {"type": "string"}, "k": {"const": "x"}}, "required": ["a", "k"]},
            {"type": "object", "properties": {"b": {"type": "string"}, "k": {"const": "y"}}, "required": ["b", "k"]},
        ]}  # fmt: skip
        body, losses = clean_parameters(schema, "s")
        assert_legal(body)
        assert set(body["properties"]) == {"a", "b", "k"}
        assert body["required"] == ["k"]
        assert [loss.what for loss in losses] == ["alternatives"]

    @pytest.mark.parametrize("schema", [{}, True, {"type": "string"}, False])
    def test_anything_else_is_an_object_without_properties(self, schema: Any) -> None:
        assert clean_parameters(schema, "s")[0] == {"type": "OBJECT"}


scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.sampled_from(["", "a", "b", "é"])
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["a", "b", "title", "type", "$ref"])
kinds = st.sampled_from(["string", "number", "integer", "boolean", "array", "object", "null"])


def keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": kinds | st.lists(kinds, min_size=1, max_size=3, unique=True),
            "enum": st.lists(scalars, min_size=1, max_size=3),
            "const": scalars,
            "properties": st.dictionaries(names, inner, max_size=3),
            "required": st.none() | st.lists(names, max_size=2),
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "minimum": st.integers(-2, 2),
            "exclusiveMaximum": st.integers(-2, 2),
            "minLength": st.integers(0, 2),
            "maxItems": st.integers(0, 2),
            "description": st.just("d"),
            "format": st.just("uri"),
            "not": inner,
            "uniqueItems": st.booleans(),
            "propertyOrdering": st.lists(names | st.just({}), max_size=2),
            "$ref": st.sampled_from(["#", "#/$defs/x", "#/nothing"]),
            "$defs": st.dictionaries(st.just("x"), inner, max_size=1),
        },
    )


def typed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    types = kinds | st.lists(kinds, min_size=1, max_size=3, unique=True)
    return st.tuples(keywords(inner), types).map(lambda pair: {**pair[0], "type": pair[1]})


schemas = st.recursive(st.booleans() | keywords(st.nothing()), keywords, max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(schemas)
def test_whatever_comes_the_result_is_legal(schema: Any) -> None:
    assert_legal(clean(schema, "s")[0])
    parameters, _ = clean_parameters(schema, "s")
    assert_legal(parameters)
    assert parameters["type"] == "OBJECT"


@settings(max_examples=300, deadline=None)
@given(typed(st.booleans() | typed(st.nothing())), json_values)
def test_without_a_loss_the_same_values_are_accepted(schema: Any, value: Any) -> None:
    """As far as JSON Schema's own judge sees it. (A type that is left out is read from the other keywords.)"""
    cleaned, losses = clean(schema, "s")
    if losses or "'required': None" in str(schema) or "$ref" in str(schema):
        return
    before = jsonschema.Draft202012Validator(schema).is_valid(value)
    after = jsonschema.Draft202012Validator(to_json_schema(cleaned)).is_valid(value)
    assert before == after, (schema, cleaned)
