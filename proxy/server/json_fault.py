"""Where a JSON text breaks: the path, the byte and what is wrong. Slow, and only asked when something is wrong."""

from __future__ import annotations

import re
from typing import NamedTuple

DEPTH_MAX = 200
TOKENS_MAX = 200_000
"""Less than a second of scanning; a fault further on is reported without its path."""
TWINLESS = frozenset({"model", "stream"})
"""Keys that may not stand twice at the top."""


class Fault(NamedTuple):
    """`path`: ``messages[2].content``; empty: the text as a whole. `offset` in bytes."""

    path: str
    offset: int
    what: str


class _Found(Exception):
    def __init__(self, what: str, offset: int | None = None) -> None:
        self.what = what
        self.offset = offset


_SPACE = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(
    rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9.eE+\-A-Za-z])|(?:true|false|null)\b"
)
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_ESCAPE = re.compile(rb'\\(?:["\\/bfnrt]|u([0-9a-fA-F]{4}))')
_WORD = re.compile(rb"[-+]?[A-Za-z0-9_.+-]+")
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$-]*\Z")
_STRANGERS = {
    b"NaN": "NaN is no JSON number",
    b"Infinity": "Infinity is no JSON number",
    b"-Infinity": "-Infinity is no JSON number",
    b"undefined": "undefined is no JSON value; leave the key out or write null",
    b"None": "None is Python; JSON writes null",
    b"True": "True is Python; JSON writes true",
    b"False": "False is Python; JSON writes false",
}


def find_fault(text: bytes) -> Fault | None:
    """The first fault; None when there is none within `TOKENS_MAX`."""
    scan = _Scan(text)
    try:
        scan.run()
    except _Found as found:
        return Fault(scan.path(), scan.at if found.offset is None else found.offset, found.what)
    return None


class _Scan:
    """`keys`: the way down to where we are; an object's open key, an array's index, or None before the first."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.at = 0
        self.keys: list[str | int | None] = []
        self._seen: set[str] = set()

    def path(self) -> str:
        path = ""
        for key in self.keys:
            if isinstance(key, int):
                path += f"[{key}]"
            elif key is not None and _IDENTIFIER.match(key):
                path += f".{key}" if path else key
            elif key is not None:
                path += f"[{key[:100]!r}]"
        return path

    def run(self) -> None:
        self._skip_space()
        if self.at == len(self.text):
            raise _Found("it is empty")
        if self.text[self.at : self.at + 1] != b"{":
            raise _Found(f"it must be an object, and begins with {self._here()}")
        for _ in range(TOKENS_MAX):
            self._value()
            if not self.keys:
                break
        else:
            return
        self._skip_space()
        if self.at < len(self.text):
            raise _Found(f"{self._here()} follows its end")

    def _value(self) -> None:
        """One scalar, or the opening of a container; then whatever closes, up to the place of the next value."""
        self._skip_space()
        byte = self.text[self.at : self.at + 1]
        if byte == b"{":
            self._open(None)
            self._key(is_first=True)
        elif byte == b"[":
            self._open(0)
            self._skip_space()
            if self._took(b"]"):
                self.keys.pop()
                self._after()
        else:
            self._string() if byte == b'"' else self._scalar()
            self._after()

    def _open(self, key: int | None) -> None:
        self.at += 1
        if len(self.keys) >= DEPTH_MAX:
            raise _Found(f"it is nested deeper than {DEPTH_MAX} levels")
        self.keys.append(key)

    def _after(self) -> None:
        """A value has ended: close what closes; stop before the next value."""
        while self.keys:
            self._skip_space()
            key = self.keys[-1]
            if isinstance(key, int):
                if self._took(b","):
                    self.keys[-1] = key + 1
                    self._refuse_trailing_comma(b"]")
                    return
                self._need(b"]", "an array goes on with , or ends with ]")
            elif self._took(b","):
                self.keys[-1] = None
                self._key(is_first=False)
                return
            else:
                self._need(b"}", "an object goes on with , or ends with }")
            self.keys.pop()

    def _key(self, *, is_first: bool) -> None:
        """Up to the key's value; of an empty object past its end."""
        self._skip_space()
        if is_first and self._took(b"}"):
            self.keys.pop()
            self._after()
            return
        if not is_first:
            self._refuse_trailing_comma(b"}")
        if self.text[self.at : self.at + 1] != b'"':
            raise _Found(f'a key in "quotes" is needed, not {self._here()}')
        start = self.at
        key = self._string()
        self.keys[-1] = key
        if len(self.keys) == 1 and key in TWINLESS:
            if key in self._seen:
                raise _Found(f"{key} stands twice", start)
            self._seen.add(key)
        self._skip_space()
        self._need(b":", "a key is followed by :")

    def _refuse_trailing_comma(self, closing: bytes) -> None:
        self._skip_space()
        if self.text[self.at : self.at + 1] == closing:
            raise _Found(f"a comma before {closing.decode()}")

    def _scalar(self) -> None:
        match = _SCALAR.match(self.text, self.at)
        if match is None:
            word = _WORD.match(self.text, self.at)
            raise _Found(_STRANGERS.get(word[0] if word else b"", f"a value is needed, not {self._here()}"))
        self.at = match.end()

    def _string(self) -> str:
        """The text, for keys. Checks escapes, surrogate pairs and UTF-8."""
        start = self.at
        self.at += 1
        parts: list[str] = []
        while True:
            plain = _PLAIN.match(self.text, self.at)
            assert plain is not None
            try:
                parts.append(plain[0].decode())
            except UnicodeDecodeError as error:
                raise _Found("a string is not valid UTF-8", self.at + error.start) from None
            self.at = plain.end()
            if self._took(b'"'):
                return "".join(parts)
            parts.append(self._escape(start))

    def _escape(self, start: int) -> str:
        byte = self.text[self.at : self.at + 1]
        if not byte:
            raise _Found(f"it ends inside a string that begins at byte {start}")
        if byte != b"\\":
            raise _Found(f"a string holds the control character \\x{byte[0]:02x}; write it as \\u{byte[0]:04x}")
        match = _ESCAPE.match(self.text, self.at)
        if match is None:
            raise _Found("a string holds an escape that JSON does not have")
        if match[1] is None:
            self.at = match.end()
            return match[0][1:].decode()
        return self._unicode_escape(int(match[1], 16), match.end())

    def _unicode_escape(self, unit: int, end: int) -> str:
        if 0xDC00 <= unit <= 0xDFFF:
            raise _Found("a string holds the second half of a surrogate pair alone")
        if 0xD800 <= unit <= 0xDBFF:
            second = _ESCAPE.match(self.text, end)
            low = int(second[1], 16) if second is not None and second[1] else 0
            if second is None or not 0xDC00 <= low <= 0xDFFF:
                raise _Found("a string holds the first half of a surrogate pair alone")
            unit, end = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00), second.end()
        self.at = end
        return chr(unit)

    def _skip_space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _took(self, byte: bytes) -> bool:
        if self.text[self.at : self.at + 1] == byte:
            self.at += 1
            return True
        return False

    def _need(self, byte: bytes, what: str) -> None:
        if not self._took(byte):
            raise _Found(f"it ends too early: {what}" if self.at >= len(self.text) else f"{what}, not {self._here()}")

    def _here(self) -> str:
        """What stands here, shortly."""
        if self.at >= len(self.text):
            return "the end"
        word = _WORD.match(self.text, self.at)
        seen = word[0][:20] if word else self.text[self.at : self.at + 1]
        return repr(seen.decode("latin-1"))
