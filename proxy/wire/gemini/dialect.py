"""Between JSON Schema, as the hub has it, and the two dialects that Gemini reads besides its OpenAPI subset's cleaner.

`keep_known`: JSON Schema for `parametersJsonSchema` and `responseJsonSchema`, which know most keywords but not all.
`to_json_schema`: what a Gemini client wrote as `parameters` or `responseSchema`, in JSON Schema's words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import floor

from proxy.hub.loss import Loss
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.fields import Fields, residue_shape
from proxy.wire.gemini.flatten import ANNOTATIONS, DEPTH_MAX, Flattener, types_of
from proxy.wire.gemini.words import NAME

KNOWN = frozenset({
    "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems",
    "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required",
    "propertyOrdering",
    # Not in the documented list, and accepted by the API as recorded:
    "default", "pattern", "minLength", "maxLength", "uniqueItems",
})  # fmt: skip
"""Keywords that the *JsonSchema fields take."""

_BINDING = frozenset({
    "not", "if", "multipleOf", "contains", "minContains", "maxContains", "minProperties", "maxProperties",
    "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies", "additionalItems",
    "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
"""Of the others, those that change what is accepted."""


def keep_known(schema: JsonValue, path: str) -> tuple[JsonObject, list[Loss]]:
    losses: list[Loss] = []
    return _Filter(schema, losses).node(schema, path, 0), losses


class _Filter:
    def __init__(self, root: JsonValue, losses: list[Loss]) -> None:
        self._losses = losses
        self._flattener = Flattener(root, losses)

    def node(self, value: JsonValue, path: str, depth: int) -> JsonObject:
        if not isinstance(value, dict):
            return {}
        if depth > DEPTH_MAX:
            self._lose(path, "schema", f"it is deeper than {DEPTH_MAX} levels")
            return {}
        if "allOf" in value or self._is_bound_reference(value):
            value = self._flattener.flat(value, path).body or {}
        body = _reworded(value)
        self._exclusive(body, path)
        kept: JsonObject = {}
        for key, item in body.items():
            if key in KNOWN:
                kept[key] = self._keyword(key, item, path, depth)
            elif key in _BINDING and item not in (None, False):
                self._lose(f"{path}.{key}", key, "gemini's schema fields have no word for it")
        return _reference_alone(kept) if "$ref" in kept else kept

    def _lose(self, path: str, what: str, why: str) -> None:
        self._losses.append(Loss(path, what, why))

    def _is_bound_reference(self, value: JsonObject) -> bool:
        """A reference with constraints beside it, which Gemini refuses: it is inlined."""
        return "$ref" in value and any(
            not key.startswith("$") and key not in ANNOTATIONS and key != "definitions" for key in value
        )

    def _keyword(self, key: str, item: JsonValue, path: str, depth: int) -> JsonValue:
        match item:
            case dict() if key in {"properties", "$defs"}:
                return {
                    name: self.node(each, f"{path}.{key}.{name}", depth + 1)
                    for name, each in item.items()
                    if each is not False
                }
            case dict() if key in {"items", "additionalProperties"}:
                return self.node(item, f"{path}.{key}", depth + 1)
            case list() if key in {"anyOf", "oneOf", "prefixItems"}:
                return [self.node(each, f"{path}.{key}[{at}]", depth + 1) for at, each in enumerate(item)]
            case str() if key == "$ref":
                return re.sub(r"^#/definitions/", "#/$defs/", item)
            case _:
                return item

    def _exclusive(self, body: JsonObject, path: str) -> None:
        types = types_of(body) or frozenset()
        for key, exclusive, sign in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
            bound = body.pop(exclusive, None)
            if isinstance(bound, bool) or not isinstance(bound, int | float):
                continue
            if "number" not in types and "integer" in types:
                bound = sign * (floor(sign * bound) + 1)
            else:
                self._lose(f"{path}.{exclusive}", exclusive, "gemini's bounds are inclusive")
            held = body.get(key)
            if not isinstance(held, int | float) or sign * held < sign * bound:
                body[key] = bound


def _reworded(value: JsonObject) -> JsonObject:
    """Older or synonymous words in the ones that Gemini knows."""
    body = dict(value)
    if "const" in body:
        body["enum"] = [body.pop("const")]
    older, newer = body.pop("definitions", None), body.get("$defs")
    if isinstance(older, dict):
        body["$defs"] = {**older, **(newer if isinstance(newer, dict) else {})}
    if isinstance(body.get("items"), list):
        body["prefixItems"], rest = body.pop("items"), body.pop("additionalItems", None)
        if rest is False and isinstance(body["prefixItems"], list):
            body.setdefault("maxItems", len(body["prefixItems"]))
    elif body.get("items") is False:
        del body["items"]
        body.setdefault("maxItems", len(places) if isinstance(places := body.get("prefixItems"), list) else 0)
    elif body.get("items") is True:
        body["items"] = {}
    if not isinstance(body.get("required", []), list):
        del body["required"]
    if body.get("nullable") is True and isinstance(body.get("type"), str) and body["type"] != "null":
        body["type"] = [body["type"], "null"]
    return body


def _reference_alone(kept: JsonObject) -> JsonObject:
    """A `$ref` bears no other keyword than ``$…`` beside it: what the node tells goes around it."""
    beside = {key: item for key, item in kept.items() if not key.startswith("$")}
    if not beside:
        return kept
    return {**beside, "anyOf": [{key: item for key, item in kept.items() if key.startswith("$")}]}


_SPELLINGS: Mapping[str, str] = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "additional_properties": "additionalProperties",
    "property_ordering": "propertyOrdering",
    "defs": "$defs",
    "ref": "$ref",
}
_WHOLE = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""int64 in Google's JSON, which may be written as text."""


