from __future__ import annotations

import asyncio
import gzip
import os
from collections import deque
from collections.abc import Iterable, Mapping

import brotli
import msgspec
import pytest
from aiohttp.web import RequestPayloadError

from proxy.codings import ENCODINGS
from proxy.errors import Malformed, TooLarge, TooSlow, UnsupportedEncoding
from proxy.server import body
from proxy.server.body import Limits, check_head, peek, read

LIMITS = Limits(bytes_max=100_000)


class Chunks:
    """A body as it comes; an exception is raised in its place, a number waits so many seconds."""

    def __init__(self, chunks: Iterable[bytes | float | Exception]) -> None:
        self._chunks = deque(chunks)

    def is_eof(self) -> bool:
        return not self._chunks

    async def readany(self) -> bytes:
        """Everything that has come, in one piece, where nothing more will."""
        while self._chunks:
            chunk = self._chunks.popleft()
            match chunk:
                case bytes():
                    return chunk
                case Exception():
                    raise chunk
                case _:
                    await asyncio.sleep(chunk)
        return b""


async def read_all(*chunks: bytes | float | Exception, limits: Limits = LIMITS, coding: str = "") -> bytes:
    return await read(Chunks(chunks), {"content-encoding": coding} if coding else {}, limits)


class TestHead:
    @pytest.mark.parametrize(
        "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json", ""]
    )
    def test_json_or_nothing(self, media_type: str) -> None:
        check_head({"content-type": media_type, "content-length": "100000"}, LIMITS)

    @pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
    def test_T04_what_a_web_page_can_send_without_asking_is_refused(self, media_type: str) -> None:
        with pytest.raises(UnsupportedEncoding, match="send Content-Type: application/json"):
            check_head({"content-type": media_type}, LIMITS)

    @pytest.mark.parametrize("coding", ["compress", "gzip, lz4", "x", "zstd;q=1"])
    def test_an_unknown_encoding_is_refused_before_the_body_is_read(self, coding: str) -> None:
        with pytest.raises(UnsupportedEncoding, match="gzip, deflate, br, zstd") as raised:
            check_head({"content-encoding": coding}, LIMITS)
        assert raised.value.status == 415

    @pytest.mark.parametrize("coding", ["", "identity", "x-gzip", *sorted(ENCODINGS), "GZIP", " br ", "gzip, br"])
    def test_known_encodings(self, coding: str) -> None:
        check_head({"content-encoding": coding}, LIMITS)

    def test_what_says_that_it_is_too_large_is_not_read(self) -> None:
        with pytest.raises(TooLarge, match="larger than 100000 bytes"):
            check_head({"content-length": "100001"}, LIMITS)


class TestRead:
    async def test_pieces_are_joined(self) -> None:
        assert await read_all(b'{"a"', b":", b"1}") == b'{"a":1}'
        assert await read_all() == b""

    @pytest.mark.parametrize(("coding", "encode"), [("gzip", gzip.compress), ("br", brotli.compress)])
    async def test_encoded_pieces(self, coding: str, encode: object) -> None:
        assert callable(encode)
        text = os.urandom(20_000).hex().encode()
        data = encode(text)
        assert await read_all(data[:10], data[10:9000], data[9000:], coding=coding) == text

    async def test_the_limit_counts_decoded_bytes(self) -> None:
        assert len(await read_all(gzip.compress(bytes(100_000)), coding="gzip")) == 100_000
        with pytest.raises(TooLarge):
            await read_all(gzip.compress(bytes(100_001)), coding="gzip")
        with pytest.raises(TooLarge):
            await read_all(b"x" * 60_000, b"x" * 60_000)

    async def test_T32_a_bomb_ends_at_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(body, "DECODED_SLICE_BYTES", 10_000)
        with pytest.raises(TooLarge):
            await read_all(gzip.compress(bytes(50_000_000)), coding="gzip")

    async def test_a_lie_about_the_encoding(self) -> None:
        with pytest.raises(Malformed, match="not what Content-Encoding says"):
            await read_all(b'{"model":"big"}', coding="gzip")

    async def test_an_early_end(self) -> None:
        with pytest.raises(Malformed, match="gzip data without its end"):
            await read_all(gzip.compress(b"{}")[:-4], coding="gzip")

    async def test_a_broken_chunk(self) -> None:
        with pytest.raises(Malformed, match="the body is broken"):
            await read_all(b"{", RequestPayloadError("bad chunk"))

    async def test_T33_a_slow_body_meets_its_deadline(self) -> None:
        limits = Limits(bytes_max=100, seconds=0.05)
        with pytest.raises(TooSlow, match="3 bytes in 0 s"):
            await read_all(b'{"a', 60.0, b'":1}', limits=limits)

    async def test_T33_a_drip_meets_the_minimum_rate(self) -> None:
        limits = Limits(bytes_max=10_000, grace_seconds=0.05, slow_bytes_per_second=1000)
        with pytest.raises(TooSlow):
            await read_all(*[b"x", 0.01] * 200, limits=limits)

    def test_a_large_body_earns_time(self) -> None:
        limits = Limits(bytes_max=64 * 2**20)
        assert limits.deadline_seconds(0) == 10.0
        assert limits.deadline_seconds(1_000_000) == pytest.approx(63.8, abs=0.1)
        assert limits.deadline_seconds(64 * 2**20) == 316.0

    async def test_a_body_in_time(self) -> None:
        limits = Limits(bytes_max=10_000, seconds=5, grace_seconds=5)
        assert await read_all(b"a", 0.01, b"b", limits=limits) == b"ab"


