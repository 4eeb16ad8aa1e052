"""The live redactor: no secret leaves in a log line, an error body or a recording.

Two nets: every registered `Secret` in all its `spellings`, and whatever has the `shapes` of a credential.

Nothing found is the usual case and costs microseconds, however many secrets are registered: the bytes are read as
64-bit words at every eighth position, and any text of 15 bytes or more that is looked for must show one of its first
eight windows of 8 bytes there. Shorter ones are few, and are searched for one by one.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from structlog.typing import EventDict, ProcessorReturnValue

from auth.secret import Secret
from proxy.observe.shapes import is_sensitive, shape_spans
from proxy.observe.spellings import spellings

MARK = "•••"
_MARK_BYTES = MARK.encode()
_WORD = 8
_INDEXED_BYTES_MIN = 2 * _WORD - 1
_BLOCK_BYTES = 64 * 1024
CLEAN_MAX = 4096
CLEAN_CHARACTERS_MAX = 256

Spans = list[tuple[int, int]]


class Scrubber:
    """Knows the secrets of the moment. `add` and `discard` come in pairs; the rest only reads, from any thread."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._counts: Counter[bytes] = Counter()
        self._windows: dict[int, tuple[bytes, ...]] = {}
        self._short: tuple[bytes, ...] = ()
        self._clean: set[str] = set()
        self._learnt: set[str] = set()
        """Digests."""
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        for needle in spellings(secret.reveal()):
            self._counts[needle] += 1
            if self._counts[needle] > 1:
                continue
            if len(needle) < _INDEXED_BYTES_MIN:
                self._short = (*self._short, needle)
            for window in _windows(needle):
                self._windows[window] = (*self._windows.get(window, ()), needle)
        self._clean = set()  # not emptied: whoever is looking just now may still add to the old one

    def learn(self, secrets: Iterable[Secret]) -> None:
        """For good: each once, however often it is told."""
        for secret in secrets:
            if secret and secret.digest not in self._learnt:
                self._learnt.add(secret.digest)
                self.add(secret)

    def discard(self, secret: Secret) -> None:
        """It may be shown again, unless it was added more than once."""
        for needle in spellings(secret.reveal()):
            if self._counts[needle] > 1:
                self._counts[needle] -= 1
                continue
            del self._counts[needle]
            self._short = tuple(other for other in self._short if other != needle)
            for window in _windows(needle):
                others = tuple(other for other in self._windows.get(window, ()) if other != needle)
                if others:
                    self._windows[window] = others
                else:
                    self._windows.pop(window, None)

    def text(self, text: str) -> str:
        """The same object when there is nothing to hide."""
        clean = self._clean
        if text in clean:
            return text
        data = text.encode("utf-8", "surrogatepass")
        spans = self._spans(data)
        if spans:
            return _redacted(data, spans).decode("utf-8", "surrogatepass")
        if len(text) <= CLEAN_CHARACTERS_MAX:
            _remember(clean, text)
        return text

    def vouch(self, text: str) -> str:
        """For what was made here by chance, as a request's id: it need not be looked at."""
        _remember(self._clean, text)
        return text

    def data(self, data: bytes) -> bytes:
        """The same object when there is nothing to hide."""
        spans = self._spans(data)
        return _redacted(data, spans) if spans else data

    def frames(self, frames: Sequence[bytes]) -> list[bytes]:
        """Pieces of one text: a secret may be cut anywhere. There are as many pieces afterwards."""
        data = b"".join(frames)
        spans = self._spans(data)
        if not spans:
            return list(frames)
        pieces: list[bytes] = []
        start = 0
        for frame in frames:
            pieces.append(_redacted(data, spans, start, start + len(frame)))
            start += len(frame)
        return pieces

    def value(self, value: object) -> object:
        """JSON, headers, a log event: all text in it, and whole values under the names of secrets."""
        match value:
            case str():
                return self.text(value)
            case bytes() | bytearray():
                return self.data(bytes(value))
            case Mapping():
                return self._mapping(value)
            case [str() as name, str() | bytes() as item] if _hides(name, item):
                return [name, MARK]
            case list():
                return [self.value(item) for item in value]
            case tuple():
                return tuple(self.value(item) for item in value)
            case Secret():
                return MARK
            case _:
                return value

    def process(self, _logger: object, _method: str, event: EventDict | str | bytes) -> ProcessorReturnValue:
        """A structlog processor. Best after the renderer: then a line is searched once, and nothing that the renderer
        makes into text goes by.
        """
        match event:
            case str():
                return self.text(event)
            case bytes():
                return self.data(event)
            case _:
                return self._mapping(event)

    def _mapping(self, value: Mapping[Any, object]) -> dict[Any, object]:
        return {
            self.text(key) if isinstance(key, str) else key: MARK if _hides(key, item) else self.value(item)
            for key, item in value.items()
        }

    def _spans(self, data: bytes) -> Spans:
        return _merged([*self._known(data), *shape_spans(data)])

    def _known(self, data: bytes) -> Iterator[tuple[int, int]]:
        for needle in self._needles(data):
            start = data.find(needle)
            while start >= 0:
                yield start, start + len(needle)
                start = data.find(needle, start + 1)

    def _needles(self, data: bytes) -> set[bytes]:
        """Those that are probably in the bytes, and all that are."""
        found = {needle for needle in self._short if needle in data}
        if not self._windows:
            return found
        view = memoryview(data)[: len(data) // _WORD * _WORD]
        for start in range(0, len(view), _BLOCK_BYTES):
            words = view[start : start + _BLOCK_BYTES].cast("Q").tolist()
            if not self._windows.keys().isdisjoint(words):
                found.update(needle for word in words for needle in self._windows.get(word, ()))
        return found


def _remember(clean: set[str], text: str) -> None:
    if len(clean) >= CLEAN_MAX:
        clean.clear()
    clean.add(text)


def _windows(needle: bytes) -> list[int]:
    if len(needle) < _INDEXED_BYTES_MIN:
        return []
    return [int.from_bytes(needle[start : start + _WORD], sys.byteorder) for start in range(_WORD)]


def _hides(name: object, value: object) -> bool:
    return isinstance(name, str) and bool(value) and not isinstance(value, bool | int | float) and is_sensitive(name)


def _merged(spans: Spans) -> Spans:
    merged: Spans = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _redacted(data: bytes, spans: Spans, first: int = 0, last: int | None = None) -> bytes:
    """What is left of ``data[first:last]``. The mark stands where a span starts."""
    last = len(data) if last is None else last
    parts: list[bytes] = []
    position = first
    for start, end in spans:
        if end <= position or start >= last:
            continue
        if start >= position:
            parts += (data[position:start], _MARK_BYTES)
        position = min(end, last)
    parts.append(data[position:last])
    return b"".join(parts)
