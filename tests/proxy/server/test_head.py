"""RFC 9112, example by example: what is read, and what is refused because two could understand it in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.server.head import FIELDS_MAX, HEAD_BYTES_MAX, LINE_BYTES_MAX, BadHead, HeadReader

POST = b"POST /v1/messages HTTP/1.1\r\nHost: h\r\n"


def read(data: bytes) -> HeadReader:
    reader = HeadReader()
    reader.head = reader.read(data)  # type: ignore[attr-defined]  # for the test to look at
    return reader


class TestWhatIsRead:
    def test_a_request(self) -> None:
        head = HeadReader().read(
            b"POST /v1/a%2Fb?x=1&y=%20z HTTP/1.1\r\nHost: h:1\r\nX-Api-KEY: k\r\nContent-Length: 12\r\n\r\n"
        )
        assert (head.method, head.target, head.path) == ("POST", "/v1/a%2Fb?x=1&y=%20z", "/v1/a/b")
        assert dict(head.query) == {"x": "1", "y": " z"}
        assert head.fields == [("Host", "h:1"), ("X-Api-KEY", "k"), ("Content-Length", "12")]
        assert head.headers["x-api-key"] == "k"
        assert (head.length, head.is_1_1, head.keeps_alive, head.is_upgrade) == (12, True, True, False)

    @pytest.mark.parametrize(
        ("line", "length"),
        [
            (b"", 0),
            (b"Content-Length: 0\r\n", 0),
            (b"Content-Length: 7\r\n", 7),
            (b"Transfer-Encoding: chunked\r\n", None),
        ],
    )
    def test_how_long_the_body_is(self, line: bytes, length: int | None) -> None:
        assert HeadReader().read(POST + line + b"\r\n").length == length

    @pytest.mark.parametrize(
        ("version", "line", "keeps_alive"),
        [
            (b"1.1", b"", True),
            (b"1.1", b"Connection: close\r\n", False),
            (b"1.1", b"Connection: x-api-key, Close\r\n", False),
            (b"1.0", b"", False),
            (b"1.0", b"Connection: keep-alive\r\n", True),
        ],
    )
    def test_whether_it_goes_on(self, version: bytes, line: bytes, keeps_alive: bool) -> None:
        head = HeadReader().read(b"GET / HTTP/%b\r\nHost: h\r\n%b\r\n" % (version, line))
        assert (head.keeps_alive, head.is_1_1) == (keeps_alive, version == b"1.1")

    def test_an_upgrade_is_seen(self) -> None:
        head = HeadReader().read(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert head.is_upgrade

    def test_one_request_leaves_nothing_for_the_next(self) -> None:
        reader = HeadReader()
        reader.read(POST + b"Content-Length: 5\r\n\r\n")
        head = reader.read(b"GET /b HTTP/1.1\r\nHost: i\r\n\r\n")
        assert (head.method, head.target, head.fields, head.length) == ("GET", "/b", [("Host", "i")], 0)

    def test_as_large_as_may_be(self) -> None:
        fields = b"".join(b"X-%d: %b\r\n" % (number, b"a" * 400) for number in range(FIELDS_MAX - 1))
        assert len(HeadReader().read(b"GET / HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n").fields) == FIELDS_MAX


REFUSED = {
    "two ways to tell a length": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "and the other way round": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "twice the same length": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\n",
    "a signed length": POST + b"Content-Length: +5\r\n\r\n",
    "a negative length": POST + b"Content-Length: -5\r\n\r\n",
    "a length in hex": POST + b"Content-Length: 0x5\r\n\r\n",
    "no length at all": POST + b"Content-Length: \r\n\r\n",
    "an endless length": POST + b"Content-Length: 99999999999999999999999999\r\n\r\n",
    "a coding beside chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked, and then something": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "nearly chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "chunked behind a tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n",
    "two hosts": POST + b"Host: attacker.test\r\n\r\n",
    "two kinds of content": POST + b"Content-Type: a/b\r\nContent-Type: application/json\r\n\r\n",
    "a blank before the colon": POST + b"Content-Length : 5\r\n\r\n",
    "a folded line": POST + b"X-A: b\r\n c\r\n\r\n",
    "a first line that is folded": b"GET / HTTP/1.1\r\n X: y\r\n\r\n",
    "a nul": POST + b"X-A: b\0c\r\n\r\n",
    "a bare carriage return": POST + b"X-A: b\rc\r\n\r\n",
    "a bare line feed": POST + b"X-A: b\nTransfer-Encoding: chunked\r\n\r\n",
    "no name": POST + b": b\r\n\r\n",
    "no colon": POST + b"X-A b\r\n\r\n",
    "a name with a blank": POST + b"X A: b\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "another version": b"GET / HTTP/2.0\r\n\r\n",
    "chunks before there were any": b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a version that is none": b"GET / HTTP/1.x\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method that is none": b"GET\x00 / HTTP/1.1\r\n\r\n",
    "two targets": b"GET / /b HTTP/1.1\r\nHost: h\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
}


@pytest.mark.parametrize("what", REFUSED)
def test_T30_what_is_refused(what: str) -> None:
    with pytest.raises(BadHead) as caught:
        HeadReader().read(REFUSED[what])
    assert (caught.value.status, caught.value.code) == (400, "invalid_http")


TOO_LARGE = {
    "a field": POST + b"X-A: " + b"a" * LINE_BYTES_MAX + b"\r\n\r\n",
    "a name": POST + b"a" * LINE_BYTES_MAX + b": a\r\n\r\n",
    "a target": b"GET /" + b"a" * LINE_BYTES_MAX + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    "too many fields": POST + b"X: y\r\n" * FIELDS_MAX + b"\r\n",
    "all of it": POST
    + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 8000) for n in range(HEAD_BYTES_MAX // 8000 + 1))
    + b"\r\n",
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_T32_what_is_too_large(what: str) -> None:
    with pytest.raises(BadHead) as caught:
        HeadReader().read(TOO_LARGE[what])
    assert (caught.value.status, caught.value.code) == (431, "headers_too_large")


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_head_or_none(data: bytes) -> None:
    for beginning in (b"", POST):
        try:
            head = HeadReader().read(beginning + data + b"\r\n\r\n")
        except BadHead:
            continue
        assert head.length is None or head.length >= 0
        assert head.path is not None


@pytest.mark.parametrize("what", ["TLS", "SSH"])
def test_what_cannot_become_a_head_is_refused_before_its_end(what: str) -> None:
    with pytest.raises(BadHead):
        HeadReader().check(REFUSED[what].removesuffix(b"\r\n\r\n"))
    HeadReader().check(b"POST /v1/mess")


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class TestChunks:
    def test_wherever_they_are_cut(self) -> None:
        told = b"5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: y\r\n\r\n"
        for size in range(1, len(told) + 1):
            reader = read(CHUNKED)
            parts = [part for at in range(0, len(told), size) for part in reader.body(told[at : at + size])]
            assert (b"".join(parts), reader.is_body_over) == (b"hello world", True)
            assert not reader.is_overrun

    def test_a_trailer_is_no_header(self) -> None:
        reader = read(CHUNKED)
        reader.body(b"0\r\nAuthorization: Bearer k\r\nHost: other\r\n\r\n")
        assert [name for name, _ in reader.head.fields] == ["Host", "Transfer-Encoding"]  # type: ignore[attr-defined]

    def test_what_comes_behind_is_told(self) -> None:
        reader = read(CHUNKED)
        assert reader.body(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: evil\r\n\r\n") == [b"a"]
        assert reader.is_body_over
        assert reader.is_overrun
        assert reader.head.target == "/v1/messages"  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "told",
        [
            b"zz\r\n",
            b"-1\r\n",
            b"0x5\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhelloXX0\r\n\r\n",
            b"fffffffffffffffff\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5\r\r\nhello\r\n",
            b"0\r\nX Y: z\r\n\r\n",
        ],
    )
    def test_T30_a_chunk_that_is_none(self, told: bytes) -> None:
        reader = read(CHUNKED)
        with pytest.raises(BadHead):
            reader.body(told)

    def test_T32_trailers_without_end(self) -> None:
        reader = read(CHUNKED)
        reader.body(b"0\r\n")

        def go_on() -> None:
            for number in range(100_000):
                reader.body(b"X-%d: y\r\n" % number)

        with pytest.raises(BadHead):
            go_on()
