"""Content encodings, undone: bytes in, bytes out, bounded, and strict about the end.

`decoder` gives a function per header: None when nothing was encoded. A body that is not what its header says, that
stops before its end, or goes on after it, raises `BadEncoding`; a zip bomb comes out in pieces of `PIECE_BYTES`.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it ships no types

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

PIECE_BYTES = 256 * 1024
LAYERS_MAX = 4
_ZSTD_OPTIONS: dict[int, int] = {DecompressionParameter.window_log_max: 23}
"""8 MiB, all that RFC 9659 allows over HTTP: a frame's own wish would cost 128."""


class BadEncoding(ValueError):
    """Not what the content-encoding says."""


class Layer(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out, in pieces. Raises `BadEncoding`."""
        ...

    def finish(self) -> None:
        """Raises `BadEncoding` when the end is missing."""
        ...


class _Zlib:
    """``gzip``: one or more members. ``deflate``: with zlib's header, as the RFC says, or without, as some write it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inflate: zlib._Decompress | None = zlib.decompressobj(wbits=31) if name == "gzip" else None
        self._is_empty = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        has_more = bool(data)
        while has_more:
            self._is_empty = False
            if self._inflate is None:
                self._inflate = zlib.decompressobj(wbits=15 if data[0] & 0x0F == 8 else -15)
            elif self._inflate.eof:
                if self._name != "gzip":
                    raise BadEncoding("bytes after the end of the deflate data")
                self._inflate = zlib.decompressobj(wbits=31)
            try:
                piece = self._inflate.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise BadEncoding(f"not {self._name}: {error}") from None
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            has_more = bool(data) or (len(piece) == PIECE_BYTES and not self._inflate.eof)
            if piece:
                yield piece

    def finish(self) -> None:
        if not self._is_empty and not (self._inflate and self._inflate.eof):
            raise BadEncoding(f"{self._name} data without its end")


class _Brotli:
    def __init__(self, _name: str) -> None:
        self._decompressor = brotli.Decompressor()
        self._is_empty = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._is_empty &= not data
        try:
            piece = self._decompressor.process(data, output_buffer_limit=PIECE_BYTES)
            while piece:
                yield piece
                piece = self._decompressor.process(b"", output_buffer_limit=PIECE_BYTES)
        except brotli.error as error:
            raise BadEncoding(f"not br: {error}") from None

    def finish(self) -> None:
        if not self._is_empty and not self._decompressor.is_finished():
            raise BadEncoding("br data without its end")


class _Zstd:
    """One or more frames."""

    def __init__(self, _name: str) -> None:
        self._decompressor = ZstdDecompressor(options=_ZSTD_OPTIONS)
        self._is_empty = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or not (self._decompressor.eof or self._decompressor.needs_input):
            self._is_empty = False
            if self._decompressor.eof:
                self._decompressor = ZstdDecompressor(options=_ZSTD_OPTIONS)
            try:
                piece = self._decompressor.decompress(data, PIECE_BYTES)
            except ZstdError as error:
                raise BadEncoding(f"not zstd: {error}") from None
            data = self._decompressor.unused_data if self._decompressor.eof else b""
            if piece:
                yield piece

    def finish(self) -> None:
        if not self._is_empty and not self._decompressor.eof:
            raise BadEncoding("zstd data without its end")


_LAYERS: dict[str, Callable[[str], Layer]] = {"gzip": _Zlib, "deflate": _Zlib, "br": _Brotli, "zstd": _Zstd}
_SYNONYMS = {"x-gzip": "gzip"}
ENCODINGS = frozenset(_LAYERS)
"""Those that can be undone."""


class Decoder:
    """Several layers are undone in the reverse of the header's order."""

    def __init__(self, names: list[str]) -> None:
        self._layers = [_LAYERS[name](name) for name in reversed(names)]

    def feed(self, data: bytes) -> Iterator[bytes]:
        return self._through(0, data)

    def finish(self) -> None:
        for layer in self._layers:
            layer.finish()

    def _through(self, depth: int, data: bytes) -> Iterator[bytes]:
        if depth == len(self._layers):
            yield data
            return
        for piece in self._layers[depth].feed(data):
            yield from self._through(depth + 1, piece)


def decoder(header: str | None) -> Decoder | None:
    """For a content-encoding header; None when there is nothing to undo. Raises `BadEncoding` on an unknown one."""
    if not header:
        return None
    names = [_SYNONYMS.get(name, name) for part in header.lower().split(",") if (name := part.strip())]
    names = [name for name in names if name != "identity"]
    if unknown := [name for name in names if name not in _LAYERS]:
        raise BadEncoding(f"an unknown content-encoding: {unknown[0][:40]}")
    if len(names) > LAYERS_MAX:
        raise BadEncoding(f"more than {LAYERS_MAX} content-encodings")
    return Decoder(names) if names else None
