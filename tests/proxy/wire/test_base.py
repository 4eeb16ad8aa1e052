from __future__ import annotations

import msgspec
import pytest

from proxy.errors import Malformed, Untranslatable
from proxy.hub.parts import Opaque
from proxy.hub.request import Request
from proxy.hub.residue import JsonValue, Residue
from proxy.wire.base import dumps, expect_object, json_type, loads, loads_upstream, refuse_foreign_state


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '"\\ud83d"', "", "{", "01", "'a'"])
def test_a_client_speaks_json(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": "\\ud83d"}', {"a": "\ud83d"}),
        (b'{"a": NaN, "b": [-Infinity, Infinity]}', {"a": None, "b": [None, None]}),
        (b"[12345678901234567890123]", [12345678901234567890123]),
    ],
)
def test_of_an_upstream_more_is_taken(text: bytes, value: JsonValue) -> None:
    assert loads_upstream(text) == value


@pytest.mark.parametrize("text", [b"{", b"\xff", b'{"a": nan}', b"1" * 5000])
def test_but_not_anything(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        loads_upstream(text)


def test_what_is_sent_is_one_line_of_json() -> None:
    value = {"b": "line\nbreak \u2028", "a": [1, 2.5, None, True]}
    assert dumps(value) == '{"b":"line\\nbreak \u2028","a":[1,2.5,null,true]}'.encode()


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"a": "x\ud83d"}, '{"a":"x\ufffd"}'),
        ({"\ud83d": ["\ud83d\ude00"]}, '{"\ufffd":["😀"]}'),
        ({"a": "\ud83d", "b": msgspec.Raw(b"[1]"), "c": float("nan")}, '{"a":"\ufffd","b":[1],"c":null}'),
    ],
)
def test_halves_of_characters_are_never_sent(value: object, data: str) -> None:
    assert dumps(value).decode() == data


@pytest.mark.parametrize("path", [None, "input[3]"])
def test_what_only_another_wires_servers_keep_is_refused(path: str | None) -> None:
    residue = Residue(wire="here", fields={}, shape={"at": path}) if path else None
    request = Request(model="m", state=(Opaque(wire="here", kind="memory", value="m_1", residue=residue),))
    refuse_foreign_state(request, "here")
    with pytest.raises(Untranslatable, match="known to the servers of here") as refused:
        refuse_foreign_state(request, "there")
    assert (refused.value.path, refused.value.code) == (path or "memory", "unsupported_state")


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "null"), (True, "a boolean"), (1, "a number"), (1.5, "a number"), ("", "a string"), ([], "an array")],
)
def test_what_is_no_object_is_named(value: JsonValue, said: str) -> None:
    with pytest.raises(Malformed, match=f"the body must be an object, not {said}"):
        expect_object(value, "")
    with pytest.raises(Malformed) as refused:
        expect_object(value, "tools[0]")
    assert refused.value.path == "tools[0]"
    assert json_type({}) == "an object"