_NUMBERED: Mapping[int, str] = {
    1: "string", 2: "number", 3: "integer", 4: "boolean", 5: "array", 6: "object", 7: "null",
}  # fmt: skip
"""The types' numbers in Google's protocol: some SDKs write those."""


def take_schema(fields: Fields, *keys: str) -> tuple[JsonObject | None, JsonObject]:
    """The schema under the first of these keys that is there, in JSON Schema's words; and its shape: how it was written
    (fields for JSON Schema hold types in capitals, too: Google's own CLI writes such).
    """
    for key in keys:
        if (written := fields.take_object(key)) is not None:
            return to_json_schema(written), {"schema": key, "written": written}
    return None, {}


def as_written(residue: Residue | None, *, has_full_schema: bool) -> JsonObject:
    """The mirror of `take_schema`; empty where the schema came from elsewhere, or the upstream takes no such field."""
    key, written = residue_shape(residue, NAME, "schema"), residue_shape(residue, NAME, "written")
    if not isinstance(key, str) or (key.endswith("JsonSchema") and not has_full_schema):
        return {}
    return {key: written}


def to_json_schema(schema: JsonValue, depth: int = 0) -> JsonObject:
    """Types in lower case, `nullable` as a type. What is JSON Schema already stays as it is."""
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        return {}
    body: JsonObject = {}
    for name, item in schema.items():
        key = _SPELLINGS.get(name, name)
        match item:
            case dict() if key in {"properties", "$defs"}:
                body[key] = {child: to_json_schema(each, depth + 1) for child, each in item.items()}
            case dict() if key in {"items", "additionalProperties"}:
                body[key] = to_json_schema(item, depth + 1)
            case list() if key in {"anyOf", "oneOf", "allOf", "prefixItems"}:
                body[key] = [to_json_schema(each, depth + 1) for each in item]
            case _ if key == "type":
                body[key] = [_type(word) for word in item] if isinstance(item, list) else _type(item)
            case str() if key == "$ref":
                body[key] = re.sub(r"^#/defs/", "#/$defs/", item)
            case str() if key in _WHOLE and item.isdecimal():
                body[key] = int(item)
            case _ if key not in {"propertyOrdering", "nullable"}:
                body[key] = item
    if body.get("type") == "type_unspecified":
        del body["type"]
    return _nullable(body) if schema.get("nullable") is True else body


def _type(word: JsonValue) -> JsonValue:
    if isinstance(word, int):
        return _NUMBERED.get(word, word)
    return word.lower() if isinstance(word, str) else word


def _nullable(body: JsonObject) -> JsonObject:
    kind, values, choices = body.get("type"), body.get("enum"), body.get("anyOf")
    if isinstance(kind, str) and kind != "null":
        body["type"] = [kind, "null"]
        if isinstance(values, list) and None not in values:
            body["enum"] = [*values, None]
    elif isinstance(choices, list) and {"type": "null"} not in choices:
        body["anyOf"] = [*choices, {"type": "null"}]
    return body
