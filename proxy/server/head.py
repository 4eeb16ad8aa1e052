"""The head of a request (RFC 9112): read by llhttp in its strict mode, then judged by a few rules of our own. No I/O.

What two readers could understand in two ways is refused, whoever stands in front of us: a length told twice or in two
ways, a line folded or ended by LF alone, two hosts, a transfer coding beside ``chunked``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import httptools
from multidict import CIMultiDict, MultiDict, MultiDictProxy
from yarl import URL

LINE_BYTES_MAX = 8190
"""Of the target, and of each field."""
FIELDS_MAX = 128
HEAD_BYTES_MAX = 64 * 1024
END = b"\r\n\r\n"
LENGTH_DIGITS_MAX = 12
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,%d})\r\n" % LENGTH_DIGITS_MAX)
_NO_QUERY: Mapping[str, str] = MultiDictProxy(MultiDict())
_ONCE = ("host", "content-length", "transfer-encoding", "content-type")


class BadHead(Exception):
    """What is no HTTP: `status`, and `code` for the machine."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code

    @classmethod
    def too_large(cls) -> BadHead:
        return cls(431, "a line of the request's head is too long", "headers_too_large")

    @classmethod
    def invalid(cls) -> BadHead:
        return cls(400, "this is not valid HTTP", "invalid_http")


class Head:
    """`method`, `target` as it was sent, `fields` in their order and case. `length`: of the body; None: it is
    chunked.
    """

    __slots__ = ("_headers", "fields", "is_upgrade", "keeps_alive", "length", "method", "target", "version")

    def __init__(self) -> None:
        self.method = ""
        self.target = ""
        self.version = "1.1"
        self.keeps_alive = True
        self.fields: list[tuple[str, str]] = []
        self.length: int | None = 0
        self.is_upgrade = False
        self._headers: CIMultiDict[str] | None = None

    @property
    def is_1_1(self) -> bool:
        return self.version == "1.1"

    @property
    def headers(self) -> CIMultiDict[str]:
        headers = self._headers
        if headers is None:
            headers = self._headers = CIMultiDict(self.fields)
        return headers

    @property
    def path(self) -> str:
        """Decoded."""
        target = self.target
        return target if _is_plain(target) else self._url.path

    @property
    def query(self) -> Mapping[str, str]:
        return self._url.query if "?" in self.target else _NO_QUERY

    @property
    def _url(self) -> URL:
        target, _, fragment = self.target.partition("#")
        path, _, query = target.partition("?")
        return URL.build(path=path, query_string=query, fragment=fragment, encoded=True)


def _is_plain(target: str) -> bool:
    return "%" not in target and "?" not in target and "#" not in target


class SameHead:
    """The head that a connection's next request mostly has, too: but for the length of its body every byte is the same.
    Then it need not be read (4 µs), only looked at (0.4). `head`: but for its `length`.
    """

    __slots__ = ("_before", "_behind", "head", "is_plain")

    def __init__(self, head: Head, before: bytes, behind: bytes) -> None:
        self.head = head
        self.is_plain = head.is_1_1 and head.keeps_alive
        self._before = before
        self._behind = behind

    @classmethod
    def of(cls, data: bytes, head: Head) -> SameHead | None:
        """`data`: all of the head, with its end. None: nothing in it says how long the body is."""
        found = _LENGTH.search(data)
        return None if found is None else cls(head, data[: found.start(1)], data[found.end(1) :])

    def look(self, data: bytes) -> tuple[int, int] | None:
        """How long the body is, and where it begins. None: it is another head, or not all of one."""
        before = self._before
        if not data.startswith(before):
            return None
        end = data.find(b"\r", len(before), len(before) + LENGTH_DIGITS_MAX + 1)
        digits = data[len(before) : end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._behind, end):
            return None
        return int(digits), end + len(self._behind)


_NOBODYS = httptools.HttpRequestParser(object())
"""In the place of one that is done with."""


class HeadReader:
    """One for each connection. llhttp is made anew for each request: nothing of one is left for the next.

    `is_overrun`: behind a chunked body came the beginning of another request, which is lost.
    """

    def __init__(self) -> None:
        self._head = Head()
        self._size = 0
        self._is_read = self._is_small = False
        self._parts: list[bytes] = []
        self.is_body_over = self.is_overrun = False
        self._parser = httptools.HttpRequestParser(self)

    def retire(self) -> None:
        """At the connection's end: its parser and it hold each other, and memory would wait for a collection."""
        self._parser = _NOBODYS

    def read(self, data: bytes) -> Head:
        """`data`: all of the head, with its end. Raises `BadHead`."""
        self._begin()
        self._is_small = len(data) <= LINE_BYTES_MAX  # then no line can be too long, and none is measured
        head = self._head
        self._feed(data, head)
        if not self._is_read:
            raise BadHead.invalid()
        _judge(head)
        return head

    def check(self, data: bytes) -> None:
        """`data`: the beginning of a head. Raises `BadHead` where it cannot become one."""
        self._begin()
        self._feed(data, self._head)

    def _begin(self) -> None:
        self._head = Head()
        self._size = 0
        self._is_read = self._is_small = self.is_body_over = self.is_overrun = False
        self._parts = []
        self._parser = httptools.HttpRequestParser(self)

    def _feed(self, data: bytes, head: Head) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            head.is_upgrade = True
        except httptools.HttpParserCallbackError:
            raise BadHead.too_large() from None
        except httptools.HttpParserError:
            raise BadHead.invalid() from None

    def body(self, data: bytes) -> list[bytes]:
        """Of a chunked body: its parts, until `is_body_over`. Raises `BadHead`."""
        self._feed(data, self._head)
        parts, self._parts = self._parts, []
        return parts

    # what llhttp says; what is raised here ends its reading

    def on_message_begin(self) -> None:
        self.is_overrun = self.is_body_over

    def on_url(self, url: bytes) -> None:
        if len(url) > LINE_BYTES_MAX:
            raise BadHead.too_large()
        if not self._is_read:
            self._head.target += url.decode("utf-8", "surrogateescape")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_small and not self._is_read:
            self._head.fields.append((name.decode("ascii", "replace"), value.decode("utf-8", "surrogateescape")))
            return
        self._size += len(name) + len(value)
        if (
            len(name) + len(value) > LINE_BYTES_MAX
            or len(self._head.fields) >= FIELDS_MAX
            or self._size > HEAD_BYTES_MAX
        ):
            raise BadHead.too_large()
        if not self._is_read:
            self._head.fields.append((name.decode("ascii", "replace"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        """Asked now: at the end of a message llhttp forgets it."""
        if self._is_read:
            return
        self._is_read = True
        head, parser = self._head, self._parser
        head.method = parser.get_method().decode("ascii", "replace")
        head.version = parser.get_http_version()
        head.keeps_alive = parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        if not self.is_body_over:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        self.is_body_over = True


def _judge(head: Head) -> None:
    """Raises `BadHead`."""
    if len(head.fields) > FIELDS_MAX:
        raise BadHead.too_large()
    if head.version not in {"1.1", "1.0"}:
        raise BadHead.invalid()
    headers = head.headers
    for name in _ONCE:
        if len(headers.getall(name, ())) > 1:
            raise BadHead.invalid()
    coding = headers.get("transfer-encoding")
    if coding is None:
        head.length = int(headers.get("content-length", "0"))
        return
    if coding.lower() != "chunked" or not head.is_1_1:
        raise BadHead.invalid()
    head.length = None
