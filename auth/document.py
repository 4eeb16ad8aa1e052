"""A JSON object whose unknown members survive byte for byte: each top-level value keeps the text that it came as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from auth.refusal import Refused

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
DEPTH_MAX = 32
_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """`parts`: key → JSON text. `fields`: the same, decoded."""

    parts: Mapping[str, bytes]
    fields: Mapping[str, JsonValue]

    @classmethod
    def parse(cls, raw: bytes) -> Document:
        """Raises `Refused` with the end of a sentence that begins with the file's name."""
        if not raw.strip():
            raise Refused("is empty: a write may be under way, or was cut off")
        try:
            fields = msgspec.json.decode(raw)
            if not isinstance(fields, dict):
                raise Refused("holds no JSON object")
            if _depth(fields) > DEPTH_MAX:
                raise Refused(f"is nested deeper than {DEPTH_MAX} levels")
            parts = {key: bytes(part) for key, part in _KEYS.decode(raw).items()}
        except RecursionError as error:
            raise Refused(f"is nested deeper than {DEPTH_MAX} levels") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(f"is no JSON, or not all of it: {error}") from error
        return cls(parts, fields)

    @classmethod
    def of(cls, fields: Mapping[str, JsonValue]) -> Document:
        return cls({key: msgspec.json.encode(value) for key, value in fields.items()}, dict(fields))

    def __repr__(self) -> str:
        """Without values: some are secret."""
        return f"Document({', '.join(self.parts)})"

    def is_any(self, is_such: Callable[[JsonValue], bool]) -> bool:
        """Of its values, as they stand in the file."""
        return any(is_such(msgspec.json.decode(part)) for part in self.parts.values())

    def changed(self, edits: Mapping[str, JsonValue]) -> Document:
        """With these members put or, where None, taken out. A key keeps the spelling (``-`` or ``_``) it has here."""
        parts, fields = dict(self.parts), dict(self.fields)
        for wanted, value in edits.items():
            key = next((each for each in parts if canonical(each) == canonical(wanted)), wanted)
            if value is None:
                parts.pop(key, None)
                fields.pop(key, None)
            else:
                parts[key], fields[key] = msgspec.json.encode(value), value
        return Document(parts, fields)

    def render(self) -> bytes:
        """One member a line, in the order in which they came."""
        members = (b"  " + msgspec.json.encode(key) + b": " + part for key, part in self.parts.items())
        return b"{\n" + b",\n".join(members) + b"\n}\n"


def canonical(key: str) -> str:
    """The well-known system writes ``proxy_url``; the config writes ``proxy-url``."""
    return key.replace("_", "-")


def _depth(value: JsonValue) -> int:
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth
