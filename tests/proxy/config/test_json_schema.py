"""The JSON Schema agrees with what is read."""

from __future__ import annotations

import jsonschema
import msgspec
import pytest

from proxy.config.complaints import Complaints
from proxy.config.json_schema import json_schema
from proxy.config.load import parse
from proxy.config.nodes import compose, json_of
from proxy.config.sample import sample
from proxy.errors import ConfigError

VALIDATOR = jsonschema.Draft202012Validator(json_schema())

GOOD = [
    "port: 1",
    "port:",
    "api-keys: [a, {api-key: b, name: c, strict: true}]",
    "claude-api-key: [a, {api-key: b, headers: {X: y}, models: [{name: a, alias: b}], weight: 0}]",
    "openai-compatibility: [{name: a, base-url: http://x, api-key-entries: [a, {api-key: b}]}]",
    "routing: {strategy: rr, session-affinity-ttl: 1h30m}",
    "routing: {strategy: , session-affinity-ttl: 90}",
    "oauth-model-alias: {codex: [{name: a, alias: b}]}",
    "payload: {override: [{models: [{name: a, protocol: codex}], params: {a.b: [1, {c: ~}]}}]}",
    "ws-auth: false",
    "codex-api-key: [{api-key: a, websockets: true}]",
]
BAD = [
    "prot: 1",
    "port: abc",
    "port: 70000",
    "tls: {enabled: true}",
    "debug: 1",
    "api-keys: a",
    "claude-api-key: [{weight: 1}]",
    "openai-compatibility: [{name: a}]",
    "routing: {strategy: random}",
    "routing: {session-affinity-ttl: soon}",
    "claude-api-key: [{api-key: a, cloak: {}}]",
    "oauth-model-alias: {codex: [{name: a}]}",
]


def is_valid(text: str) -> bool:
    node = compose(text, Complaints("c"))
    assert node is not None
    return bool(VALIDATOR.is_valid(json_of(node)))


def loads(text: str) -> bool:
    try:
        parse(text.encode())
    except ConfigError:
        return False
    return True


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert msgspec.json.decode(msgspec.json.encode(json_schema())) == json_schema()


@pytest.mark.parametrize("text", [*GOOD, sample()], ids=lambda text: text[:40])
def test_what_loads_is_valid(text: str) -> None:
    assert (loads(text), is_valid(text)) == (True, True)


@pytest.mark.parametrize("text", BAD)
def test_what_has_a_typo_or_a_wrong_type_is_not(text: str) -> None:
    assert (loads(text), is_valid(text)) == (False, False)


def test_editors_can_say_what_a_key_is_for() -> None:
    port = json_schema()["properties"]["port"]  # type: ignore[index,call-overload]  # a schema is a tree
    assert port == {
        "description": "Port to listen on; 0 takes a free one.",
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": 65535,
        "default": 8317,
    }


def test_editors_strike_through_what_is_ignored() -> None:
    assert json_schema()["properties"]["ws-auth"]["deprecated"] is True  # type: ignore[index,call-overload]  # likewise
