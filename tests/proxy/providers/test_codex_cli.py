from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import Untranslatable
from proxy.hub.residue import JsonObject
from proxy.providers.codex import PROVIDER
from proxy.providers.codex_cli import is_strict, limits


def cut(**body: Any) -> tuple[JsonObject, list[tuple[str, str]]]:
    """The body after it, and the path and the thing of each loss."""
    told: JsonObject = {"model": "gpt-5.5", "input": "hello", **body}
    losses = limits(told).losses
    assert all(loss.why for loss in losses)
    del told["model"]
    return told, [(loss.path, loss.what) for loss in losses]


def test_what_it_can_say_stays() -> None:
    asked = {
        "instructions": "Be short.",
        "stream": True,
        "reasoning": {"effort": "high", "summary": "auto"},
        "service_tier": "priority",
        "text": {"verbosity": "low"},
    }
    assert cut(**asked) == ({"input": "hello", **asked}, [])


def test_what_it_does_anyway_is_no_loss() -> None:
    told = cut(
        store=True,
        parallel_tool_calls=True,
        truncation="disabled",
        background=False,
        include=["reasoning.encrypted_content"],
        stream_options={"include_obfuscation": False},
        tool_choice="auto",
        service_tier="auto",
        metadata={},
        temperature=None,
        text={"format": {"type": "text"}},
        reasoning=None,
    )
    assert told == ({"input": "hello", "text": {"format": {"type": "text"}}}, [])


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("temperature", 0.2, "temperature"),
        ("top_p", 0.9, "top_p"),
        ("max_output_tokens", 99, "max_tokens"),
        ("top_logprobs", 3, "logprobs"),
        ("parallel_tool_calls", False, "parallel_tool_calls"),
        ("user", "ada", "user"),
        ("metadata", {"a": "b"}, "metadata"),
        ("prompt_cache_key", "k", "prompt_cache_key"),
        ("something_new", 1, "something_new"),
    ],
)
def test_what_it_has_no_words_for_is_named(key: str, value: object, path: str) -> None:
    assert cut(**{key: value}) == ({"input": "hello"}, [(path, key)])


def test_parts_of_settings_are_named_too() -> None:
    told, losses = cut(
        reasoning={"effort": "low", "mode": "deep"},
        text={"verbosity": "low", "tone": "kind"},
        include=["message.output_text.logprobs"],
    )
    assert told == {"input": "hello", "reasoning": {"effort": "low"}, "text": {"verbosity": "low"}}
    assert losses == [
        ("reasoning.mode", "mode"),
        ("text.tone", "tone"),
        ("include", "message.output_text.logprobs"),
    ]


@pytest.mark.parametrize("key", ["previous_response_id", "conversation", "prompt"])
def test_what_only_a_server_keeps_is_refused(key: str) -> None:
    with pytest.raises(Untranslatable, match=key) as refused:
        cut(**{key: "x"})
    assert refused.value.path == key


STRICT = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}
LOOSE = {"type": "object", "properties": {"a": {}}}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [(STRICT, True), (STRICT, False), (STRICT, None), (LOOSE, True)],
)
def test_a_schema_that_can_be_enforced_is(schema: JsonObject, strict: bool | None) -> None:
    wanted = {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": strict}}
    assert cut(text=wanted) == ({"input": "hello", "text": wanted}, [])


@pytest.mark.parametrize("strict", [False, None])
def test_one_that_cannot_is_an_instruction(strict: bool | None) -> None:
    told, losses = cut(text={"format": {"type": "json_schema", "name": "n", "schema": LOOSE, "strict": strict}})
    history: Any = told["input"]
    first, second = history
    assert first["role"] == "developer"
    assert '{"a":{}}' in str(first)
    assert second == {"type": "message", "role": "user", "content": "hello"}
    assert losses == [("response_format.schema", "schema")]


def test_json_mode() -> None:
    told, losses = cut(text={"format": {"type": "json_object"}})
    assert told.get("text") in (None, {})
    assert losses == [("response_format", "json mode")]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (STRICT, True),
        (LOOSE, False),
        ({"type": "string", "enum": [{"type": "object"}]}, True),
        ({**STRICT, "properties": {"a": LOOSE}}, False),
        ({**STRICT, "required": []}, False),
        ({"anyOf": [STRICT, LOOSE]}, False),
        ({"type": "array", "items": STRICT}, True),
        ({"$defs": {"x": LOOSE}, "$ref": "#/$defs/x"}, False),
    ],
)
def test_what_can_be_enforced(schema: JsonObject, expected: bool) -> None:
    assert is_strict(schema) is expected


def test_its_profile_tells_every_wire_the_same() -> None:
    assert PROVIDER.cli_profile is not None
    profile = PROVIDER.cli_profile("gpt-5.5")
    assert profile.maker == PROVIDER.profile("gpt-5.5").maker
    assert profile.efforts == PROVIDER.profile("gpt-5.5").efforts
    assert profile.media == {"image"}
    assert (profile.takes_media_url, profile.has_custom_tools) == (False, False)
    assert not profile.sampling
