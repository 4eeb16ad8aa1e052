from __future__ import annotations

import base64
import html
import json  # noqa: TID251 - as other programs write it
from urllib.parse import quote, quote_plus, urlencode

import pytest

from proxy.observe.spellings import BYTES_MIN, spellings

KEY = "a/b+c=d&é<“x”>'😀"


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        repr(KEY),
        repr(KEY.encode()),
        json.dumps(KEY),
        json.dumps(KEY, ensure_ascii=False),
        json.dumps(json.dumps({"key": KEY}, ensure_ascii=False), ensure_ascii=False),
        json.dumps(KEY, ensure_ascii=False).replace("/", "\\/"),
        quote(KEY),
        quote(KEY, safe=""),
        quote_plus(KEY),
        quote(KEY, safe="").lower(),
        urlencode({"key": KEY}),
        html.escape(KEY),
        KEY.encode().hex(),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(b"user:" + KEY.encode() + b"!").decode(),
        base64.urlsafe_b64encode(b"me:" + KEY.encode()).decode(),
        base64.urlsafe_b64encode(b"u:" + KEY.encode() + b"..").decode(),
    ],
)
def test_each_way_of_writing_is_known(written: str) -> None:
    assert any(form in written.encode() for form in spellings(KEY))


def test_what_chance_would_find_is_left_out() -> None:
    assert spellings("a") == frozenset()
    assert min(len(form) for form in spellings("seven77")) >= BYTES_MIN