class TestPeek:
    @pytest.mark.parametrize(
        ("text", "is_stream"),
        [
            (b'{"model":"big"}', False),
            (b'{"stream":true,"model":"big","x":[{"model":1,"stream":"no"}]}', True),
            (b'{"stream":null,"model":"big"}', False),
            (b' { "model" : "b\\u0069g" , "stream" : false, "y": "\\"model\\"" } ', False),
        ],
    )
    async def test_routing_needs_two_fields(self, text: bytes, is_stream: bool) -> None:
        assert await peek(text) == body.Peek("big", is_stream)

    async def test_the_path_knows_better(self) -> None:
        assert await peek(b'{"model":7,"stream":7}', model="gemini", is_stream=True) == body.Peek("gemini", True)

    @pytest.mark.parametrize(
        ("text", "path", "words"),
        [
            (b"{}", "model", "model is required"),
            (b'{"model":""}', "model", "model is required"),
            (b'{"model":null}', "model", "model is required"),
            (b'{"model":3}', "model", "model must be a string, not a number"),
            (b'{"model":["a"]}', "model", "model must be a string, not an array"),
            (b'{"model":"a","stream":"true"}', "stream", "stream must be a boolean, not a string"),
            (b'{"model":"a","stream":1}', "stream", "stream must be a boolean, not a number"),
            (b'{"model":"a","messages":[{"content":NaN}]}', "messages[0].content", "NaN is no JSON number"),
            (b'{"model":"a","messages":[{"content":"\\ud800"}]}', "messages[0].content", "surrogate pair"),
            (b'{"model":"a","messages":[{"content":"\xff"}]}', "messages[0].content", "not valid UTF-8"),
            (b'{"model":"a","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "x" + "[0]" * 199, "nested deeper"),
            (b"[]", None, "it must be an object"),
            (b"", None, "it is empty"),
            (b'{"model":"a"} x', None, "'x' follows its end (byte 14)"),
        ],
    )
    async def test_a_fault_has_its_path(self, text: bytes, path: str | None, words: str) -> None:
        with pytest.raises(Malformed) as raised:
            await peek(text)
        assert raised.value.path == path
        assert words in raised.value.message
        assert raised.value.status == 400

    @pytest.mark.parametrize(
        "text",
        [
            b'{"model":"a","model":"b"}',
            b'{ "model":"a", "x":[{"model":"c"}], "model":"b" }',
            b'{"model":"b","stream":true,"stream":false}',
            b'{"model":"b","\\u0073tream":true,"stream":false}',
            b'{"model":"b","stream":false,"\\u0073tream":true}',
            b'{"model":"b","stream":false,"st\\u0072eam":true}',
        ],
    )
    async def test_a_name_that_stands_twice(self, text: bytes) -> None:
        with pytest.raises(Malformed, match="stands twice"):
            await peek(text)

    async def test_nested_names_are_no_twins_however_they_are_spaced(self) -> None:
        inner = {"model": "x", "stream": True, "list": ["model", "stream"]}
        content = {"model": "big", "tools": [inner], "stream": True, "metadata": inner}
        for indent in (0, 1, 4):
            text = msgspec.json.format(msgspec.json.encode(content), indent=indent)
            assert await peek(text) == body.Peek("big", True)


RIGHT = (
    b"0",
    b"-0",
    b"-1",
    b"1.5",
    b"1e9",
    b"1E+9",
    b"0e0",
    b"-0.0e-1",
    b"123456789012345678901234567890",
    b"1e400",
    b"true",
    b"false",
    b"null",
    b'""',
    b'"a\\"b"',
    b'"\\/\\b\\f\\n\\r\\t\\u0000"',
    b'"\\ud83d\\ude00"',
    b'"\xc3\xa9"',
    b'"\x7f"',
    b'"\xe2\x80\xa8"',
    b"[]",
    b"[ ]",
    b"[1, 2]",
    b"[[],[[]]]",
    b"{}",
    b'{"a":{}}',
    b'{"":0}',
    b'{"a":1,"a":2}',
    b" \t\r\n1 ",
    b"[" * 190 + b"]" * 190,
    b'"\xef\xbb\xbf"',
    b'"\\uFFFF"',
    b'"\xf4\x8f\xbf\xbf"',
)  # fmt: skip - a list of texts
WRONG = (
    b"",
    b"NaN",
    b"-NaN",
    b"Infinity",
    b"-Infinity",
    b"nan",
    b"inf",
    b"+1",
    b"01",
    b"-01",
    b"1.",
    b".1",
    b"-.1",
    b"1e",
    b"1e+",
    b"1.e1",
    b"0x1",
    b"1_000",
    b"--1",
    b"-",
    b"1 2",
    b"True",
    b"nul",
    b"nulll",
    b"undefined",
    b"'a'",
    b'"a',
    b'a"',
    b'"\t"',
    b'"\n"',
    b'"\x00"',
    b'"\\x41"',
    b'"\\u12"',
    b'"\\u12G4"',
    b'"\\U0041"',
    b'"\\"',
    b'"\\a"',
    b"[",
    b"]",
    b"[1",
    b"[1,]",
    b"[,1]",
    b"[,]",
    b"[1 2]",
    b"[1:2]",
    b"{",
    b"}",
    b'{"a"}',
    b'{"a":}',
    b'{"a":1,}',
    b"{a:1}",
    b'{"a" 1}',
    b'{"a":1 "b":2}',
    b"{1:1}",
    b"{'a':1}",
    b"{,}",
    b'{"a":1,,"b":2}',
    b"[1}",
    b'{"a":1]',
    b"/**/1",
    b"1//",
    b"#",
    b"\x0c1",
    b"\xc2\xa01",
    b'"\xff"',
    b'"\xc0\xaf"',
    b'"\xed\xa0\x80"',
    b'"\xe9"',
    b'"\xf5\x80\x80\x80"',
    b'"\\ud800"',
    b'"\\udc00"',
    b'"\\ud800\\ud800"',
    b'"\\ude00\\ud83d"',
    b'"\\ud83d\\n"',
    b"[" * 100_000,
    b"[" * 5000 + b"]" * 5000,
)  # fmt: skip - a list of texts


@pytest.mark.parametrize("value", RIGHT, ids=lambda value: repr(value[:20]))
async def test_what_json_allows_is_taken(value: bytes) -> None:
    assert await peek(b'{"model":"big","x":' + value + b"}") == body.Peek("big", is_stream=False)


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value[:20]))
async def test_what_json_does_not_allow_is_refused_with_its_place(value: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        await peek(b'{"model":"big","x":' + value + b"}")
    assert raised.value.status == 400
    assert raised.value.message.startswith("the body is malformed: ")
    assert "(byte " in raised.value.message


def test_every_coding_that_is_offered_is_decoded() -> None:
    headers: Mapping[str, str] = {"content-encoding": "zstd"}
    check_head(headers, LIMITS)
    assert {"gzip", "deflate", "br", "zstd"} <= ENCODINGS
