from __future__ import annotations

import gzip
import os
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import brotli
import pytest

from proxy.server.codings import DECODERS, Undecodable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b'{"model":"big","messages":[' + b'"hello",' * 5000 + b'"end"]}' + os.urandom(3000).hex().encode()


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def split(compress: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Two members or frames after each other."""
    return lambda data: compress(data[: len(data) // 2]) + compress(data[len(data) // 2 :])


ENCODED = [
    ("identity", bytes),
    ("", bytes),
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("gzip", split(gzip.compress)),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
    ("zstd", zstd.compress),
    ("zstd", split(zstd.compress)),
]


def decode(coding: str, data: bytes, *, piece: int, room: int = 4096) -> bytes:
    decoder = DECODERS[coding]()
    parts = []
    for start in range(0, len(data), piece):
        parts.append(decoder.feed(data[start : start + piece], room))
        while decoder.has_more:
            parts.append(decoder.feed(b"", room))
    assert decoder.is_complete()
    return b"".join(parts)


@pytest.mark.parametrize(("coding", "encode"), ENCODED)
@pytest.mark.parametrize("piece", [1, 7, 1000, 10**9])
def test_decoded_is_what_was_encoded_whatever_the_cuts(
    coding: str, encode: Callable[[bytes], bytes], piece: int
) -> None:
    assert decode(coding, encode(TEXT), piece=piece) == TEXT


@pytest.mark.parametrize(("coding", "encode"), ENCODED[2:])
def test_a_cut_text_is_not_complete(coding: str, encode: Callable[[bytes], bytes]) -> None:
    decoder = DECODERS[coding]()
    decoder.feed(encode(TEXT)[:-3], 10**9)
    assert not decoder.is_complete()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_one_byte_too_many_is_not_waited_for_forever(coding: str) -> None:
    encode = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}[coding]
    decoder = DECODERS[coding]()
    assert decoder.feed(encode(TEXT) + b"x", 10**9) == TEXT
    with suppress(Undecodable):
        while decoder.has_more:
            assert decoder.feed(b"", 10**9) == b""
    assert not decoder.is_complete()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("lie", [b'{"model":"big"}' * 9, b"\x1f\x8b\x08\x00 no", b"\x28\xb5\x2f\xfd" + b"\xff" * 20])
def test_what_is_not_encoded_so_is_refused(coding: str, lie: bytes) -> None:
    decoder = DECODERS[coding]()
    try:
        decoder.feed(lie, 10**6)
    except Undecodable:
        return
    assert not decoder.is_complete()


@pytest.mark.parametrize(
    ("coding", "encode"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress), ("zstd", zstd.compress)],
)
def test_T32_a_bomb_costs_no_more_than_there_is_room(coding: str, encode: Callable[[bytes], bytes]) -> None:
    bomb = encode(bytes(64 * 1024 * 1024))
    decoder = DECODERS[coding]()
    tracemalloc.start()
    try:
        assert len(decoder.feed(bomb, 100_000)) <= 300_000
        assert decoder.has_more
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_T32_a_zstd_window_larger_than_the_limit_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.enable_long_distance_matching: 1}
    stream = zstd.ZstdCompressor(options=options)
    data = stream.compress(bytes(1000)) + stream.flush()
    with pytest.raises(Undecodable):
        DECODERS["zstd"]().feed(data, 10**6)
