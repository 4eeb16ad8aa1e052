"""Requests made of the OpenAPI document itself, good ones and bad ones: none is a fault of ours, and each answer is one
that the document foresees.
"""

from __future__ import annotations

import os
import random
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from management.api import TABLE
from management.audit import Audit
from management.openapi import schema_of
from management.resources.logins import PANEL_NAMES
from management.routes import PREFIX

ROUNDS = max(3, int(os.environ.get("PROXY_FAULT_ROUNDS", "3")) // 10)
"""Over all routes."""
NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 1e308, 0.5, "", " ", "x", "null", "\0", "\x7f", "🙂" * 50,
    "../../etc/passwd", "'; DROP TABLE request; --", "•••00000000", "*", "x" * 5000, [], {}, [[]], [None], {"": None},
    {"value": None}, {"items": [1]}, {"name": "x.json", "headers": {"A": None}}, {"index": -1, "value": {}},
    {"old": "x", "new": "x\n"}, {"match": "•••", "value": {"api-key": 1}}, {"disabled": "yes"}, {"names": [1]},
]  # fmt: skip
RAW = [b"", b"{", b"\xff\xfe", b'"\\ud800"', b"[" * 5000, b"NaN", b'{"a":1,"a":2}', b"1" * 400, b"debug: true\n- x"]
LEFT_OUT = {"/server/connections-max", "/events", "/logins", *(f"/{name}-auth-url" for name in PANEL_NAMES)}
"""The first may shut this very test out, the second has no end, the others start programs."""

NOTED = {f"{route.method} {route.path}" for route in TABLE.routes if route.is_change and route.is_noted}


def fitting(schema: Any, chance: random.Random, depth: int = 0) -> Any:
    """Something that the schema allows, mostly."""
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return fitting(chance.choice(options), chance, depth)
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = chance.choice(kind)
    if kind == "object":
        return an_object(schema, chance, depth)
    if kind == "array":
        return [fitting(schema.get("items", {}), chance, depth + 1) for _ in range(chance.randrange(3))]
    if kind == "integer":
        low, high = schema.get("minimum", -5), schema.get("maximum", 10**6)
        return chance.choice([low, high, chance.randint(low, high)])
    return chance.choice(SIMPLE.get(kind, NASTY))


SIMPLE: dict[str, list[Any]] = {
    "number": [0, 1.5, 90],
    "boolean": [True, False],
    "null": [None],
    "string": ["x", "a-long-word-of-some-kind", "https://api.example.com", "90s", "m-1", "file.json"],
}


def an_object(schema: Any, chance: random.Random, depth: int) -> Any:
    required = schema.get("required", [])
    members = {
        name: fitting(each, chance, depth + 1)
        for name, each in schema.get("properties", {}).items()
        if name in required or (chance.random() < 0.3 and depth < 4)
    }
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict) and depth < 4:
        members["codex"] = fitting(extra, chance, depth + 1)
    return members


def body_of(operation: Any, chance: random.Random) -> bytes | None:
    content = operation.get("requestBody", {}).get("content")
    if content is None:
        return None
    schema = next(iter(content.values()))["schema"]
    pick = chance.random()
    if pick < 0.5:
        return msgspec.json.encode(fitting(schema, chance))
    return msgspec.json.encode(chance.choice(NASTY)) if pick < 0.8 else chance.choice(RAW)


def query_of(operation: Any, chance: random.Random) -> str:
    pairs = []
    for each in operation.get("parameters", []):
        if each["in"] == "query" and chance.random() < 0.5:
            value = fitting(each["schema"], chance) if chance.random() < 0.6 else chance.choice(NASTY)
            pairs.append(f"{quote(each['name'])}={quote(str(value)[:300], safe='')}")
    return "?" + "&".join(pairs) if pairs else ""


def path_of(path: str, operation: Any, chance: random.Random) -> str:
    for each in operation.get("parameters", []):
        if each["in"] == "path":
            word = chance.choice(["x", "r-1", "a.json", "..", "%2e%2e%2fconfig.yaml", "%00", "%ff", "•••", "x" * 500])
            path = path.replace(f"{{{each['name']}}}", quote(word, safe="%"))
    return path.removeprefix(PREFIX)


@pytest.mark.parametrize("seed", range(2))
async def test_no_request_is_a_fault_of_ours(open_stage: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: set[object] = set()
    changed: set[object] = set()
    note = Audit.note

    def spy(audit: Audit, **fields: object) -> None:
        noted.add(fields["action"])
        note(audit, **fields)

    monkeypatch.setattr(Audit, "note", spy)
    chance = random.Random(seed)  # noqa: S311 - the same each time
    text = (
        "claude-api-key: [{api-key: sk-ant-x-of-mine}]\nopenai-compatibility: [{name: a, base-url: 'https://a.test'}]\n"
    )
    async with open_stage(text) as stage:
        good = stage.config.read_bytes()
        stage.accounts.mkdir(mode=0o700, exist_ok=True)
        (stage.accounts / "a.json").write_text('{"type": "claude-api-key", "api-key": "sk-ant-y-of-mine"}')
        await stage.ask("POST", "/reload")
        paths = (await stage.get("/openapi.json"))["paths"]
        statuses: dict[int, int] = {}
        for _ in range(ROUNDS):
            routes = [(path, *each) for path, methods in paths.items() for each in methods.items()]
            chance.shuffle(routes)
            for path, method, operation in routes:
                if path.removeprefix(PREFIX) in LEFT_OUT:
                    continue
                raw = body_of(operation, chance)
                target = path_of(path, operation, chance) + query_of(operation, chance)
                answer = await stage.ask(method.upper(), target, raw)
                told = f"{method.upper()} {target} {raw!r:.300} → {answer.status} {answer.body[:300]!r}"
                assert answer.status < 500, told
                assert str(answer.status) in operation["responses"], told
                assert b"of-mine" not in answer.body or "download" in path, told
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
                if answer.status < 300:
                    changed.add(f"{method.upper()} {path.removeprefix(PREFIX)}")
            stage.config.write_bytes(good)
            await stage.ask("POST", "/reload")
    assert statuses[200] > 100
    assert statuses[400] > 100
    assert noted & NOTED == changed & NOTED, "whatever changes something is in the audit log"
    assert len(noted & NOTED) > 20


def test_a_type_has_the_schema_of_its_json() -> None:
    class Shape(msgspec.Struct):
        a: int

    assert schema_of(Shape)["properties"] == {"a": {"type": "integer"}}
    assert schema_of({"type": "string"}) == {"type": "string"}
