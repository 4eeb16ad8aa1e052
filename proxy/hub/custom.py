r"""Custom tools (OpenAI's, whose input is free text) in wires whose tools take JSON objects only.

There the tool is declared with `SCHEMA`, and its text travels as ``{"input": "…"}``. Every wire uses the same field,
so that the wire of a client that does know custom tools can take the text out again.
"""

from __future__ import annotations

import re

import msgspec

from proxy.hub.residue import JsonObject, JsonValue

FIELD = "input"
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {FIELD: {"type": "string"}},
    "required": [FIELD],
    "additionalProperties": False,
}

_OPENING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_OPENING_CHARS_MAX = 64
"""More white space than any model writes before the text begins."""


def wrapped(text: str) -> JsonObject:
    return {FIELD: text}


def unwrapped(arguments: str) -> str:
    """The free text, as far as it goes; the arguments as they are when the model did not keep to the schema."""
    try:
        value: JsonValue = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return Unwrapper().feed(arguments) or arguments
    text = value.get(FIELD) if isinstance(value, dict) and len(value) == 1 else None
    return text if isinstance(text, str) else arguments


class Unwrapper:
    r"""`unwrapped` for arguments that come in fragments, cut anywhere (also inside ``\u00e9`` or a surrogate pair).

    What it fed may differ from `unwrapped` of the whole only where the model broke the schema after it had begun well.
    """

    __slots__ = ("_is_open", "_is_plain", "_rest")

    def __init__(self) -> None:
        self._rest = ""
        self._is_open = False
        self._is_plain = False

    def feed(self, fragment: str) -> str:
        """The text that is certain by now."""
        if self._is_plain:
            return fragment
        self._rest += fragment
        if not self._is_open:
            opening = _OPENING.match(self._rest)
            if opening is None:
                return self._give_up() if self._cannot_open() else ""
            self._is_open, self._rest = True, self._rest[opening.end() :]
        return self._take()

    def _cannot_open(self) -> bool:
        bare = re.sub(r"\s", "", self._rest)
        return len(self._rest) > _OPENING_CHARS_MAX or not f'{{"{FIELD}":"'.startswith(bare)

    def _give_up(self) -> str:
        self._is_plain, text = True, self._rest
        self._rest = ""
        return text

    def _take(self) -> str:
        """Decodes up to the closing quote, or to the last character that is whole."""
        end = safe = 0
        text = self._rest
        while end < len(text) and text[end] != '"':
            step = 1
            if text[end] == "\\":
                step = 6 if text[end + 1 : end + 2] == "u" else 2
                if step == 6 and text[end + 2 : end + 4].lower() in {"d8", "d9", "da", "db"}:
                    step = 12
            end += step
            if end <= len(text):
                safe = end
        if not safe:
            return ""
        piece, self._rest = text[:safe], text[safe:]
        try:
            decoded: str = msgspec.json.decode(f'"{piece}"', type=str)
        except ValueError:
            return piece
        return decoded
