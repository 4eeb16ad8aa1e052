from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgspec
import pytest

from proxy.hub.profile import Profile
from proxy.providers.profiles import bare_name, families, known_model, models, profile_of

KNOWN = {field.name for field in fields(Profile)}


def test_every_row_speaks_of_fields_that_profiles_have() -> None:
    """A misspelt field would be ignored in silence."""
    for name, family in families().items():
        for layer in (family.base, *(row.set for row in family.rows)):
            unknown = msgspec.json.decode(bytes(layer)).keys() - KNOWN
            assert not unknown, f"{name}: {unknown}"


def test_every_listed_model_has_a_profile() -> None:
    for family, listed in models().items():
        for model in listed:
            assert profile_of(family, model.id).maker


@pytest.mark.parametrize(
    ("family", "model", "expected"),
    [
        ("anthropic", "claude-opus-5", {"thinking": "effort", "must_think_adaptively": True, "sampling": {"stop"}}),
        ("anthropic", "claude-fable-77", {"thinking": "effort", "must_think_adaptively": True}),
        ("anthropic", "claude-opus-4-8", {"has_mid_system": True}),
        ("anthropic", "claude-opus-4-7", {"has_mid_system": False, "must_think_adaptively": True}),
        ("anthropic", "claude-sonnet-4-6", {"must_think_adaptively": False, "thinking": "effort"}),
        ("anthropic", "claude-opus-4-6", {"efforts": ("low", "medium", "high", "max")}),
        ("anthropic", "claude-haiku-4-5-20251001", {"thinking": "budget", "has_prefill": True}),
        ("anthropic", "us.anthropic.claude-opus-4-1-20250805-v1:0", {"thinking": "budget", "max_output_tokens": 32000}),
        ("anthropic", "claude-sonnet-4-5", {"mixes_sampling": False, "has_json_schema": True}),
        ("anthropic", "claude-sonnet-4-20250514", {"mixes_sampling": True, "has_strict_schema": False}),
        ("anthropic", "claude-3-5-haiku-latest", {"thinking": "none", "max_output_tokens": 8192}),
        ("anthropic", "claude-3-haiku-20240307", {"thinking": "none", "max_output_tokens": 4096}),
        ("openai", "gpt-6-sol", {"efforts": ("none", "low", "medium", "high", "xhigh", "max")}),
        ("openai", "gpt-5.6-sol", {"has_cache_marks": True}),
        ("openai", "gpt-5.5", {"efforts": ("none", "low", "medium", "high", "xhigh"), "has_cache_marks": False}),
        ("openai", "gpt-5-nano", {"efforts": ("minimal", "low", "medium", "high"), "can_stop_thinking": False}),
        ("openai", "o3-mini", {"efforts": ("low", "medium", "high"), "sampling": set()}),
        ("openai", "gpt-4o", {"thinking": "none", "max_output_tokens": 16384}),
        ("openai", "gpt-4.1-nano", {"thinking": "none", "context_tokens": 1047576}),
        ("gemini", "gemini-3.8-flash", {"thinking": "level", "needs_call_signature": True}),
        ("gemini", "gemini-3-pro-preview", {"efforts": ("low", "high")}),
        ("gemini", "models/gemini-2.5-pro", {"budget_tokens_min": 128, "can_stop_thinking": False}),
        ("gemini", "gemini-2.5-flash", {"budget_tokens_min": 0, "can_stop_thinking": True}),
        ("gemini", "gemini-2.0-flash", {"thinking": "none"}),
        ("openai_compatible", "deepseek/deepseek-chat", {"replays_reasoning_text": True, "has_developer_role": False}),
        ("openai_compatible", "deepseek-chat", {"has_json_schema": False, "has_text_lists": False}),
        ("openai_compatible", "openai/gpt-5.2", {"has_custom_tools": True, "thinks_visibly": False}),
        ("openai_compatible", "openai/gpt-5.2", {"sampling": set(), "has_developer_role": True}),
        ("openai_compatible", "whatever", {"has_developer_role": False, "has_media_in_results": False}),
    ],
)  # fmt: skip
def test_capabilities(family: str, model: str, expected: dict[str, Any]) -> None:
    profile = profile_of(family, model)
    assert {name: getattr(profile, name) for name in expected} == expected


def test_known_models_have_limits_whatever_stands_before_their_name() -> None:
    assert known_model("openai/gpt-5").context_tokens == 400_000
    assert known_model("nobody-knows").context_tokens is None


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("us.anthropic.claude-x-v1:0", "claude-x-v1:0"),
        ("anthropic.claude-x", "claude-x"),
        ("models/Gemini-X", "gemini-x"),
        ("vendor/family/model", "model"),
        ("my-anthropic.tuned", "my-anthropic.tuned"),
    ],
)
def test_bare_names(name: str, bare: str) -> None:
    assert bare_name(name) == bare
