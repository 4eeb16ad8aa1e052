from __future__ import annotations

from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from proxy.config.payload import Payload, PayloadFilter, PayloadModel, PayloadRule, RawPayloadRule
from proxy.dispatch.inquiry import Inquiry
from proxy.dispatch.payload import Edits
from proxy.dispatch.splice import joined, members
from proxy.hub.residue import JsonObject

BODY: dict[str, Any] = {"model": "m", "temperature": 1, "options": {"a": 1, "b": None}, "list": [{"x": 1}, {"x": 2}]}


def rule(*models: PayloadModel, **params: Any) -> PayloadRule:
    return PayloadRule(models=models, params={key.replace("__", "."): value for key, value in params.items()})


def taken(*params: str) -> PayloadFilter:
    return PayloadFilter(params=params)


def both_ways(payload: Payload, body: dict[str, Any]) -> dict[str, Any]:
    """Deep and shallow editing must agree."""
    edits = Edits(payload, "m", "openai_chat")
    deep = msgspec.json.decode(msgspec.json.encode(body))
    edits.apply(deep)
    fields = members(msgspec.json.encode(body))
    edits.apply_shallow(fields)
    assert msgspec.json.decode(joined(fields)) == deep
    assert isinstance(deep, dict)
    return deep


@pytest.mark.parametrize(
    ("payload", "changed"),
    [
        (Payload(default=(rule(temperature=0.5),)), {}),
        (Payload(default=(rule(top_p=0.5), rule(top_p=0.9))), {"top_p": 0.5}),
        (Payload(default=(rule(options__b=7),)), {"options": {"a": 1, "b": 7}}),
        (Payload(default=(rule(deep__er=7),)), {"deep": {"er": 7}}),
        (Payload(override=(rule(temperature=0.5), rule(temperature=0.6))), {"temperature": 0.6}),
        (Payload(override=(rule(list__1__x=9),)), {"list": [{"x": 1}, {"x": 9}]}),
        (Payload(override=(rule(temperature__x=9),)), {}),
        (Payload(override=(rule(list__7__x=9),)), {}),
        (Payload(filter=(taken("options.a", "nowhere.x"),)), {"options": {"b": None}}),
        (Payload(filter=(taken("list.0"),)), {"list": [{"x": 2}]}),
    ],
)
def test_rules(payload: Payload, changed: dict[str, Any]) -> None:
    assert both_ways(payload, BODY) == {**BODY, **changed}


def test_defaults_come_before_overrides_and_filters_come_last() -> None:
    payload = Payload(default=(rule(x=1, y=1),), override=(rule(x=2),), filter=(taken("y", "temperature"),))
    edited = both_ways(payload, BODY)
    assert edited["x"] == 2
    assert not {"y", "temperature"} & edited.keys()


@pytest.mark.parametrize(
    ("model", "applies"),
    [
        (PayloadModel(name="*"), True),
        (PayloadModel(name="gpt-*"), True),
        (PayloadModel(name="claude-*"), False),
        (PayloadModel(name="gpt-*", protocol="openai"), True),
        (PayloadModel(name="gpt-*", protocol="codex"), False),
        (PayloadModel(name="gpt-*", protocol="claude"), False),
    ],
)
def test_where_a_rule_applies(model: PayloadModel, applies: bool) -> None:
    assert bool(Edits(Payload(override=(rule(model, x=1),)), "gpt-5", "openai_chat")) is applies


def test_a_rules_value_is_not_shared_between_requests() -> None:
    payload = Payload(default=(rule(options={"a": {}}),), override=(rule(options__a__b=1),))
    edits = Edits(payload, "m", "openai_chat")
    edits.apply({})
    assert payload.default[0].params == {"options": {"a": {}}}


def raw_rule(**params: Any) -> RawPayloadRule:
    return RawPayloadRule(params={key.replace("__", "."): value for key, value in params.items()})


