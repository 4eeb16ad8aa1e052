"""An answer on its way to the client: a status, headers, and a body, whole or piece by piece."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus

from multidict import CIMultiDict

_REASONS: Mapping[int, str] = {status.value: status.phrase for status in HTTPStatus}
_BODILESS = frozenset({204, 304})


class Answer:
    """`body`: None: it is told piece by piece. `is_begun`: its head has been made, and cannot be changed any more.
    `is_last`: the connection is closed after it.
    """

    __slots__ = ("body", "headers", "is_begun", "is_last", "status")

    def __init__(self, status: int, headers: CIMultiDict[str] | Mapping[str, str], body: bytes | None = None) -> None:
        self.status = status
        self.headers = headers if isinstance(headers, CIMultiDict) else CIMultiDict(headers)
        self.body = body
        self.is_begun = False
        self.is_last = False

    def force_close(self) -> None:
        self.is_last = True


class Writer:
    """Makes bytes of answers to one request. `is_1_1`: and not HTTP/1.0, which has no chunks. `keeps_alive`: by the
    client's word.
    """

    __slots__ = ("_is_1_1", "_is_chunked", "_is_head", "keeps_alive")

    def __init__(self, *, is_1_1: bool, keeps_alive: bool, is_head: bool) -> None:
        self._is_1_1 = is_1_1
        self._is_head = is_head
        self._is_chunked = False
        self.keeps_alive = keeps_alive

    def whole(self, answer: Answer) -> bytes:
        body = answer.body or b""
        if answer.status in _BODILESS:
            return self._head(answer)
        head = self._head(answer, f"Content-Length: {len(body)}\r\n")
        return head if self._is_head else head + body

    def begin(self, answer: Answer) -> bytes:
        """Of a body that is told piece by piece. Where there are no chunks, the connection's end is its own."""
        self._is_chunked = self._is_1_1
        if not self._is_chunked:
            answer.is_last = True
        return self._head(answer, "Transfer-Encoding: chunked\r\n" if self._is_chunked else "")

    def piece(self, data: bytes) -> bytes:
        if self._is_head or not data:
            return b""
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data

    def end(self) -> bytes:
        return b"0\r\n\r\n" if self._is_chunked and not self._is_head else b""

    def _head(self, answer: Answer, framing: str = "") -> bytes:
        """Raises ValueError where a header would be two."""
        answer.is_begun = True
        answer.is_last = answer.is_last or not self.keeps_alive
        connection = ""
        if answer.is_last:
            connection = "Connection: close\r\n" if self._is_1_1 else ""
        elif not self._is_1_1:
            connection = "Connection: keep-alive\r\n"
        status = answer.status
        fields = "".join([f"{name}: {value}\r\n" for name, value in answer.headers.items()])
        if fields.count("\n") != len(answer.headers) or fields.count("\r") != len(answer.headers):
            raise ValueError("a header of an answer has a line break in it")
        version = "1.1" if self._is_1_1 else "1.0"
        text = (
            f"HTTP/{version} {status} {_REASONS.get(status, '')}\r\n{fields}{framing}Date: {date()}\r\n{connection}\r\n"
        )
        return text.encode("utf-8", "surrogateescape")


_dated: tuple[int, str] = (0, "")


def date() -> str:
    """RFC 9110 §5.6.7, made once a second."""
    global _dated  # noqa: PLW0603 - one clock for all
    now = int(time.time())
    if now != _dated[0]:
        moment = time.gmtime(now)
        day, month = _DAYS[moment.tm_wday], _MONTHS[moment.tm_mon - 1]
        _dated = (now, time.strftime(f"{day}, %d {month} %Y %H:%M:%S GMT", moment))
    return _dated[1]


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
