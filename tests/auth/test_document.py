from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.document import DEPTH_MAX, Document, JsonValue
from auth.refusal import Refused

texts = st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(texts, values, max_size=6), values)
def test_unknown_members_survive_any_change(fields: dict[str, JsonValue], value: JsonValue) -> None:
    raw = msgspec.json.format(msgspec.json.encode({**fields, "mine": 1}), indent=3)
    changed = Document.parse(Document.parse(raw).changed({"mine": value}).render())
    before = Document.parse(raw)
    assert {key: part for key, part in changed.parts.items() if key != "mine"} == {
        key: part for key, part in before.parts.items() if key != "mine"
    }
    assert list(changed.fields) == [key for key in before.fields if key != "mine" or value is not None]
    assert changed.fields.get("mine") == value


@pytest.mark.parametrize(
    "text", ["1.50", "1e5", "123456789012345678901234567890", r'"\u00e9\/"', '{"b" : 1,  "a":[ ]}', "-0.0"]
)
def test_a_value_keeps_its_spelling(text: str) -> None:
    raw = b'{"x": %s, "y": 1}' % text.encode()
    assert b'"x": %s,' % text.encode() in Document.parse(raw).changed({"y": 2}).render()


def test_a_key_keeps_the_spelling_that_it_has() -> None:
    document = Document.parse(b'{"proxy_url": "direct", "type": "x"}')
    assert document.changed({"proxy-url": "none", "note": "n"}).render() == (
        b'{\n  "proxy_url": "none",\n  "type": "x",\n  "note": "n"\n}\n'
    )
    assert document.changed({"proxy-url": None}).fields == {"type": "x"}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"[]", "holds no JSON object"),
        (b'"x"', "holds no JSON object"),
        (b'{"a": 1', "is no JSON, or not all of it"),
        (b'{"a": NaN}', "is no JSON"),
        (b'{"a": "\\ud800"}', "is no JSON"),
        (b'{"a": "\xff"}', "is no JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "is no JSON"),
        (b'{"a": 1}{"a": 1}', "is no JSON"),
        (b"\x00" * 100, "is no JSON"),
        (b"[" * 100_000, f"deeper than {DEPTH_MAX}"),
        (b'{"a":' * 100_000, f"deeper than {DEPTH_MAX}"),
        (b'{"a":' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}", f"deeper than {DEPTH_MAX}"),
    ],
)
def test_what_is_no_object_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words):
        Document.parse(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        document = Document.parse(raw)
    except Refused:
        return
    assert Document.parse(document.render()) == document


def test_it_prints_without_values() -> None:
    assert repr(Document.of({"type": "x", "api-key": "sk-secret"})) == "Document(type, api-key)"
