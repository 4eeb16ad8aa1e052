from __future__ import annotations

import pytest

from proxy.errors import Malformed
from proxy.hub.loss import Loss
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape


def fields(value: JsonValue, path: str = "") -> Fields:
    return Fields(value, wire="here", path=path)


def test_what_nobody_takes_is_residue() -> None:
    taken = fields({"a": 1, "b": "two", "c": None})
    assert taken.take_int("a") == 1
    assert taken.take_str("c") is None
    assert taken.residue() == Residue(wire="here", fields={"b": "two", "c": None})


def test_nothing_left_and_nothing_to_say_is_no_residue() -> None:
    taken = fields({"a": 1})
    taken.take("a")
    assert taken.residue() is None
    assert taken.residue(content="string") == Residue(wire="here", shape={"content": "string"})


def test_the_clients_object_is_left_alone() -> None:
    value: JsonObject = {"a": 1}
    fields(value).take("a")
    assert value == {"a": 1}


@pytest.mark.parametrize(
    ("take", "value", "message"),
    [
        ("take_str", 5, r"outer\.key must be a string, not a number"),
        ("take_str", ["x"], r"outer\.key must be a string, not an array"),
        ("take_int", 4.5, r"outer\.key must be an integer, not a number"),
        ("take_int", True, r"outer\.key must be an integer, not a boolean"),
        ("take_number", "4", r"outer\.key must be a number, not a string"),
        ("take_number", False, r"outer\.key must be a number, not a boolean"),
        ("take_bool", 1, r"outer\.key must be a boolean, not a number"),
        ("take_list", {}, r"outer\.key must be an array, not an object"),
        ("take_object", [], r"outer\.key must be an object, not an array"),
        ("take_fields", "x", r"outer\.key must be an object, not a string"),
        ("need_str", None, r"outer\.key is required and must be a string"),
        ("need_int", None, r"outer\.key is required and must be an integer"),
        ("need_list", None, r"outer\.key is required and must be an array"),
        ("need_str", {}, r"outer\.key must be a string, not an object"),
    ],
)
def test_a_wrong_type_is_refused_with_its_path(take: str, value: JsonValue, message: str) -> None:
    with pytest.raises(Malformed, match=message) as caught:
        getattr(fields({"key": value}, "outer"), take)("key")
    assert caught.value.path == "outer.key"


def test_only_objects_have_fields() -> None:
    with pytest.raises(Malformed, match=r"messages\[0\] must be an object, not null") as caught:
        fields(None, "messages[0]")
    assert caught.value.path == "messages[0]"
    with pytest.raises(Malformed, match="the body must be an object"):
        fields([])


def test_a_whole_float_is_an_integer() -> None:
    assert fields({"n": 4.0}).take_int("n") == 4
    number = fields({"n": 4}).take_number("n")
    assert isinstance(number, int)


def test_fields_of_fields_know_their_path() -> None:
    inner = fields({"a": {"b": {"c": 5}}}).take_fields("a")
    assert inner is not None
    deeper = inner.take_fields("b")
    assert deeper is not None
    assert deeper.at("c") == "a.b.c"


def test_a_known_key_can_be_given_back() -> None:
    taken = fields({"tier": "odd"})
    value = taken.take("tier")
    assert "tier" not in taken
    taken.give_back("tier", value)
    assert taken.residue() == Residue(wire="here", fields={"tier": "odd"})


def test_residue_speaks_to_its_own_wire_only() -> None:
    residue = Residue(wire="here", fields={"a": 1}, shape={"content": "string"})
    assert residue_fields(residue, "here") == {"a": 1}
    assert residue_fields(residue, "there") == residue_fields(None, "here") == {}
    assert residue_shape(residue, "here", "content") == "string"
    assert residue_shape(residue, "there", "content") is None


def test_each_foreign_field_is_a_loss_unless_it_said_nothing() -> None:
    residue = Residue(wire="there", fields={"a": 1, "b": None, "c": [], "d": {}, "e": False, "id": "x"}, shape={"s": 1})
    losses = list(residue_losses(residue, "here", "messages[2]"))
    assert losses == [
        Loss("messages[2].a", "a", "only there knows it"),
        Loss("messages[2].e", "e", "only there knows it"),
    ]
    assert list(residue_losses(residue, "there")) == []
    assert next(residue_losses(residue, "here")).path == "a"


def test_what_goes_without_saying_is_no_loss() -> None:
    usual = Residue(wire="there", fields={"type": "message", "role": "assistant", "caller": {"type": "direct"}})
    assert list(residue_losses(usual, "here")) == []
    unusual = Residue(wire="there", fields={"caller": {"type": "code_execution", "tool_id": "t"}})
    assert [loss.what for loss in residue_losses(unusual, "here")] == ["caller"]