def test_raw_rules_come_after_the_others_and_hold_json() -> None:
    payload = Payload(
        default=(rule(x=1),),
        default_raw=(raw_rule(x='"late"', schema='{"type":"object","n":[1,null]}'),),
        override=(rule(temperature=0.5),),
        override_raw=(raw_rule(temperature="0.75", stop=["as", "it", "is"]),),
    )
    edited = both_ways(payload, BODY)
    assert (edited["x"], edited["schema"]) == (1, {"type": "object", "n": [1, None]})
    assert (edited["temperature"], edited["stop"]) == (0.75, ["as", "it", "is"])


@pytest.mark.parametrize(
    ("where", "is_applied"),
    [
        (PayloadModel(match=({"model": "m"},)), True),
        (PayloadModel(match=({"model": "m", "options.a": 1},)), True),
        (PayloadModel(match=({"model": "m"}, {"options.a": 2})), False),
        (PayloadModel(match=({"list.1.x": 2},)), True),
        (PayloadModel(match=({"nowhere": None},)), True),
        (PayloadModel(not_match=({"options.a": 2},)), True),
        (PayloadModel(not_match=({"options.a": 2}, {"model": "m"})), False),
        (PayloadModel(exist=("options.a", "list.0")), True),
        (PayloadModel(exist=("options.a", "options.b")), False),
        (PayloadModel(not_exist=("options.b", "stop")), True),
        (PayloadModel(not_exist=("temperature",)), False),
        (PayloadModel(name="other", exist=("model",)), False),
    ],
)
def test_a_rule_may_ask_about_the_body(where: PayloadModel, is_applied: bool) -> None:
    payload = Payload(override=(rule(where, seed=7),), filter=(PayloadFilter(models=(where,), params=("list",)),))
    edited = both_ways(payload, BODY)
    assert (edited.get("seed") == 7, "list" not in edited) == (is_applied, is_applied)


def test_what_is_asked_about_the_body_is_what_the_client_sent() -> None:
    first = rule(PayloadModel(not_exist=("seed",)), seed=1)
    second = rule(PayloadModel(not_exist=("seed",)), top_k=2)
    edited = both_ways(Payload(override=(first, second)), BODY)
    assert (edited["seed"], edited["top_k"]) == (1, 2)


@pytest.mark.parametrize(
    ("where", "is_applied"),
    [
        (PayloadModel(keys=("lap*",)), True),
        (PayloadModel(keys=("desk", "laptop")), True),
        (PayloadModel(keys=("desk",)), False),
        (PayloadModel(from_protocol="claude"), True),
        (PayloadModel(from_protocol="openai"), False),
        (PayloadModel(protocol="openai", from_protocol="claude"), True),
        (PayloadModel(headers={"X-Tier": "team-*"}), True),
        (PayloadModel(headers={"x-tier": "team-*", "x-other": "?*"}), False),
        (PayloadModel(keys=("laptop",), exist=("nowhere",)), False),
        (PayloadModel(keys=("laptop",), exist=("model",)), True),
    ],
)
def test_a_rule_may_ask_about_the_client(where: PayloadModel, is_applied: bool) -> None:
    edits = Edits(Payload(default=(rule(where, seed=7),)), "m", "openai_chat")
    inquiry = Inquiry(
        request_id="r",
        wire="anthropic",
        operation="generate",
        model="m",
        is_stream=False,
        body=b"",
        headers=CIMultiDict({"X-Tier": "team-blue"}),
        query={},
        client="laptop",
    )
    own = edits.of(inquiry)
    body: JsonObject = {"model": "m"}
    own.apply(body)
    assert (body.get("seed") == 7) is is_applied


def test_rules_without_conditions_are_the_same_for_everybody() -> None:
    edits = Edits(Payload(default=(rule(PayloadModel(name="m*"), seed=7),)), "m", "openai_chat")
    assert edits.of(None) is edits  # type: ignore[arg-type]  # it is not looked at
    assert not Edits(Payload(default=(rule(PayloadModel(name="x", keys=("a",)), seed=7),)), "m", "openai_chat")
