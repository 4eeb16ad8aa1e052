"""The forms in which software writes one and the same string: where a secret is looked for.

`spellings` gives the bytes of each form. What stands before or after the secret never matters: base64 is given at its
three alignments, without the letters that it shares with its neighbours.
"""

from __future__ import annotations

import base64
import html
import json  # noqa: TID251 - the escapes that other programs write, not JSON that is read
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

BYTES_MIN = 6
"""Shorter than this is found everywhere by chance; it is not looked for."""

_URL_SAFE = ("", "/", "!'()*", "/?:@", "/?:@!$'()*,;", "/?:@!$&'()*+,;=")
"""What URL writers leave alone: RFC 3986 strictly, Python, JavaScript's encodeURIComponent, paths, queries."""
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_UNICODE_ESCAPE = re.compile(r"\\u[0-9a-f]{4}")


def spellings(text: str) -> frozenset[bytes]:
    raw = text.encode("utf-8", "surrogatepass")
    forms = {raw, repr(raw)[2:-1].encode(), *_base64(raw), raw.hex().encode(), raw.hex().upper().encode()}
    for form in (*_json(text), *_url(raw), *_html(text), repr(text)[1:-1]):
        forms.add(form.encode("utf-8", "surrogatepass"))
    return frozenset(form for form in forms if len(form) >= BYTES_MIN)


def _json(text: str) -> Iterator[str]:
    for is_ascii in (False, True):
        plain = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        for_html = plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        for form in {plain, plain.replace("/", "\\/"), for_html}:
            yield form
            yield _UNICODE_ESCAPE.sub(lambda match: "\\u" + match[0][2:].upper(), form)
            yield json.dumps(form, ensure_ascii=False)[1:-1]  # JSON told inside JSON


def _url(raw: bytes) -> Iterator[str]:
    forms = {quote(raw, safe=safe) for safe in _URL_SAFE} | {quote_plus(raw)}
    for form in forms:
        yield form
        yield _PERCENT.sub(lambda match: match[0].lower(), form)


def _html(text: str) -> Iterator[str]:
    yield html.escape(text, quote=False)
    yield html.escape(text)


def _base64(raw: bytes) -> Iterator[bytes]:
    for shift, first in ((0, 0), (1, 2), (2, 3)):  # bytes before it; letters that those bytes touch
        last = (shift + len(raw)) * 8 // 6  # the letter after it holds bits of what follows
        padded = bytes(shift) + raw
        yield base64.b64encode(padded)[first:last]
        yield base64.urlsafe_b64encode(padded)[first:last]
