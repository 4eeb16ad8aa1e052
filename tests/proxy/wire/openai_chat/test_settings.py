from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.hub.parts import Text
from proxy.hub.profile import Profile
from proxy.hub.request import Hints, Message, OutputFormat, Request, Sampling
from proxy.wire.base import RenderedRequest
from proxy.wire.openai_chat import WIRE

PLAIN = Profile(maker="openai_chat")
SCHEMA: Any = {"type": "object", "properties": {"a": {"type": "string"}}}


def rendered(profile: Profile = PLAIN, text: str = "go", **more: Any) -> RenderedRequest:
    messages = (Message(role="user", parts=(Text(text=text),)),)
    return WIRE.render_request(Request(model="m", messages=messages, **more), profile)


def paths(answer: RenderedRequest) -> list[str]:
    return [loss.path for loss in answer.losses]


def test_bug_55_sampling_that_the_model_refuses_is_removed() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=3, stop=("x",), seed=1, logprobs=2)
    answer = rendered(replace(PLAIN, sampling=frozenset()), sampling=sampling)
    assert answer.body.keys() == {"model", "messages"}
    assert paths(answer) == ["temperature", "top_p", "top_k", "seed", "stop", "logprobs"]


def test_what_is_too_much_is_clamped_with_a_loss() -> None:
    sampling = Sampling(temperature=2, max_output_tokens=100_000, stop=tuple("abcde"))
    answer = rendered(replace(PLAIN, temperature_max=1.0, max_output_tokens=8192), sampling=sampling)
    assert (answer.body["temperature"], answer.body["max_tokens"]) == (1.0, 8192)
    assert answer.body["stop"] == ["a", "b", "c", "d"]
    assert paths(answer) == ["max_tokens", "temperature", "stop[4:]"]


def test_logprobs(able: Profile) -> None:
    body = rendered(able, sampling=Sampling(logprobs=0)).body
    assert (body["logprobs"], "top_logprobs" in body) == (True, False)
    assert rendered(able, sampling=Sampling(logprobs=4)).body["top_logprobs"] == 4


def test_hints_go_where_they_are_taken(able: Profile) -> None:
    hints = Hints(user="u", metadata={"a": "b"}, service_tier="flex", verbosity="low", cache_key="k")
    body = rendered(able, hints=hints).body
    assert {key: body[key] for key in body.keys() - {"model", "messages"}} == {
        "user": "u", "metadata": {"a": "b"}, "service_tier": "flex", "verbosity": "low", "prompt_cache_key": "k",
    }  # fmt: skip
    assert sorted(paths(rendered(hints=hints))) == ["metadata", "prompt_cache_key", "service_tier", "user", "verbosity"]


def test_another_vendors_user_id_is_not_passed_on(able: Profile) -> None:
    answer = rendered(able, hints=Hints(user='{"device_id":"d","account_uuid":"a"}'))
    assert "user" not in answer.body
    assert paths(answer) == ["user"]


def test_bug_53_a_schema_reaches_the_upstream() -> None:
    answer = rendered(output=OutputFormat(kind="json_schema", schema=SCHEMA))
    assert answer.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": SCHEMA},
    }
    assert answer.losses == ()


def test_bug_53_a_schema_is_told_in_words_where_the_upstream_takes_none() -> None:
    answer = rendered(replace(PLAIN, has_json_schema=False), output=OutputFormat(kind="json_schema", schema=SCHEMA))
    assert answer.body["response_format"] == {"type": "json_object"}
    assert '"properties":{"a"' in str(answer.body["messages"])
    assert paths(answer) == ["response_format.schema"]


@pytest.mark.parametrize(("text", "messages"), [("go", 2), ("give me JSON", 1)])
def test_json_mode_needs_the_word(text: str, messages: int) -> None:
    """OpenAI refuses it where no message speaks of JSON."""
    body = rendered(text=text, output=OutputFormat(kind="json")).body
    assert body["response_format"] == {"type": "json_object"}
    told = body["messages"]
    assert isinstance(told, list)
    assert len(told) == messages


def test_a_schemas_name_is_made_legal_with_a_loss() -> None:
    answer = rendered(output=OutputFormat(kind="json_schema", schema=SCHEMA, name="my answer", is_strict=True))
    assert answer.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "my_answer", "schema": SCHEMA, "strict": True},
    }
    assert paths(answer) == ["response_format.name"]


def test_strict_is_lost_where_it_is_unknown() -> None:
    strict = OutputFormat(kind="json_schema", schema=SCHEMA, name="n", is_strict=True)
    answer = rendered(replace(PLAIN, has_strict_schema=False), output=strict)
    assert paths(answer) == ["response_format.strict"]


@pytest.mark.parametrize(
    "body",
    [
        {"stop": []},
        {"stop": ""},
        {"stop": None, "seed": None},
        {"stop": ["a"]},
        {"logprobs": False},
        {"logprobs": True, "top_logprobs": 0},
        {"max_tokens": 4},
        {"max_tokens": 4, "max_completion_tokens": 5},
        {"safety_identifier": "s"},
        {"user": "u", "safety_identifier": "s"},
        {"metadata": {}},
        {"metadata": {"a": 1}},
        {"verbosity": "huge"},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "grammar", "grammar": "x"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA, "more": 1}}},
        {"tools": []},
        {"functions": []},
        {"stream": False},
        {"stream": True},
        {"n": 1},
    ],
    ids=str,
)
def test_each_way_of_writing_comes_back(body: dict[str, Any], able: Profile) -> None:
    whole = {"model": "m", "messages": [{"role": "user", "content": "x"}], **body}
    answer = WIRE.render_request(WIRE.parse_request(whole), able)
    assert answer.body == whole
    assert answer.losses == ()
