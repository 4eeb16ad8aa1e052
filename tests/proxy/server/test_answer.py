from __future__ import annotations

import re

import pytest

from proxy.server.answer import Answer, Writer


def writer(*, is_1_1: bool = True, keeps_alive: bool = True, is_head: bool = False) -> Writer:
    return Writer(is_1_1=is_1_1, keeps_alive=keeps_alive, is_head=is_head)


def undated(data: bytes) -> bytes:
    return re.sub(rb"Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n", b"", data, count=1)


def test_a_whole_answer() -> None:
    told = writer().whole(Answer(200, {"Content-Type": "application/json"}, b"{}"))
    assert undated(told) == b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    told = writer().whole(Answer(status, {}, b"ignored"))
    assert b"Content-Length" not in told
    assert told.endswith(b"\r\n\r\n")


def test_head_tells_the_length_alone() -> None:
    told = writer(is_head=True).whole(Answer(200, {}, b"{}"))
    assert b"Content-Length: 2\r\n" in told
    assert told.endswith(b"\r\n\r\n")


def test_an_answer_in_pieces() -> None:
    to = writer()
    answer = Answer(200, {})
    told = to.begin(answer) + to.piece(b"hello") + to.piece(b"") + to.piece(b"x" * 16) + to.end()
    assert undated(told) == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"
    )
    assert answer.is_begun
    assert not answer.is_last


def test_http_1_0_has_no_pieces() -> None:
    to = writer(is_1_1=False)
    answer = Answer(200, {})
    told = to.begin(answer) + to.piece(b"hello") + to.end()
    assert undated(told) == b"HTTP/1.0 200 OK\r\n\r\nhello"
    assert answer.is_last


@pytest.mark.parametrize(
    ("is_1_1", "keeps_alive", "line"),
    [
        (True, True, None),
        (True, False, b"Connection: close\r\n"),
        (False, True, b"Connection: keep-alive\r\n"),
        (False, False, None),
    ],
)
def test_whether_it_goes_on(is_1_1: bool, keeps_alive: bool, line: bytes | None) -> None:
    answer = Answer(200, {}, b"")
    told = writer(is_1_1=is_1_1, keeps_alive=keeps_alive).whole(answer)
    assert (b"Connection:" in told) is (line is not None)
    assert line is None or line in told
    assert answer.is_last is not keeps_alive


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "a\rb"])
def test_T31_a_header_is_one_line(value: str) -> None:
    for headers in ({"x": value}, {value: "x"}):
        with pytest.raises(ValueError, match="line break"):
            writer().whole(Answer(200, headers, b""))
