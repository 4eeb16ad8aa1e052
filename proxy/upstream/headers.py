"""Which headers go to a provider, and which of its answer's come back.

Both ways the connection's own headers are made anew by each side. Inwards only names on the list pass: no cookie, no
account's name, nothing that steers a cache or a browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from multidict import CIMultiDict, CIMultiDictProxy

from proxy.codings import ENCODINGS

_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Of this connection (RFC 9110 §7.6.1), not of the call: what a caller gives of them is not sent."""

_PASSED = frozenset(
    {
        "content-disposition",
        "content-type",
        "date",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "www-authenticate",
        "x-reasoning-included",
        "x-request-id",
        "x-should-retry",
    }
)
_PASSED_PREFIXES = ("anthropic-ratelimit-", "ratelimit", "x-codex-", "x-ratelimit-")

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~\u0080-\ud7ff\ue000-\U0010ffff]*")


def outgoing(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What is sent. Raises ValueError on what HTTP cannot carry, naming the header and never its value.

    Bodies come back decoded, so only encodings that can be undone are accepted; none unless the caller asks.
    """
    sent: list[tuple[str, str]] = []
    accepted = "identity"
    for name, value in headers:
        match _kind(name):
            case "":
                raise ValueError(f"the header name {name[:40]!r} has a character that HTTP does not allow")
            case "accept-encoding":
                accepted = _acceptable(value)
            case "passed":
                if not _VALUE.fullmatch(value):
                    raise ValueError(f"the value of the header {name!r} has a character that HTTP does not allow")
                sent.append((name, value))
    sent.append(("Accept-Encoding", accepted))
    return sent


def incoming(headers: Mapping[str, str]) -> Mapping[str, str]:
    """What is believed of an answer's head. Case-insensitive; a repeated name is kept as often as it came."""
    passed: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if _is_passed(name) and _VALUE.fullmatch(value):
            passed.add(name, value)
    return CIMultiDictProxy(passed)


@lru_cache(maxsize=1024)
def told_of(name: bytes) -> str | None:
    """For a connection's reader: the name of a header that is believed; ``length`` and ``encoding`` for those that say
    how the body comes (no header of an answer has these names); None: it is nobody's business.
    """
    text = name.decode("utf-8", "surrogateescape")
    if text.lower() in {"content-length", "transfer-encoding"}:
        return "length"
    if text.lower() == "content-encoding":
        return "encoding"
    return text if _is_passed(text) else None


def is_value(text: str) -> bool:
    return (text.isascii() and text.isprintable()) or _VALUE.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _kind(name: str) -> str:
    lower = name.lower()
    if not _NAME.fullmatch(name):
        return ""
    if lower == "accept-encoding":
        return lower
    return "ours" if lower in _OURS else "passed"


@lru_cache(maxsize=1024)
def _is_passed(name: str) -> bool:
    lower = name.lower()
    return lower in _PASSED or lower.startswith(_PASSED_PREFIXES)


@lru_cache(maxsize=256)
def _acceptable(value: str) -> str:
    known = [part for part in value.split(",") if part.split(";")[0].strip().lower() in ENCODINGS]
    return ",".join(known).strip() or "identity"
