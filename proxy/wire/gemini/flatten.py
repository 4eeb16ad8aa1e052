"""JSON Schema without `$ref` and `allOf`: what a node says, in one object.

References are inlined, and cut where they come back to themselves; `allOf` is merged, the stricter word winning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from proxy.hub.loss import Loss
from proxy.hub.residue import JsonObject, JsonValue

DEPTH_MAX = 40
"""Levels of one schema. Deeper ones are cut."""
NODES_MAX = 4000
"""Nodes of one schema after inlining: references to references can double at each level."""
VARIANTS_MAX = 24
"""Alternatives of one node after merging `anyOf` with `anyOf`."""

ANNOTATIONS = frozenset({
    "title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "format",
    "contentEncoding", "contentMediaType", "contentSchema", "propertyOrdering",
})  # fmt: skip
"""Keywords that tell and do not bind: the first one stands, and dropping one changes nothing of what is accepted."""

_ALL_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})


class Node(NamedTuple):
    """`body`: no `$ref`, no `allOf`. `seen`: the references on the way to it. None as body: nothing is accepted."""

    body: JsonObject | None
    seen: frozenset[str]


def types_of(body: Mapping[str, JsonValue]) -> frozenset[str] | None:
    """The JSON types that `type` names, in lower case; None when it names none that exist."""
    named = body.get("type")
    words = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    types = frozenset(word.lower() for word in words if isinstance(word, str)) & _ALL_TYPES
    return types or None


class Flattener:
    """For one schema, whose root local references point into."""

    def __init__(self, root: JsonValue, losses: list[Loss]) -> None:
        self._root = root
        self._losses = losses
        self._nodes = 0
        self._is_cut = False

    def lose(self, path: str, what: str, why: str) -> None:
        self._losses.append(Loss(path, what, why))

    def flat(self, value: JsonValue, path: str, seen: frozenset[str] = frozenset(), depth: int = 0) -> Node:
        self._nodes += 1
        if depth > DEPTH_MAX or self._nodes > NODES_MAX:
            if not self._is_cut:
                self.lose(path, "schema", f"it is deeper than {DEPTH_MAX} levels or larger than {NODES_MAX} nodes")
            self._is_cut = True
            return Node({}, seen)
        if value is False:
            return Node(None, seen)
        if not isinstance(value, dict):
            return Node({}, seen)
        body: JsonObject = {key: item for key, item in value.items() if key not in {"$ref", "allOf", "const"}}
        if "const" in value:
            body = merged(body, {"enum": [value["const"]]}, self._conflict(path)) or body
        ref = value.get("$ref")
        if isinstance(ref, str):
            target = self._target(ref, path, seen, depth)
            seen = target.seen
            if target.body is None:
                return target
            body = self._both(body, target.body, path) or body
        parts = value.get("allOf")
        for index, part in enumerate(parts if isinstance(parts, list) else []):
            node = self.flat(part, f"{path}.allOf[{index}]", seen, depth + 1)
            seen |= node.seen
            if node.body is None:
                return Node(None, seen)
            body = self._both(body, node.body, path) or body
        return Node(body, seen)

    def _both(self, first: JsonObject, second: JsonObject, path: str) -> JsonObject | None:
        return merged(first, second, self._conflict(path))

    def _conflict(self, path: str) -> Callable[[str], None]:
        return lambda key: self.lose(f"{path}.{key}", key, "two parts of the schema contradict each other")

    def _target(self, ref: str, path: str, seen: frozenset[str], depth: int) -> Node:
        found = pointed(self._root, ref)
        if found is None:
            self.lose(f"{path}.$ref", ref, "it points to nothing in this schema")
            return Node({}, seen)
        if ref not in seen:
            return self.flat(found, path, seen | {ref}, depth + 1)
        self.lose(f"{path}.$ref", ref, "gemini's schema subset has no recursion")
        body = found if isinstance(found, dict) else {}
        return Node({key: body[key] for key in ("type", "description") if key in body} or {"type": "object"}, seen)


def pointed(root: JsonValue, ref: str) -> JsonValue:
    """What a local reference (``#/$defs/Dog``) points to; None for nothing, or for another document."""
    if not ref.startswith("#"):
        return None
    value = root
    for token in ref[1:].split("/")[1:]:
        key = unquote(token).replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value if ref in {"#", "#/"} or "/" in ref else None


def merged(first: JsonObject, second: JsonObject, conflict: Callable[[str], None]) -> JsonObject:
    """One object that says what both say. `conflict` is told of a keyword whose second word could not be kept."""
    body = dict(first)
    for key, theirs in second.items():
        if key not in body:
            body[key] = theirs
        elif key not in ANNOTATIONS and body[key] != theirs:
            ours = body[key]
            joined = _JOIN.get(key, _cannot)(ours, theirs)
            if joined is None:
                conflict(key)
            else:
                body[key] = joined
    return body


def _cannot(_ours: JsonValue, _theirs: JsonValue) -> JsonValue:
    return None


def _types(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    left, right = types_of({"type": ours}) or _ALL_TYPES, types_of({"type": theirs}) or _ALL_TYPES
    both = left & right
    if "integer" in left ^ right and "number" in left | right:
        both |= {"integer"}
    return [*sorted(both)] or None


def _enum(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return None
    return [value for value in ours if any(same(value, other) for other in theirs)] or None


def same(left: JsonValue, right: JsonValue) -> bool:
    """Equal as JSON: true is not 1."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _required(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    names = [*(ours if isinstance(ours, list) else []), *(theirs if isinstance(theirs, list) else [])]
    return [name for index, name in enumerate(names) if name not in names[:index]]


def _properties(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return ours if isinstance(ours, dict) else theirs
    body = dict(ours)
    for name, schema in theirs.items():
        body[name] = _schemas(body[name], schema) if name in body else schema
    return body


def _schemas(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    return {"allOf": [ours, theirs]}


def _variants(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    if not isinstance(ours, list) or not isinstance(theirs, list) or len(ours) * len(theirs) > VARIANTS_MAX:
        return None
    return [_schemas(left, right) for left in ours for right in theirs]


def _greater(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    return max(ours, theirs) if isinstance(ours, int | float) and isinstance(theirs, int | float) else None


def _smaller(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    return min(ours, theirs) if isinstance(ours, int | float) and isinstance(theirs, int | float) else None


def _either(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    return bool(ours) or bool(theirs)


def _neither_false(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    return bool(ours) and bool(theirs)


def _definitions(ours: JsonValue, theirs: JsonValue) -> JsonValue:
    return {**theirs, **ours} if isinstance(ours, dict) and isinstance(theirs, dict) else ours


_JOIN: Mapping[str, Callable[[JsonValue, JsonValue], JsonValue]] = {
    "type": _types,
    "enum": _enum,
    "required": _required,
    "properties": _properties,
    "items": _schemas,
    "additionalProperties": _schemas,
    "anyOf": _variants,
    "oneOf": _variants,
    "minimum": _greater,
    "exclusiveMinimum": _greater,
    "minLength": _greater,
    "minItems": _greater,
    "minProperties": _greater,
    "maximum": _smaller,
    "exclusiveMaximum": _smaller,
    "maxLength": _smaller,
    "maxItems": _smaller,
    "maxProperties": _smaller,
    "uniqueItems": _either,
    "nullable": _neither_false,
    "$defs": _definitions,
    "definitions": _definitions,
}
"""How two words for one keyword become one."""
