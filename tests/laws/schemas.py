"""JSON Schemas as the laws compare them: what they demand, not in which draft's words."""

from __future__ import annotations

import re

from proxy.hub.residue import JsonObject, JsonValue

DEMANDING = frozenset({
    "type", "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
    "maxProperties", "dependentRequired", "dependentSchemas", "items", "prefixItems", "contains", "minContains",
    "maxContains", "minItems", "maxItems", "uniqueItems", "enum", "const", "format", "pattern", "minLength",
    "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "anyOf", "oneOf",
    "allOf", "not", "if", "then", "else", "$ref", "$defs", "definitions", "description",
})  # fmt: skip
"""What demands something of a value, or tells the model what it means. The rest is titles, drafts and vendors' own."""
PROTO_TYPES = {1: "string", 2: "number", 3: "integer", 4: "boolean", 5: "array", 6: "object"}
"""Vertex' SDK writes the types' numbers."""
_MAPS = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_ONES = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})


def schema_essence(schema: JsonValue, *, is_closed: bool = False) -> JsonValue:
    """An object's schema always says so, and has properties. `is_closed`: whether an object may have more of them is
    not compared.
    """
    made = _node(schema, is_closed=is_closed)
    if isinstance(made, dict):
        made.setdefault("type", "object")
        if made["type"] == "object":
            made.setdefault("properties", {})
    return made


def _node(value: JsonValue, *, is_closed: bool) -> JsonValue:
    if not isinstance(value, dict):
        return value
    node: JsonObject = {}
    for key, item in value.items():
        if is_closed and key == "additionalProperties" and item is False:
            continue
        if key not in DEMANDING or item is None:
            continue
        name = "$defs" if key == "definitions" else key
        if name in _MAPS and isinstance(item, dict):
            node[name] = {inner: _node(each, is_closed=is_closed) for inner, each in item.items()}
        elif name in _LISTS and isinstance(item, list):
            node[name] = [_node(each, is_closed=is_closed) for each in item]
        elif name in _ONES:
            node[name] = _node(item, is_closed=is_closed)
        else:
            node[name] = item
    return _modern(node, is_nullable=value.get("nullable") is True)


def _modern(node: JsonObject, *, is_nullable: bool) -> JsonObject:
    """`oneOf` is as good as `anyOf`: the alternatives of generated schemas exclude each other."""
    if "oneOf" in node and "anyOf" not in node:
        node["anyOf"] = node.pop("oneOf")
    match node.get("anyOf"):
        case [dict() as only] if not only.keys() & node.keys():
            node.update(only)
            del node["anyOf"]
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if isinstance(node.get("$ref"), str):
        node["$ref"] = re.sub(r"^#/(definitions|defs)/", "#/$defs/", str(node["$ref"]))
    kind = node.get("type")
    kind = PROTO_TYPES.get(kind, kind) if isinstance(kind, int) else kind
    kinds = [kind] if isinstance(kind, str) else kind if isinstance(kind, list) else []
    words = sorted({str(word).lower() for word in kinds} | ({"null"} if is_nullable and kinds else set()))
    if words:
        node["type"] = words if len(words) > 1 else words[0]
    if words == ["integer"]:
        _include_bounds(node)
    required = node.get("required")
    if isinstance(required, list):
        node["required"] = sorted(str(name) for name in required)
        if not required:
            del node["required"]
    elif required is not None:
        del node["required"]
    if node.get("additionalProperties") in (True, {}):
        del node["additionalProperties"]
    if node.get("type") == "object" and not node.get("properties"):
        node["properties"] = {}
    return node


def _include_bounds(node: JsonObject) -> None:
    """Of whole numbers an exclusive bound is an inclusive one, too."""
    for key, exclusive, step in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        bound = node.get(exclusive)
        if isinstance(bound, int) and not isinstance(bound, bool):
            node[key] = bound + step
            del node[exclusive]
