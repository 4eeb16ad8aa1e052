"""The search for all secrets in all that was let out, in every spelling that is likely."""

from __future__ import annotations

import base64
import html
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import msgspec

from tests.canaries.collector import Note

CHARACTERS_MIN = 12
KINDS_MIN = 6
"""Of characters: what has fewer is no secret that anybody would notice."""
_WINDOW = 8
_OPEN = 0o077
_OWN_WORDS = re.compile(rb"there is no (/|client key )")
"""How errors begin that tell whoever asked what he asked for himself; the log has them without secrets."""
_STATE = re.compile(rb"(?<=[?&]state=)[\w.~-]+")
"""Whoever logs in is told where to go: that address holds what the way back is known by, once."""
_FUZZERS = ("test_openapi", "test_garbage", "test_rehearsal", "test_scrub")
"""What these hold are words that they put everywhere."""
_read = msgspec.json.Decoder(Note).decode


def spellings(secret: str) -> dict[str, bytes]:
    """As logs and answers may have it."""
    raw = secret.encode("utf-8", "surrogatepass")
    encoded = {
        f"base64 from {shift}": base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)
    }
    return {
        "plain": raw,
        "percent": quote(raw, safe="").encode(),
        "percent, with its slashes": quote(raw).encode(),
        "every byte as percent": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "hex": raw.hex().encode(),
        "json": msgspec.json.encode(raw.decode("utf-8", "replace"))[1:-1],
        "escaped": "".join(f"\\u{ord(each):04x}" for each in secret).encode(),
        "html": html.escape(secret).encode("utf-8", "surrogatepass"),
        "backwards": raw[::-1],
        **{name: text[2:-2] for name, text in encoded.items()},
        "base64url": base64.urlsafe_b64encode(raw)[:-4],
    }


@dataclass
class Notes:
    """`secrets`: each with the test that held it. `told`: what was let out, each once, with its kind and test."""

    secrets: dict[str, str] = field(default_factory=dict)
    told: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, folder: Path) -> Notes:
        notes = cls()
        for path in sorted(folder.glob("notes-*")):
            for line in path.read_bytes().split(b"\n"):
                with suppress(msgspec.DecodeError):  # of a process that was killed while it wrote
                    notes.take(_read(line))
        return notes

    def take(self, note: Note) -> None:
        if note.kind == "secret":
            text = note.text.decode("utf-8", "replace")
            is_word = any(each in note.test for each in _FUZZERS)
            if len(text) >= CHARACTERS_MIN and len(set(text)) >= KINDS_MIN and not is_word:
                self.secrets.setdefault(text, note.test)
        elif note.kind == "file":
            self.files.add(note.text.decode("utf-8", "replace"))
        elif not _OWN_WORDS.match(note.text):
            text = _STATE.sub(b"", note.text) if note.kind == "printed" else note.text
            self.told.setdefault(text, (note.kind, note.test))


@dataclass(frozen=True, order=True)
class Found:
    where: str
    held_in: str
    spelling: str
    excerpt: str

    def __str__(self) -> str:
        return f"{self.where}: of {self.held_in or 'the session'}, {self.spelling}: {self.excerpt}"


def searched(notes: Notes) -> list[Found]:
    """Each secret once for each place where it stands."""
    needles = _Needles(notes.secrets)
    texts = ((f"{kind} in {test or 'the session'}", raw) for raw, (kind, test) in notes.told.items())
    found: dict[tuple[str, str], Found] = {}
    for where, raw in (*texts, *_open_files(notes.files)):
        for secret, each in needles.found(where, raw):
            found.setdefault((where, secret), each)
    return sorted(found.values())


def _open_files(files: set[str]) -> Iterator[tuple[str, bytes]]:
    """Those that our own code has written, and others may read."""
    for path in map(Path, sorted(files)):
        if path.suffix != ".pyc" and path.is_file() and path.stat().st_mode & _OPEN:
            yield f"file {path}", path.read_bytes()


class _Needles:
    """By their first bytes, so that a text is looked through once for all of them."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self._by_window: dict[bytes, list[tuple[bytes, str, str, str]]] = defaultdict(list)
        for secret, test in secrets.items():
            for name, raw in spellings(secret).items():
                if len(raw) >= CHARACTERS_MIN:
                    self._by_window[raw[:_WINDOW]].append((raw, name, secret, test))

    def found(self, where: str, text: bytes) -> Iterator[tuple[str, Found]]:
        """Secret and place."""
        for start in range(len(text) - _WINDOW + 1):
            for raw, name, secret, test in self._by_window.get(text[start : start + _WINDOW], ()):
                if text.startswith(raw, start):
                    excerpt = text[max(0, start - 80) : start + len(raw) + 20]
                    yield secret, Found(where, test, name, excerpt.decode("utf-8", "replace"))
