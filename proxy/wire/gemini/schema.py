"""JSON Schema → the subset of OpenAPI 3.0 that Gemini's `parameters` and `responseSchema` take.

Every node of the result has a `type`, or an `anyOf` and nothing beside it (Vertex refuses more); arrays have `items`;
`enum` stands on strings only; `required` names properties. What a client's schema accepts stays what it was, or there
is a `Loss`: keywords that only tell (`title`, `$comment`) go silently, and so does ``additionalProperties: false``,
because Gemini writes declared properties only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import floor

from proxy.hub.loss import Loss
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import dumps
from proxy.wire.gemini.flatten import ANNOTATIONS, VARIANTS_MAX, Flattener, types_of

_FORMATS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"enum", "date-time"}),
    "number": frozenset({"float", "double"}),
    "integer": frozenset({"int32", "int64"}),
}
"""Formats that every Gemini endpoint takes; of others the description tells."""

_LIMITS: Mapping[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
"""Whole numbers, by the type that they bind."""

_UNSAYABLE: Mapping[str, tuple[str, ...]] = {
    "string": (),
    "number": ("multipleOf",),
    "integer": ("multipleOf",),
    "boolean": (),
    "array": ("uniqueItems", "contains", "unevaluatedItems"),
    "object": ("patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies"),
}
"""Keywords that bind a type and that the subset has no word for."""
_UNSAYABLE_ANYWHERE = ("not", "if")

_NULL: JsonObject = {"type": "NULL"}


def clean(schema: JsonValue, path: str) -> tuple[JsonObject, list[Loss]]:
    """`path`: where the schema stands, for the losses."""
    losses: list[Loss] = []
    cleaned = _Cleaner(schema, losses).node(schema, path)
    if cleaned is None:
        losses.append(Loss(path, "schema", "it accepts nothing, which gemini's subset cannot say"))
    return cleaned or _anything(None), losses


def clean_parameters(schema: JsonValue, path: str) -> tuple[JsonObject, list[Loss]]:
    """The same for a function's parameters, which must be an object."""
    cleaned, losses = clean(schema, path)
    if cleaned.get("type") == "OBJECT":
        return cleaned, losses
    branches = [branch for branch in _branches(cleaned) if branch.get("type") == "OBJECT"]
    properties: JsonObject = {}
    for branch in branches:
        declared = branch.get("properties")
        for name, schema_of in declared.items() if isinstance(declared, dict) else ():
            properties[name] = _either(properties[name], schema_of) if name in properties else schema_of
    if branches or schema not in ({}, None, True):
        losses.append(Loss(path, "alternatives", "gemini takes one object as a function's parameters"))
    body: JsonObject = {"type": "OBJECT"}
    if properties:
        body["properties"] = properties
        common = [name for name in properties if all(name in _list(branch.get("required")) for branch in branches)]
        if common:
            body["required"] = list(common)
    return body, losses


