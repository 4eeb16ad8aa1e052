"""Upstreams to render for: per wire one that can do whatever it says, and models as providers describe them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from proxy.hub.profile import ALL_EFFORTS, Profile
from proxy.providers.profiles import profile_of
from proxy.wire.base import Wire
from proxy.wire.table import WIRES, wire_named

ALL_EXTRAS = frozenset(
    {
        *("verbosity", "service_tier", "cache_key", "metadata", "user", "parallel_switch", "max_completion_tokens"),
        *("top_logprobs", "store", "speed"),
    }
)


class Target(NamedTuple):
    name: str
    wire: Wire
    profile: Profile


def able(wire: Wire) -> Profile:
    """An upstream model that can do whatever its wire can say."""
    return Profile(
        maker=wire.name,
        efforts=ALL_EFFORTS,
        budget_tokens_max=200_000,
        has_mid_system=True,
        has_cache_marks=True,
        media=frozenset({"image", "document", "audio", "video"}),
        max_output_tokens=200_000,
        hosted_tools=frozenset({"web_search", "code_execution", "url_fetch"}),
        extras=ALL_EXTRAS,
    )


ABLE = tuple(Target(f"{wire.name} (able)", wire, able(wire)) for wire in WIRES)

_MODELS = (
    ("anthropic", "anthropic", "claude-3-5-haiku-20241022"),
    ("anthropic", "anthropic", "claude-haiku-4-5-20251001"),
    ("anthropic", "anthropic", "claude-opus-4-6"),
    ("anthropic", "anthropic", "claude-opus-4-7"),
    ("anthropic", "anthropic", "claude-sonnet-5"),
    ("openai_responses", "openai", "gpt-4o"),
    ("openai_responses", "openai", "o3-mini"),
    ("openai_responses", "openai", "gpt-5"),
    ("openai_responses", "openai", "gpt-5.6-sol"),
    ("openai_chat", "openai_compatible", "gpt-4o"),
    ("openai_chat", "openai_compatible", "gpt-5"),
    ("openai_chat", "openai_compatible", "deepseek-chat"),
    ("openai_chat", "openai_compatible", "llama-3.3-70b"),
    ("openai_chat", "openai_compatible", "mistral-large"),
    ("gemini", "gemini", "gemini-2.0-flash"),
    ("gemini", "gemini", "gemini-2.5-flash"),
    ("gemini", "gemini", "gemini-2.5-pro"),
    ("gemini", "gemini", "gemini-3-pro-preview"),
    ("gemini", "gemini", "gemini-3.5-flash"),
)

MODELS = tuple(
    Target(f"{model} over {wire}", wire_named(wire), profile_of(family, model)) for wire, family, model in _MODELS
)


def _like(name: str, wire: str, base: Profile, **changes: object) -> Target:
    return Target(name, wire_named(wire), replace(base, **changes))  # type: ignore[arg-type]  # fields are given by name


POOR = (
    _like(
        "a poor compatible server",
        "openai_chat",
        profile_of("openai_compatible", "llama"),
        sampling=frozenset({"temperature"}),
        media=frozenset(),
        has_json_schema=False,
        has_strict_schema=False,
        has_text_lists=False,
        has_custom_tools=False,
        extras=frozenset(),
    ),
    _like("mistral's ids", "openai_chat", profile_of("openai_compatible", "mistral-large"), call_id_chars=9),
    _like(
        "vertex",
        "gemini",
        profile_of("gemini", "gemini-2.5-flash"),
        has_call_ids=False,
        has_full_schema=False,
        mixes_tools=False,
        takes_media_url=False,
    ),
    _like(
        "a backend without extras",
        "openai_responses",
        profile_of("openai", "gpt-5"),
        has_custom_tools=False,
        has_media_in_results=False,
        has_cache_marks=False,
        extras=frozenset({"store"}),
    ),
)
"""Worse than any model in the tables."""

ALL = (*ABLE, *MODELS, *POOR)


def crossing(wire: Wire, targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """Those that speak another wire."""
    return tuple(target for target in targets if target.wire is not wire)
