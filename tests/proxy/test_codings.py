from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from proxy.codings import PIECE_BYTES, BadEncoding, decoder


def raw_deflate(data: bytes) -> bytes:
    compress = zlib.compressobj(wbits=-15)
    return compress.compress(data) + compress.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZIP": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "identity, zstd ,deflate": lambda data: zlib.compress(zstd.compress(data)),
}


def decoded(header: str, *pieces: bytes) -> bytes:
    undo = decoder(header)
    assert undo is not None
    whole = b"".join(out for piece in pieces for out in undo.feed(piece))
    undo.finish()
    return whole


@given(header=st.sampled_from(sorted(ENCODERS)), data=st.binary(max_size=200), size=st.integers(1, 40))
def test_wherever_it_is_cut(header: str, data: bytes, size: int) -> None:
    encoded = ENCODERS[header](data)
    assert decoded(header, *(encoded[at : at + size] for at in range(0, len(encoded), size))) == data


@pytest.mark.parametrize("header", sorted(ENCODERS))
def test_without_its_end_it_is_bad(header: str) -> None:
    encoded = ENCODERS[header](b"some text that is worth it" * 9)
    with pytest.raises(BadEncoding, match="without its end"):
        decoded(header, encoded[:-1])


@pytest.mark.parametrize("header", ["gzip", "deflate", "br", "zstd"])
def test_a_lie(header: str) -> None:
    with pytest.raises(BadEncoding, match=f"not {header}|without its end"):
        decoded(header, b'{"id":"x","object":"chat.completion"}')


@pytest.mark.parametrize("header", ["deflate", "br"])
def test_more_after_the_end(header: str) -> None:
    with pytest.raises(BadEncoding):
        decoded(header, ENCODERS[header](b"x"), b"more")


@pytest.mark.parametrize("header", ["gzip", "zstd"])
def test_several_members(header: str) -> None:
    encode = ENCODERS[header]
    assert decoded(header, encode(b"a") + encode(b"b"), encode(b"c")) == b"abc"


@pytest.mark.parametrize("header", sorted(ENCODERS))
@pytest.mark.parametrize("size", [10_000_000, 8 * PIECE_BYTES, 8 * PIECE_BYTES + 100])
def test_a_bomb_comes_in_pieces(header: str, size: int) -> None:
    undo = decoder(header)
    assert undo is not None
    sizes = [len(piece) for piece in undo.feed(ENCODERS[header](bytes(size)))]
    undo.finish()
    assert sum(sizes) == size
    assert max(sizes) <= 4 * PIECE_BYTES


@pytest.mark.parametrize("header", sorted(ENCODERS))
def test_an_empty_body_is_empty(header: str) -> None:
    assert decoded(header) == b""


@pytest.mark.parametrize("header", [None, "", "identity", " , "])
def test_nothing_to_undo(header: str | None) -> None:
    assert decoder(header) is None


@pytest.mark.parametrize("header", ["compress", "gzip, snappy", ", ".join(["gzip"] * 5)])
def test_what_cannot_be_undone(header: str) -> None:
    with pytest.raises(BadEncoding):
        decoder(header)
