from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.gemini.dialect import KNOWN, keep_known, to_json_schema


class TestKeepKnown:
    @pytest.mark.parametrize(
        ("schema", "kept"),
        [
            ({"$schema": "x", "type": "object", "properties": {"title": {"type": "string"}}, "strict": True},
             {"type": "object", "properties": {"title": {"type": "string"}}}),
            ({"const": "a"}, {"enum": ["a"]}),
            ({"definitions": {"D": {"type": "string"}}, "properties": {"d": {"$ref": "#/definitions/D"}}},
             {"$defs": {"D": {"type": "string"}}, "properties": {"d": {"$ref": "#/$defs/D"}}}),
            ({"$defs": {"D": {"type": "string"}}, "properties": {"d": {"$ref": "#/$defs/D", "description": "x"}}},
             {"$defs": {"D": {"type": "string"}},
              "properties": {"d": {"description": "x", "anyOf": [{"$ref": "#/$defs/D"}]}}}),
            ({"$defs": {"D": {"type": "string"}}, "properties": {"d": {"$ref": "#/$defs/D", "minLength": 2}}},
             {"$defs": {"D": {"type": "string"}}, "properties": {"d": {"type": "string", "minLength": 2}}}),
            ({"allOf": [{"type": "string"}, {"minLength": 1}]}, {"type": "string", "minLength": 1}),
            ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
            ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
            ({"type": "array", "items": [{"type": "string"}], "additionalItems": False},
             {"type": "array", "prefixItems": [{"type": "string"}], "maxItems": 1}),
            ({"type": "array", "items": True}, {"type": "array", "items": {}}),
            ({"type": "array", "items": False}, {"type": "array", "maxItems": 0}),
            ({"type": "object", "required": None, "properties": {"no": False, "yes": True}},
             {"type": "object", "properties": {"yes": {}}}),
            ({"type": "object", "additionalProperties": {"type": "string", "examples": ["x"]}},
             {"type": "object", "additionalProperties": {"type": "string"}}),
        ],
    )  # fmt: skip
    def test_in_and_out(self, schema: Any, kept: Any) -> None:
        assert keep_known(schema, "s") == (kept, [])

    @pytest.mark.parametrize(
        ("schema", "what"),
        [
            ({"type": "object", "patternProperties": {"^x": {}}}, "patternProperties"),
            ({"type": "string", "not": {"const": "x"}}, "not"),
            ({"type": "number", "exclusiveMinimum": 0}, "exclusiveMinimum"),
            ({"type": "object", "minProperties": 1}, "minProperties"),
        ],
    )
    def test_constraints_without_a_word_are_losses(self, schema: Any, what: str) -> None:
        _, losses = keep_known({"type": "object", "properties": {"p": schema}}, "s")
        assert [(loss.path, loss.what) for loss in losses] == [(f"s.properties.p.{what}", what)]

    @settings(max_examples=200, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["string", "object", "#", "#/$defs/a"]),
            lambda inner: st.dictionaries(
                st.sampled_from(
                    [*sorted(KNOWN), "const", "allOf", "definitions", "not", "exclusiveMinimum", "nullable"]
                ),
                inner | st.lists(inner, max_size=2),
                max_size=4,
            ),
            max_leaves=10,
        )
    )
    def test_whatever_comes_it_knows_the_keywords(self, schema: Any) -> None:
        kept, _ = keep_known(schema, "s")
        assert set(kept) <= KNOWN


class TestToJsonSchema:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ({"type": "OBJECT", "properties": {"type": {"type": "STRING"}}, "required": ["type"]},
             {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]}),
            ({"type": "STRING", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
            ({"any_of": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
            ({"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "1", "property_ordering": []},
             {"type": "array", "items": {"type": "integer"}, "minItems": 1}),
            ({"ref": "#/defs/A", "defs": {"A": {"type": "NUMBER"}}},
             {"$ref": "#/$defs/A", "$defs": {"A": {"type": "number"}}}),
            ({"type": "TYPE_UNSPECIFIED", "nullable": False}, {}),
            ({"type": 6, "properties": {"n": {"type": 3}}},
             {"type": "object", "properties": {"n": {"type": "integer"}}}),
            ({"type": ["string", "null"], "const": 1}, {"type": ["string", "null"], "const": 1}),
        ],
    )  # fmt: skip
    def test_in_and_out(self, written: Any, read: Any) -> None:
        assert to_json_schema(written) == read
