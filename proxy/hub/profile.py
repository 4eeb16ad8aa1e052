"""What an upstream model can do: data that a renderer consults, so that degradation is decided in one place.

A profile never names a provider. Providers keep tables of them by model name (`proxy.providers.profiles`).
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from proxy.hub.request import Effort
from proxy.hub.values import dataclass

ThinkingForm: TypeAlias = Literal["none", "budget", "effort", "level"]
"""none: does not think · budget: tokens (Claude ≤ 4.5, Gemini 2.5) · effort: words (OpenAI, Claude ≥ 4.6) · level:
Gemini 3's MINIMAL … XHIGH."""

ALL_EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    maker: str
    """Whose signatures and file ids it understands (`Part.origin`)."""
    thinking: ThinkingForm = "effort"
    efforts: tuple[Effort, ...] = ("low", "medium", "high")
    """Levels it takes, rising. Others are moved to the nearest, with a Loss when that changes what was asked."""
    budget_tokens_min: int = 0
    budget_tokens_max: int = 32768
    can_stop_thinking: bool = True
    must_think_adaptively: bool = False
    """Claude ≥ 4.7: `thinking.type=enabled` is a 400; adaptive and an effort instead."""
    thinks_visibly: bool = True
    """Whether it can show its thoughts or a summary of them."""
    sampling: frozenset[str] = frozenset(
        {"temperature", "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty", "logprobs"}
    )
    """The names of `Sampling`'s fields that it takes at all."""
    temperature_max: float = 2.0
    mixes_sampling: bool = True
    """Takes `temperature` beside `top_p`; Claude since Opus 4.1 takes one of the two."""
    max_output_tokens: int | None = None
    """The most it can write; used where the wire requires a number and the client gave none."""
    context_tokens: int | None = None
    has_mid_system: bool = False
    """Takes a system text in mid-conversation (Anthropic since Opus 4.8)."""
    has_developer_role: bool = True
    """OpenAI Chat: `developer`; compatible upstreams know `system` only."""
    has_prefill: bool = True
    """Goes on from an assistant turn that stands last."""
    has_cache_marks: bool = False
    """Takes explicit cache marks (Anthropic; OpenAI since gpt-5.6)."""
    has_strict_schema: bool = True
    has_json_schema: bool = True
    """Structured output by schema; else json mode and an instruction."""
    has_full_schema: bool = True
    """Gemini: `parametersJsonSchema`/`responseJsonSchema`; else the OpenAPI subset."""
    has_call_ids: bool = True
    """Gemini's Developer API takes functionCall.id; Vertex does not."""
    mixes_tools: bool = True
    """Gemini 3: functions beside hosted tools or JSON output; before, each of them alone."""
    needs_call_signature: bool = False
    """Gemini 3: a call in the current turn must carry a thoughtSignature."""
    media: frozenset[str] = frozenset({"image", "document"})
    """Kinds of Media that it reads."""
    takes_media_url: bool = True
    has_media_in_results: bool = True
    replays_reasoning_text: bool = False
    """Wants `reasoning_content` back with its tool calls (deepseek, kimi)."""
    has_text_lists: bool = True
    """OpenAI Chat: takes text as a list of parts; some compatible upstreams want one string."""
    has_custom_tools: bool = True
    """OpenAI: tools whose input is free text; else they are wrapped (`proxy.hub.custom`)."""
    call_id_chars: int | None = None
    """Mistral: a call's id has exactly so many letters and digits."""
    hosted_tools: frozenset[str] = frozenset()
    """Hosted tools by intent that it offers: ``web_search``, ``code_execution``, ``url_fetch``."""
    extras: frozenset[str] = field(default_factory=frozenset)
    """Optional request fields beyond the common ones that it takes: ``verbosity``, ``service_tier``, ``cache_key``,
    ``metadata``, ``user``, ``parallel_switch``, ``max_completion_tokens``, ``top_logprobs``, ``store``."""
