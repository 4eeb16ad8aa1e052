"""Values that fit a JSON Schema, as a simulated model would fill them in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from proxy.hub.residue import JsonObject, JsonValue

DEPTH_MAX = 6

_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "date": "2026-01-01",
        "date-time": "2026-01-01T12:00:00Z",
        "time": "12:00:00Z",
        "email": "someone@example.com",
        "uri": "https://example.com/",
        "uuid": "00000000-0000-4000-8000-000000000000",
        "ipv4": "192.0.2.1",
    }
)


class Sampler:
    """`word` is what strings are filled with."""

    def __init__(self, root: JsonValue, word: str) -> None:
        self._root = root
        self._word = word

    def sample(self, schema: JsonValue, depth: int = DEPTH_MAX) -> JsonValue:
        if not isinstance(schema, dict) or depth <= 0:
            return None
        if "const" in schema:
            return schema["const"]
        for key, pick in (("enum", 0), ("examples", 0)):
            choices = schema.get(key)
            if isinstance(choices, list) and choices:
                return choices[pick]
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self.sample(self._referred(reference), depth - 1)
        for key in ("anyOf", "oneOf", "allOf"):
            options = schema.get(key)
            if isinstance(options, list) and options:
                return self.sample(options[0], depth - 1)
        return self._typed(schema, depth)

    def _typed(self, schema: JsonObject, depth: int) -> JsonValue:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "null")
        if kind is None:
            kind = "object" if "properties" in schema else "string"
        match str(kind).lower():
            case "object":
                return self._object(schema, depth)
            case "array":
                return [self.sample(schema.get("items", {"type": "string"}), depth - 1)]
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return True
            case "string":
                return _FORMATS.get(str(schema.get("format")), self._word)
            case _:
                return None

    def _object(self, schema: JsonObject, depth: int) -> JsonObject:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return {}
        required = schema.get("required")
        names = required if isinstance(required, list) and required else list(properties)
        return {str(name): self.sample(properties.get(str(name)), depth - 1) for name in names}

    def _referred(self, reference: str) -> JsonValue:
        value: JsonValue = self._root
        for step in reference.removeprefix("#/").split("/"):
            value = value.get(step) if isinstance(value, dict) else None
        return value
