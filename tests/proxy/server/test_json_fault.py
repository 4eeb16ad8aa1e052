from __future__ import annotations

import json  # noqa: TID251 - a second opinion

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.server import json_fault
from proxy.server.json_fault import find_fault

FAULTS = [
    # text, path, byte, what
    (b"", "", 0, "it is empty"),
    (b"  \n", "", 3, "it is empty"),
    (b"[1]", "", 0, "it must be an object"),
    (b'"x"', "", 0, "it must be an object"),
    (b"\xef\xbb\xbf{}", "", 0, "it must be an object"),
    (b'{"a":NaN}', "a", 5, "NaN is no JSON number"),
    (b'{"a":[1,Infinity]}', "a[1]", 8, "Infinity is no JSON number"),
    (b'{"a":{"b":-Infinity}}', "a.b", 10, "-Infinity is no JSON number"),
    (b'{"a":None}', "a", 5, "None is Python"),
    (b'{"a":True}', "a", 5, "True is Python"),
    (b'{"a":undefined}', "a", 5, "undefined is no JSON value"),
    (b'{"a":tru}', "a", 5, "a value is needed, not 'tru'"),
    (b'{"a":nullx}', "a", 5, "a value is needed"),
    (b'{"a":01}', "a", 5, "a value is needed, not '01'"),
    (b'{"a":1.}', "a", 5, "a value is needed, not '1.'"),
    (b'{"a":.5}', "a", 5, "a value is needed, not '.5'"),
    (b'{"a":+1}', "a", 5, "a value is needed, not '+1'"),
    (b'{"a":1e}', "a", 5, "a value is needed, not '1e'"),
    (b'{"a":-}', "a", 5, "a value is needed"),
    (b'{"a":0x1F}', "a", 5, "a value is needed, not '0x1F'"),
    (b'{"a":}', "a", 5, "a value is needed, not '}'"),
    (b'{"a"}', "a", 4, "a key is followed by :, not '}'"),
    (b'{"a":1,}', "", 7, "a comma before }"),
    (b'{"a":[1,]}', "a[1]", 8, "a comma before ]"),
    (b'{"a":[,1]}', "a[0]", 6, "a value is needed, not ','"),
    (b'{"a":1 "b":2}', "a", 7, "an object goes on with , or ends with }"),
    (b'{"a":[1 2]}', "a[0]", 8, "an array goes on with , or ends with ]"),
    (b'{"a":[1}', "a[0]", 7, "an array goes on with , or ends with ], not '}'"),
    (b"{a:1}", "", 1, 'a key in "quotes" is needed'),
    (b"{'a':1}", "", 1, 'a key in "quotes" is needed'),
    (b"{1:1}", "", 1, 'a key in "quotes" is needed'),
    (b"{\"a\":'x'}", "a", 5, "a value is needed"),
    (b'{"a":1}x', "", 7, "'x' follows its end"),
    (b'{"a":1}{"a":1}', "", 7, "'{' follows its end"),
    (b'{"a":1} // no', "", 8, "'/' follows its end"),
    (b'{"a":"x', "a", 7, "it ends inside a string that begins at byte 5"),
    (b'{"a":[1,2', "a[1]", 9, "it ends too early"),
    (b'{"a":1', "a", 6, "it ends too early"),
    (b"{", "", 1, 'a key in "quotes" is needed, not the end'),
    (b'{"a":"\t"}', "a", 6, "a string holds the control character \\x09; write it as \\u0009"),
    (b'{"a":"x\ny"}', "a", 7, "a string holds the control character \\x0a"),
    (b'{"a":"\\x41"}', "a", 6, "a string holds an escape that JSON does not have"),
    (b'{"a":"\\u12"}', "a", 6, "a string holds an escape that JSON does not have"),
    (b'{"a":"ok \\ud800"}', "a", 9, "a string holds the first half of a surrogate pair alone"),
    (b'{"a":"\\ud800\\u0041"}', "a", 6, "a string holds the first half of a surrogate pair alone"),
    (b'{"a":"\\udc00"}', "a", 6, "a string holds the second half of a surrogate pair alone"),
    (b'{"m":[{"c":"\xff"}]}', "m[0].c", 12, "a string is not valid UTF-8"),
    (b'{"m":[{"c":"\xed\xa0\x80"}]}', "m[0].c", 12, "a string is not valid UTF-8"),
    (b'{"\xff":1}', "", 2, "a string is not valid UTF-8"),
    (b'{"odd key":{"a.b":NaN}}', "['odd key']['a.b']", 18, "NaN is no JSON number"),
    (b'{"model":"a","x":{"model":1},"model":"b"}', "model", 29, "model stands twice"),
    (b'{"stream":true,"\\u0073tream":false}', "stream", 15, "stream stands twice"),
    (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "a" + "[0]" * 199, 205, "it is nested deeper than 200 levels"),
    (b'{"a":' + b"[" * 100_000, "a" + "[0]" * 199, 205, "it is nested deeper than 200 levels"),
]


@pytest.mark.parametrize(("text", "path", "offset", "what"), FAULTS, ids=[repr(text[:30]) for text, *_ in FAULTS])
def test_a_fault_has_a_path_a_byte_and_a_reason(text: bytes, path: str, offset: int, what: str) -> None:
    fault = find_fault(text)
    assert fault is not None
    assert (fault.path, fault.offset) == (path, offset)
    assert what in fault.what


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b' {"a" : [ ] , "b" : { } , "c":[{},{},[[]]] } ',
        b'{"a":-0.5e+10,"b":[true,false,null,""],"c":"\\u00e9\\ud83d\\ude00\\"\\\\\\/"}',
        '{"ключ":"значение 😀"}'.encode(),
        b'{"model":"a","x":{"model":1,"model":2},"stream":true}',
    ],
)
def test_what_is_right_has_no_fault(text: bytes) -> None:
    assert find_fault(text) is None


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_whatever_is_encoded_has_no_fault(value: dict[str, object]) -> None:
    assert find_fault(msgspec.json.encode(value)) is None


def _keeps_the_grammar(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@given(st.dictionaries(st.text(), VALUES, min_size=1, max_size=5), st.data())
def test_one_wrong_byte_is_seen_where_the_decoder_sees_one(value: dict[str, object], data: st.DataObject) -> None:
    text = bytearray(msgspec.json.encode(value))
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        is_right = isinstance(msgspec.json.decode(bytes(text)), dict)
    except (ValueError, RecursionError) as error:
        # The grammar allows 1e999, but not 1e999.0, which is called out of range, too.
        is_right = "out of range" in str(error) and _keeps_the_grammar(bytes(text))
    fault = find_fault(bytes(text))
    if fault is not None and "stands twice" in fault.what:
        return
    assert (fault is None) == is_right, fault


def test_a_fault_behind_too_many_tokens_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_fault, "TOKENS_MAX", 100)
    assert find_fault(b'{"a":[' + b"1," * 200 + b"NaN]}") is None
