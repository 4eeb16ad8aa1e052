from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.hub.parts import Text
from proxy.hub.profile import Profile
from proxy.hub.request import Hints, Message, OutputFormat, Request, Sampling
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.anthropic import WIRE

PLAIN = Profile(maker="anthropic")
FAST = Profile(maker="anthropic", extras=frozenset({"speed"}))
NO_SCHEMA = Profile(maker="anthropic", has_json_schema=False)
BASE = Request(model="m", messages=(Message(role="user", parts=(Text(text="Hi"),)),))
SCHEMA: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


def rendered(request: Request, profile: Profile = PLAIN) -> tuple[JsonObject, list[str]]:
    """The body without what is always there, and the paths of the losses."""
    out = WIRE.render_request(request, profile)
    body = {key: value for key, value in out.body.items() if key not in {"model", "messages", "max_tokens"}}
    return body, [loss.path for loss in out.losses]


def test_bug_53_a_schema_reaches_the_upstream() -> None:
    form = OutputFormat(kind="json_schema", schema=SCHEMA)
    body, lost = rendered(replace(BASE, output=form))
    assert body == {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    assert lost == []


@pytest.mark.parametrize(("temperature", "kept"), [(0.3, {"temperature": 0.3}), (1, {"top_p": 0.9})])
def test_one_sampler_where_the_model_takes_no_two(temperature: float, kept: JsonObject) -> None:
    request = replace(BASE, sampling=Sampling(temperature=temperature, top_p=0.9))
    body, lost = rendered(request, replace(PLAIN, mixes_sampling=False))
    assert body == kept
    assert {*kept, *lost} == {"temperature", "top_p"}


def test_what_a_schema_has_no_room_for() -> None:
    form = OutputFormat(kind="json_schema", schema=SCHEMA, name="answer", description="d", is_strict=False)
    body, lost = rendered(replace(BASE, output=form))
    assert lost == ["response_format.strict"]
    config = body["output_config"]
    assert isinstance(config, dict)
    assert config["format"] == {"type": "json_schema", "schema": {"description": "d", **SCHEMA}}


def test_bug_53_json_without_a_schema_is_asked_for_in_words() -> None:
    request = replace(BASE, instructions=(Text(text="Be brief."),), output=OutputFormat(kind="json"))
    body, lost = rendered(request)
    system = body["system"]
    assert isinstance(system, list)
    assert system[0] == {"type": "text", "text": "Be brief."}
    assert isinstance(system[1], dict)
    assert "JSON" in str(system[1]["text"])
    assert lost == ["response_format"]


def test_a_schema_that_cannot_be_enforced_is_told_in_words() -> None:
    body, lost = rendered(replace(BASE, output=OutputFormat(kind="json_schema", schema=SCHEMA)), NO_SCHEMA)
    assert '"additionalProperties":false' in str(body["system"])
    assert "output_config" not in body
    assert lost == ["response_format"]


def test_plain_text_is_nothing_to_ask_for() -> None:
    assert rendered(replace(BASE, output=OutputFormat(kind="text"))) == ({}, [])


@pytest.mark.parametrize(
    ("tier", "profile", "body", "lost"),
    [
        ("auto", PLAIN, {"service_tier": "auto"}, []),
        ("default", PLAIN, {"service_tier": "standard_only"}, []),
        ("fast", FAST, {"speed": "fast"}, []),
        ("priority", FAST, {"speed": "fast"}, []),
        ("fast", PLAIN, {}, ["service_tier"]),
        ("flex", FAST, {}, ["service_tier"]),
    ],
)
def test_tiers(tier: str, profile: Profile, body: JsonObject, lost: list[str]) -> None:
    assert rendered(replace(BASE, hints=Hints(service_tier=tier)), profile) == (body, lost)


def test_hints() -> None:
    hints = Hints(user="user-1", metadata={"a": "b"}, verbosity="low", cache_key="k")
    assert rendered(replace(BASE, hints=hints)) == (
        {"metadata": {"user_id": "user-1"}},
        ["metadata.a", "verbosity", "prompt_cache_key"],
    )
    assert rendered(replace(BASE, hints=Hints(user="ada@example.com"))) == ({}, ["user"])


@pytest.mark.parametrize(
    ("sampling", "body", "lost"),
    [
        (Sampling(temperature=1.0, top_p=1, top_k=0), {"temperature": 1.0, "top_p": 1, "top_k": 0}, []),
        (Sampling(temperature=1.2), {"temperature": 1.0}, ["temperature"]),
        (Sampling(stop=("a", "b")), {"stop_sequences": ["a", "b"]}, []),
        (Sampling(stop=("\n\n",)), {}, ["stop"]),
        (Sampling(logprobs=0, seed=0), {}, ["seed", "logprobs"]),
    ],
)
def test_sampling(sampling: Sampling, body: dict[str, JsonValue], lost: list[str]) -> None:
    assert rendered(replace(BASE, sampling=sampling)) == (body, lost)


def test_stop_sequences_where_none_are_taken() -> None:
    profile = Profile(maker="anthropic", sampling=frozenset())
    assert rendered(replace(BASE, sampling=Sampling(stop=("a",))), profile) == ({}, ["stop"])
