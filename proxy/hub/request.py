"""What a client asks, in no wire's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, TypeAlias

from proxy.hub.parts import CacheMark, Opaque, Part
from proxy.hub.residue import JsonObject, Residue
from proxy.hub.values import dataclass

Role: TypeAlias = Literal["user", "assistant", "tool", "system"]
Mode: TypeAlias = Literal["auto", "none", "required", "named"]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn. `tool` holds only ToolResult parts (each wire's results become one `tool` message per run of results);
    `system` here is a system text in mid-conversation: what stands before the first turn is `Request.instructions`.
    """

    role: Role
    parts: tuple[Part, ...]
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function of the caller's. `schema` is JSON Schema of an object, as the client wrote it; None: no parameters.

    `is_custom`: takes free text instead of JSON (OpenAI's custom tools; their grammar is residue).
    """

    name: str
    description: str | None = None
    schema: JsonObject | None = None
    is_strict: bool | None = None
    is_custom: bool = False
    cache: CacheMark | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """`named`: exactly `names[0]`. `required` or `auto` with names: one of those (allowed tools).

    `is_parallel`: None = the client did not say. `mode` None = only the parallel switch was given.
    """

    mode: Mode | None = None
    names: tuple[str, ...] = ()
    is_parallel: bool | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """All None: not asked for. `logprobs`: None = not asked, 0 = of the chosen tokens only, n = with n alternatives."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    candidates: int | None = None
    """How many answers (`n`)."""
    logprobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """How much to think. At most one of `effort` and `budget_tokens` comes from a wire; both None with
    `is_adaptive`: the model decides. `is_visible`: None = not said; whether thoughts (or summaries) are to be shown.
    """

    effort: Effort | None = None
    budget_tokens: int | None = None
    is_adaptive: bool = False
    is_visible: bool | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFormat:
    kind: Literal["text", "json", "json_schema"]
    schema: JsonObject | None = None
    name: str | None = None
    description: str | None = None
    is_strict: bool | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What does not change the answer's meaning, but its price, speed, length or book-keeping."""

    user: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    service_tier: str | None = None
    """In one vocabulary: ``auto``, ``default``, ``flex``, ``priority``, ``fast``; others as they came."""
    verbosity: Literal["low", "medium", "high"] | None = None
    cache_key: str | None = None
    """Requests with the same key share a prompt prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    model: str
    instructions: tuple[Part, ...] = ()
    """The system prompt: Text parts (and Opaque at home)."""
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool | Opaque, ...] = ()
    """In the client's order, which is part of the cached prefix. Opaque: a hosted tool."""
    tool_choice: ToolChoice | None = None
    sampling: Sampling = Sampling()
    reasoning: Reasoning | None = None
    output: OutputFormat | None = None
    hints: Hints = Hints()
    is_stream: bool = False
    state: tuple[Opaque, ...] = ()
    """What it goes on from and only a server of its wire keeps (`previous_response_id`, a compaction …), or asks such
    a server to keep. At home it is rendered; every other wire refuses it (`proxy.wire.base.refuse_foreign_state`).
    """
    residue: Residue | None = None