class _Cleaner:
    """Walks one schema. `node` gives None where nothing at all is accepted."""

    def __init__(self, root: JsonValue, losses: list[Loss]) -> None:
        self._flattener = Flattener(root, losses)
        self._lose = self._flattener.lose

    def node(
        self, value: JsonValue, path: str, seen: frozenset[str] = frozenset(), depth: int = 0
    ) -> JsonObject | None:
        body, seen = self._flattener.flat(value, path, seen, depth)
        if body is None:
            return None
        for key in _UNSAYABLE_ANYWHERE:
            if key in body:
                self._lose(f"{path}.{key}", key, "gemini's schema subset has no word for it")
        if isinstance(body.get("anyOf"), list) or isinstance(body.get("oneOf"), list):
            return self._alternatives(body, path, seen, depth)
        types = self._types(body)
        is_nullable = body.get("nullable") is True or ("null" in types and None in _list(body.get("enum"), [None]))
        solid = sorted(types - {"null"} - ({"integer"} if "number" in types else set()))
        if len(solid) > 1:
            several: list[JsonValue] = [{**body, "type": name, "nullable": False} for name in solid]
            nodes = [self.node(each, path, seen, depth + 1) for each in several]
            return _any_of([node for node in nodes if node is not None], is_nullable=is_nullable)
        if not solid:
            return self._untyped(body, path) if "null" not in types else dict(_NULL) if is_nullable else None
        cleaned = self._typed(solid[0], body, path, seen, depth)
        return {**cleaned, "nullable": True} if is_nullable else cleaned

    def _types(self, body: JsonObject) -> frozenset[str]:
        """As told, or as the other keywords show."""
        types = types_of(body)
        if types is not None:
            return types
        if isinstance(body.get("properties"), dict) or "additionalProperties" in body:
            return frozenset({"object"})
        if "items" in body or "prefixItems" in body:
            return frozenset({"array"})
        values = body.get("enum")
        return frozenset(_type_of(value) for value in values) if isinstance(values, list) else frozenset()

    def _untyped(self, body: JsonObject, path: str) -> JsonObject:
        self._lose(path, "any type", "gemini wants types: arrays are told as arrays of strings")
        return _anything(body.get("description"))

    def _alternatives(self, body: JsonObject, path: str, seen: frozenset[str], depth: int) -> JsonObject | None:
        """`oneOf` is read as `anyOf`. What stands beside them holds for each branch."""
        apart = {"anyOf", "oneOf", "nullable", "definitions", *ANNOTATIONS}
        beside = {key: item for key, item in body.items() if key not in apart and not key.startswith("$")}
        branches: list[JsonValue] = [beside]
        for key in ("anyOf", "oneOf"):
            choices = body.get(key)
            if isinstance(choices, list) and len(branches) * len(choices) <= VARIANTS_MAX * VARIANTS_MAX:
                branches = [
                    {"allOf": [choice, base]} if base else choice for base in branches for choice in choices
                ]  # fmt: skip
        nodes = [self.node(branch, f"{path}.anyOf[{at}]", seen, depth + 1) for at, branch in enumerate(branches)]
        cleaned = _any_of([node for node in nodes if node is not None], is_nullable=body.get("nullable") is True)
        description = body.get("description")
        if cleaned is None or not isinstance(description, str):
            return cleaned
        for branch in _branches(cleaned):
            branch.setdefault("description", description)
        return cleaned

    def _typed(self, name: str, body: JsonObject, path: str, seen: frozenset[str], depth: int) -> JsonObject:
        cleaned: JsonObject = {"type": name.upper()}
        _describe(name, body, cleaned)
        for key in _UNSAYABLE[name]:
            if body.get(key) not in (None, False):
                self._lose(f"{path}.{key}", key, "gemini's schema subset has no word for it")
        for key in _LIMITS.get(name, ()):
            limit = body.get(key)
            if isinstance(limit, int | float) and not isinstance(limit, bool):
                cleaned[key] = int(limit)
        match name:
            case "string":
                self._string(body, cleaned, path)
            case "number" | "integer":
                self._bounds(body, cleaned, path, is_whole=name == "integer")
            case "array":
                self._items(body, cleaned, path, seen, depth)
            case "object":
                self._properties(body, cleaned, path, seen, depth)
        if name != "string" and isinstance(body.get("enum"), list):
            self._values(body, cleaned, path)
        return cleaned

    def _string(self, body: JsonObject, cleaned: JsonObject, path: str) -> None:
        if isinstance(body.get("pattern"), str):
            cleaned["pattern"] = body["pattern"]
        values = body.get("enum")
        if not isinstance(values, list):
            return
        words: list[JsonValue] = [value for value in values if isinstance(value, str)]
        if "" in words:
            self._lose(f"{path}.enum", "the empty string", "gemini refuses it as one of the values")
            words = [word for word in words if word]
        if words:
            cleaned["enum"] = words
        elif "" not in values:
            self._lose(f"{path}.enum", "enum", "it allows no string")

    def _values(self, body: JsonObject, cleaned: JsonObject, path: str) -> None:
        values = _list(body.get("enum"))
        if cleaned["type"] == "BOOLEAN" and True in values and False in values:
            return
        self._lose(f"{path}.enum", "enum", "gemini has it for strings only; the description tells the values")
        _hint(cleaned, "One of: " + ", ".join(str(dumps(value), "utf-8") for value in values))

    def _bounds(self, body: JsonObject, cleaned: JsonObject, path: str, *, is_whole: bool) -> None:
        for key, exclusive, sign in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
            bound, beyond = _number(body.get(key)), _number(body.get(exclusive))
            if body.get(exclusive) is True:  # JSON Schema draft 4
                bound, beyond = None, bound
            if beyond is not None:
                if is_whole:
                    beyond = sign * (floor(sign * beyond) + 1)
                else:
                    self._lose(f"{path}.{exclusive}", exclusive, "gemini's bounds are inclusive")
                bound = beyond if bound is None else sign * max(sign * bound, sign * beyond)
            if bound is not None:
                cleaned[key] = bound

    def _items(self, body: JsonObject, cleaned: JsonObject, path: str, seen: frozenset[str], depth: int) -> None:
        listed = body.get("prefixItems", body.get("items"))
        if isinstance(listed, list):
            rest = body.get("items") if "prefixItems" in body else body.get("additionalItems")
            self._lose(f"{path}.prefixItems", "a type for each place", "gemini knows one type for all items")
            if rest is False:
                cleaned.setdefault("maxItems", len(listed))
            choices: list[JsonValue] = [*listed, *([rest] if isinstance(rest, dict) else [])]
            item = self.node({"anyOf": choices}, f"{path}.items", seen, depth + 1)
        else:
            item = self.node(body.get("items", {}), f"{path}.items", seen, depth + 1)
        if item is None:
            cleaned["maxItems"] = 0
        cleaned["items"] = item or {"type": "STRING"}

    def _properties(self, body: JsonObject, cleaned: JsonObject, path: str, seen: frozenset[str], depth: int) -> None:
        extra = body.get("additionalProperties")
        if isinstance(extra, dict) and extra:
            self._lose(f"{path}.additionalProperties", "additionalProperties", "gemini writes declared properties only")
        declared = body.get("properties")
        properties: JsonObject = {}
        for name, schema in declared.items() if isinstance(declared, dict) else ():
            node = self.node(schema, f"{path}.properties.{name}", seen, depth + 1)
            if node is not None:
                properties[name] = node
        required = [name for name in _list(body.get("required")) if isinstance(name, str)]
        for name in required:
            if name not in properties:
                self._lose(f"{path}.required", name, "gemini requires declared properties only")
        if isinstance(declared, dict):
            cleaned["properties"] = properties
        kept: list[JsonValue] = [name for name in dict.fromkeys(required) if name in properties]
        if kept:
            cleaned["required"] = kept
        listed = [name for name in _list(body.get("propertyOrdering")) if isinstance(name, str)]
        order: list[JsonValue] = [name for name in listed if name in properties]
        if order and len(order) == len(properties):
            cleaned["propertyOrdering"] = order


