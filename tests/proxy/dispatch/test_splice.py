from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dispatch.splice import joined, members, raw, replaced, span
from proxy.errors import Malformed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


def test_a_member_is_replaced_and_nothing_else() -> None:
    body = b'{"seed": 1e2, "model" : "alias", "new_field":{"b":1.0, "a":[1,2]},"messages":[]}'
    fields = members(body)
    fields["model"] = raw("upstream")
    assert joined(fields) == b'{"seed":1e2,"model":"upstream","new_field":{"b":1.0, "a":[1,2]},"messages":[]}'


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"nan"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        members(body)


@pytest.mark.parametrize(
    ("data", "path", "expected"),
    [
        (b'{"model":"a"}', ("model",), b'{"model":"Z"}'),
        (b'data: {"id":"1","model" : "a","x":2}\n\n', ("model",), b'data: {"id":"1","model" : "Z","x":2}\n\n'),
        (b'{"message":{"model":"a"},"model":"b"}', ("message", "model"), b'{"message":{"model":"Z"},"model":"b"}'),
        (b'{"message":{"model":"a"},"model":"b"}', ("model",), b'{"message":{"model":"a"},"model":"Z"}'),
        (b'{"tools":[{"model":"a"}],"model":"b"}', ("model",), b'{"tools":[{"model":"a"}],"model":"Z"}'),
        (b'{"x":"\\"model\\":\\"a\\"","model":"b"}', ("model",), b'{"x":"\\"model\\":\\"a\\"","model":"Z"}'),
        (b'{"x":"model","model":"b"}', ("model",), b'{"x":"model","model":"Z"}'),
        (b'{"model":null}', ("model",), b'{"model":null}'),
        (b'{"model":{"name":"a"}}', ("model",), b'{"model":{"name":"a"}}'),
        (b'{"message":"model","model":"b"}', ("message", "model"), b'{"message":"model","model":"b"}'),
        (b'{"message":{"id":1},"model":"b"}', ("message", "model"), b'{"message":{"id":1},"model":"b"}'),
        (b": ping\n\n", ("model",), b": ping\n\n"),
        (b"data: [DONE]\n\n", ("model",), b"data: [DONE]\n\n"),
    ],
)
def test_the_right_model_is_replaced(data: bytes, path: tuple[str, ...], expected: bytes) -> None:
    assert replaced(data, path, b'"Z"') == expected


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5), st.text(), st.integers(0, 5))
def test_in_any_object_exactly_the_top_member_is_found(others: dict[str, object], name: str, position: int) -> None:
    items = [(key, value) for key, value in others.items() if key != "model"]
    items.insert(min(position, len(items)), ("model", name))
    data = msgspec.json.encode(dict(items))
    where = span(data, ("model",))
    assert where is not None
    assert msgspec.json.decode(data[where[0] : where[1]]) == name
    assert msgspec.json.decode(replaced(data, ("model",), b'"Z"')) == {**dict(items), "model": "Z"}
