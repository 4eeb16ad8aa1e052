"""Content-Encoding of request bodies, decoded piece by piece, so that a bomb meets the limit and not the memory."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it ships no types

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_WINDOW_LOG_MAX = 25
"""32 MiB: what a decoder keeps in memory, whatever comes out of it. The usual levels need 8 MiB (RFC 8878)."""


class Undecodable(ValueError):
    """The bytes are not what Content-Encoding says."""


class Decoder(Protocol):
    has_more: bool
    """Whether `feed(b"", …)` would give more."""

    def feed(self, data: bytes, room: int) -> bytes:
        """Not much more than `room` bytes. Raises `Undecodable`."""
        ...

    def is_complete(self) -> bool: ...


class Identity:
    has_more = False

    def feed(self, data: bytes, room: int) -> bytes:  # noqa: ARG002 - it gives what it gets
        return data

    def is_complete(self) -> bool:
        return True


class Zlib:
    """gzip, several members after each other too; and deflate, with zlib's wrapper (RFC 9110) or without (habit)."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._stream: zlib._Decompress | None = None
        self._rest = b""
        self.has_more = False

    def feed(self, data: bytes, room: int) -> bytes:
        data = self._rest + data
        if self._stream is None or (self._stream.eof and data):
            if len(data) < 2:
                self._rest, self.has_more = data, False
                return b""
            self._stream = zlib.decompressobj(self._window_bits(data))
        try:
            decoded = self._stream.decompress(data, room)
        except zlib.error as error:
            raise Undecodable(str(error)) from None
        self._rest = self._stream.unconsumed_tail or self._stream.unused_data
        self.has_more = bool(self._rest) or len(decoded) == room
        return decoded

    def _window_bits(self, data: bytes) -> int:
        if self._is_gzip:
            return 31
        has_wrapper = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
        return 15 if has_wrapper else -15

    def is_complete(self) -> bool:
        return self._stream is not None and self._stream.eof and not self._rest


class Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self.has_more = False

    def feed(self, data: bytes, room: int) -> bytes:
        try:
            decoded: bytes = self._stream.process(data, output_buffer_limit=room)
        except brotli.error as error:
            raise Undecodable(str(error)) from None
        is_full = len(decoded) >= room or not self._stream.can_accept_more_data()
        self.has_more = is_full and not self._stream.is_finished()
        return decoded

    def is_complete(self) -> bool:
        return bool(self._stream.is_finished())


class Zstd:
    """Several frames after each other are one text (RFC 8878 §3); each needs a new decompressor."""

    def __init__(self) -> None:
        self._stream = self._fresh()
        self._rest = b""
        self.has_more = False

    @staticmethod
    def _fresh() -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX})

    def feed(self, data: bytes, room: int) -> bytes:
        data = self._rest + data
        self._rest = b""
        if self._stream.eof:
            if not data:
                return b""
            self._stream = self._fresh()
        try:
            decoded = self._stream.decompress(data, room)
        except zstd.ZstdError as error:
            raise Undecodable(str(error)) from None
        if self._stream.eof:
            self._rest = self._stream.unused_data
            self.has_more = bool(self._rest)
        else:
            self.has_more = not self._stream.needs_input
        return decoded

    def is_complete(self) -> bool:
        return self._stream.eof and not self._rest


DECODERS: Mapping[str, Callable[[], Decoder]] = {
    "": Identity,
    "identity": Identity,
    "gzip": lambda: Zlib(is_gzip=True),
    "x-gzip": lambda: Zlib(is_gzip=True),
    "deflate": lambda: Zlib(is_gzip=False),
    "br": Brotli,
    "zstd": Zstd,
}