def _describe(name: str, body: JsonObject, cleaned: JsonObject) -> None:
    for key in ("title", "description"):
        if isinstance(body.get(key), str):
            cleaned[key] = body[key]
    form = body.get("format")
    if isinstance(form, str) and form:
        if form in _FORMATS.get(name, ()):
            cleaned["format"] = form
        else:
            _hint(cleaned, f"Format: {form}")


def _hint(cleaned: JsonObject, text: str) -> None:
    told = cleaned.get("description")
    cleaned["description"] = f"{told}\n{text}" if told else text


def _any_of(nodes: list[JsonObject], *, is_nullable: bool) -> JsonObject | None:
    """One node for several: doubles and nulls taken out, nested alternatives lifted."""
    branches: list[JsonObject] = []
    for branch in (branch for node in nodes for branch in _branches(node)):
        if branch == _NULL:
            is_nullable = True
        elif branch not in branches:
            branches.append(branch)
    if not branches:
        return dict(_NULL) if is_nullable else None
    if is_nullable:
        branches = [{**branch, "nullable": True} for branch in branches]
    return branches[0] if len(branches) == 1 else {"anyOf": [*branches]}


def _either(first: JsonValue, second: JsonValue) -> JsonValue:
    nodes = [node for node in (first, second) if isinstance(node, dict)]
    return _any_of(nodes, is_nullable=False)


def _branches(node: JsonObject) -> list[JsonObject]:
    choices = node.get("anyOf")
    return [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else [node]


def _anything(description: JsonValue) -> JsonObject:
    told: JsonObject = {"description": description} if isinstance(description, str) else {}
    plain: list[JsonValue] = [{"type": name, **told} for name in ("STRING", "NUMBER", "BOOLEAN", "OBJECT")]
    return {"anyOf": [*plain, {"type": "ARRAY", "items": {"type": "STRING"}, **told}]}


_JSON_TYPES: tuple[tuple[Callable[[JsonValue], bool], str], ...] = (
    (lambda value: value is None, "null"),
    (lambda value: isinstance(value, bool), "boolean"),
    (lambda value: isinstance(value, int) or (isinstance(value, float) and value.is_integer()), "integer"),
    (lambda value: isinstance(value, float), "number"),
    (lambda value: isinstance(value, str), "string"),
    (lambda value: isinstance(value, list), "array"),
)


def _type_of(value: JsonValue) -> str:
    return next((name for is_it, name in _JSON_TYPES if is_it(value)), "object")


def _list(value: JsonValue, default: list[JsonValue] | None = None) -> list[JsonValue]:
    return value if isinstance(value, list) else (default or [])


def _number(value: JsonValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
