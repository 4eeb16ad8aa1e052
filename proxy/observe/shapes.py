"""What a credential looks like when nobody has told us about it: well-known prefixes, names and places.

A rule costs nearly nothing until one of its hints is in the bytes. In running text a value without a digit is a word
("api key: required"), not a secret.

Hints and patterns are written for folded bytes: lower case, ``_`` for ``-``, every byte at its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

SENSITIVE_NAMES = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "authorization",
        "client_secret",
        "code_verifier",
        "cookie",
        "id_token",
        "password",
        "proxy_authorization",
        "refresh_token",
        "secret_key",
        "set_cookie",
        "x_api_key",
        "x_goog_api_key",
    }
)
"""Names of headers, fields and parameters whose whole value is secret. Lower case, with ``_`` for ``-``."""

SENSITIVE_PARAMETERS = SENSITIVE_NAMES | {"key", "token", "code", "state", "sig", "signature"}
"""The same, in a URL's query."""


def is_sensitive(name: str) -> bool:
    return name.lower().replace("-", "_") in SENSITIVE_NAMES


def is_sensitive_parameter(name: str) -> bool:
    return name.lower().replace("-", "_") in SENSITIVE_PARAMETERS


class Rule(NamedTuple):
    hints: tuple[bytes, ...]
    """The pattern is tried where one of them starts."""
    pattern: re.Pattern[bytes]
    """Its first group is the secret; all of it when there is none."""


_START = rb"(?<![\w+/=.])"
"""A token starts here: never in the middle of a base64 blob."""
_SEPARATOR = rb"\\{0,3}[\"']?\s{0,4}[:=,]\s{0,4}\\{0,3}[\"']?"
"""Between a name and its value, in a header, JSON (also inside JSON), a log line or a list of pairs."""


def _rule(*hints: str, pattern: bytes) -> Rule:
    return Rule(tuple(hint.encode() for hint in hints), re.compile(pattern))


def _one_of(names: Iterable[str]) -> bytes:
    return b"(?:" + "|".join(sorted(names)).encode() + b")"


_VALUE_NAMES = sorted(SENSITIVE_NAMES - {"authorization", "proxy_authorization", "cookie", "set_cookie"})
_VALUE_HINTS = [name for name in _VALUE_NAMES if name not in {"x_api_key", "x_goog_api_key"}]  # `api_key` finds them

RULES: tuple[Rule, ...] = (
    _rule("sk_", "xai_", "gsk_", "pplx_", "gocspx_", pattern=_START + rb"[a-z]+_\w{12,}"),
    _rule("aiza", pattern=_START + rb"aiza\w{20,}"),
    _rule("ya29.", "1//0", pattern=_START + rb"[\w./]{4,5}[\w.]{12,}"),
    _rule("gho_", "ghp_", "ghs_", "ghu_", "hf_", pattern=_START + rb"[a-z]+_[a-z0-9]{20,}"),
    _rule("eyj", pattern=_START + rb"eyj\w{6,}\.\w{6,}(?:\.\w*){0,3}"),
    _rule("bearer ", "basic ", pattern=rb"[a-z]+\s+(?=[^\s\"']*\d)([\w.~+/=]{8,})"),
    _rule("authorization", pattern=rb"[a-z]+" + _SEPARATOR + rb"(?:\w+\s+)?([\w.~+/=]{6,})"),
    _rule("cookie", pattern=rb"cookie" + _SEPARATOR + rb"([^\"'\r\n]*=[^\"'\r\n]*)"),
    _rule(
        *_VALUE_HINTS,
        pattern=_one_of(_VALUE_HINTS) + _SEPARATOR + rb"(?=[^\s\"']*\d)([^\s\"'\\&,;}\])]{8,})",
    ),
    _rule("?", "&", pattern=rb"." + _one_of(SENSITIVE_PARAMETERS) + rb"=([^&\s\"'#\\<>]+)"),
    _rule("://", pattern=rb"://[^/\s:@\"'?#]{0,256}:([^/\s@\"'?#]{1,256})@"),
)


def shape_spans(data: bytes) -> Iterator[tuple[int, int]]:
    """Where something that looks like a credential starts and ends."""
    folded = data.lower().replace(b"-", b"_")
    find = folded.find
    for hints, pattern in RULES:
        for hint in hints:
            start = find(hint)
            while start >= 0:
                if match := pattern.match(folded, start):
                    yield match.span(pattern.groups)
                start = find(hint, start + len(hint))
