from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.config.payload import Payload, PayloadFilter, PayloadModel, PayloadRule
from proxy.dispatch.payload import Edits
from proxy.dispatch.splice import joined, members

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
