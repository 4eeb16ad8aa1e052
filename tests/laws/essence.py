"""What a request says, whatever the wire: the form in which `comparison` compares."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import msgspec

from proxy.hub import custom
from proxy.hub.effort import effort_of
from proxy.hub.names import NameMap
from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import OutputFormat, Request, Tool
from proxy.hub.residue import JsonValue, Residue
from proxy.wire.fields import BOOKKEEPING, SELF_EVIDENT
from tests.laws.schemas import schema_essence

Setting: TypeAlias = object


CACHE_KEY_CHARS_MAX = 64
"""A longer one may be replaced by its digest: what matters is that equal ones stay equal."""


class Said(NamedTuple):
    """One thing of the conversation: a text, an image, a call. `value` is comparable."""

    role: str
    kind: str
    value: object
    path: str


class Result(NamedTuple):
    """`call`: which of the conversation's calls it answers, by number; -1: none."""

    call: int
    text: str
    media: tuple[object, ...]
    is_error: bool
    path: str


@dataclass(slots=True)
class Essence:
    said: list[Said] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    thoughts: list[tuple[str, Thinking]] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    tools: dict[str, dict[str, object]] = field(default_factory=dict)
    tool_paths: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Setting] = field(default_factory=dict)
    residues: list[tuple[str, str]] = field(default_factory=list)
    """Path and key of each field that only the wire of its origin knows."""
    labels: list[str] = field(default_factory=list)
    """Names of files, which may be told in words."""
    opaque: list[tuple[str, Opaque]] = field(default_factory=list)
    allowed: frozenset[str] = frozenset()
    """The tools that the choice leaves."""
    keeps_to_schemas: bool = False
    """Gemini's modes in which every call is held to its tool's schema."""


_SAME_TIER = {"fast": "priority", "auto": None, "default": None}
"""Tiers that mean the same, or nothing."""


def squeezed(text: str) -> str:
    """Without white space: joins may add line breaks."""
    return "".join(text.split())


def asks_something(key: str, value: JsonValue) -> bool:
    return value not in (None, "", [], {}) and key not in BOOKKEEPING and value != SELF_EVIDENT.get(key)


def of_request(request: Request, names: NameMap | None = None) -> Essence:
    """`names`: what was renamed on the way here."""
    return _Extract(names or NameMap()).of(request)


class _Extract:
    def __init__(self, names: NameMap) -> None:
        self._names = names
        self._calls: dict[str, list[int]] = {}
        self._count = 0
        self.out = Essence()

    def of(self, request: Request) -> Essence:
        for index, part in enumerate(request.instructions):
            self._part("system", part, f"instructions[{index}]")
        for index, message in enumerate(request.messages):
            self._residue(message.residue, f"messages[{index}]")
            for number, part in enumerate(message.parts):
                self._part(message.role, part, f"messages[{index}].content[{number}]")
        for index, tool in enumerate(request.tools):
            self._tool(tool, f"tools[{index}]")
        self.out.settings = settings_of(request, self._names)
        choice = request.tool_choice
        self.out.allowed = frozenset(choice.names if choice and choice.names else self.out.tools)
        written = choice.residue.fields.get("mode") if choice and choice.residue else None
        self.out.keeps_to_schemas = choice is not None and (choice.mode != "auto" or written == "VALIDATED")
        for path, residue in (
            ("", request.residue),
            ("tool_choice", request.tool_choice.residue if request.tool_choice else None),
            ("reasoning", request.reasoning.residue if request.reasoning else None),
            ("response_format", request.output.residue if request.output else None),
        ):
            self._residue(residue, path)
        return self.out

    def _residue(self, residue: Residue | None, path: str) -> None:
        for key, value in (residue.fields if residue is not None else {}).items():
            if asks_something(key, value):
                self.out.residues.append((path, key))

    def _part(self, role: str, part: Part, path: str) -> None:
        self._residue(part.residue, path)
        if part.cache is not None:
            self.out.marks.append(path)
        match part:
            case Text(text=text) | Refusal(text=text):
                if squeezed(text):
                    self.out.said.append(Said(role, "text", squeezed(text), path))
            case Media():
                self.out.labels.append(squeezed(part.name or ""))
                text = document_text(part)
                kind, value = (part.kind, media_essence(part)) if text is None else ("text", squeezed(text))
                self.out.said.append(Said(role, kind, value, path))
            case ToolCall():
                self._calls.setdefault(part.id, []).append(self._count)
                self._count += 1
                value = (self._names.to_client(part.name), canonical(arguments(part)))
                self.out.said.append(Said(role, "call", value, path))
            case ToolResult():
                self._result(part, path)
            case Thinking():
                self.out.thoughts.append((path, part))
            case Opaque():
                self.out.opaque.append((path, part))

    def _result(self, result: ToolResult, path: str) -> None:
        waiting = self._calls.get(result.call_id)
        call = waiting.pop() if waiting else -1
        text = "".join(
            part.text if isinstance(part, Text) else document_text(part) or ""
            for part in result.parts
            if isinstance(part, Text | Media)
        )
        media = tuple(
            media_essence(part) for part in result.parts if isinstance(part, Media) and document_text(part) is None
        )
        for number, part in enumerate(result.parts):
            self._residue(part.residue, f"{path}.content[{number}]")
            if part.cache is not None:
                self.out.marks.append(f"{path}.content[{number}]")
            if isinstance(part, Opaque):
                self.out.opaque.append((f"{path}.content[{number}]", part))
        self.out.results.append(Result(call, canonical_text(text), media, result.is_error, path))

    def _tool(self, tool: Tool | Opaque, path: str) -> None:
        self._residue(tool.residue, path)
        if tool.cache is not None:
            self.out.marks.append(path)
        if isinstance(tool, Opaque):
            self.out.opaque.append((path, tool))
            return
        name = self._names.to_client(tool.name)
        self.out.tool_paths[name] = path
        self.out.tools[name] = {
            "description": tool.description or "",
            "schema": canonical(schema_essence(custom.SCHEMA if tool.is_custom else tool.schema or {})),
            "strict": bool(tool.is_strict),
        }


def settings_of(request: Request, names: NameMap) -> dict[str, Setting]:
    choice, sampling, reasoning, output, hints = (
        request.tool_choice,
        request.sampling,
        request.reasoning,
        request.output,
        request.hints,
    )
    mode = (choice.mode if choice else None) or "auto"
    if mode == "none" and not request.tools:
        mode = "auto"  # among nothing it is the same
    has_functions = any(isinstance(tool, Tool) for tool in request.tools)
    allowed = choice.names if choice else ()
    if not allowed and mode in {"auto", "required"}:
        allowed = tuple(tool.name for tool in request.tools if isinstance(tool, Tool))
    if mode == "required" and len(allowed) == 1:
        mode = "named"
    return {
        "choice": (mode, tuple(sorted(names.to_client(name) for name in allowed))),
        "parallel": choice is None or choice.is_parallel is not False or mode == "none" or not has_functions,
        **{name: getattr(sampling, name) for name in _SAMPLING},
        "temperature": sampling.temperature,
        "stop": sampling.stop,
        "logprobs": sampling.logprobs,
        "thinking": thinking_level(request),
        "visible": bool(reasoning.is_visible) if reasoning else False,
        "output_kind": output.kind if output and output.kind != "text" else None,
        "output_schema": output_essence(output) if output and output.schema else None,
        "output_name": output.name if output else None,
        "output_strict": output.is_strict if output else None,
        "user": hints.user,
        "metadata": canonical(dict(hints.metadata)),
        "service_tier": _SAME_TIER.get(hints.service_tier or "", hints.service_tier),
        "verbosity": hints.verbosity,
        "cache_key": hints.cache_key if len(hints.cache_key or "") < CACHE_KEY_CHARS_MAX else "long",
        "is_stream": request.is_stream,
    }


_SAMPLING = ("max_output_tokens", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")


def thinking_level(request: Request) -> str | None:
    """Words and budgets on one ladder; ``adaptive`` and nothing said are the model's own choice."""
    reasoning = request.reasoning
    if reasoning is None or (reasoning.effort is None and reasoning.budget_tokens is None):
        return None
    return reasoning.effort or effort_of(reasoning.budget_tokens or 0)


def output_essence(output: OutputFormat) -> str:
    """Where the format's own description has no room, the schema's has. Some upstreams want every object closed."""
    schema = output.schema or {}
    if output.description is not None:
        schema = {"description": output.description, **schema}
    return canonical(schema_essence(schema, is_closed=True))


def document_text(media: Media) -> str | None:
    """What a plain-text document says: other wires may have it as text."""
    if media.kind != "document" or media.data is None or not (media.media_type or "").startswith("text/"):
        return None
    return base64.b64decode(media.data).decode("utf-8", "replace")


def media_essence(media: Media) -> object:
    """What it is, not how it is carried: the data, or the address."""
    return media.data or media.url or media.file_id


def arguments(call: ToolCall) -> JsonValue:
    """Free text as every wire wraps it; JSON as JSON."""
    try:
        value: JsonValue = msgspec.json.decode(call.arguments or "{}")
    except (ValueError, RecursionError):
        value = call.arguments
    if call.is_custom or not isinstance(value, dict):
        return {"input": call.arguments if call.is_custom else value}
    return value


def canonical(value: object) -> str:
    """Comparable, and indifferent to the order of keys and to 1 against 1.0."""
    return msgspec.json.encode(_plain(value), order="deterministic").decode("utf-8", "replace")


def _plain(value: object) -> object:
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case str():
            return value.encode("utf-8", "replace").decode()
        case _:
            return value


def canonical_text(text: str) -> str:
    """A result that is JSON may be written anew; other text keeps all but its white space."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return squeezed(text)
    if isinstance(value, dict) and value.keys() in ({"result"}, {"output"}, {"error"}):
        (value,) = value.values()
    return squeezed(value if isinstance(value, str) else canonical(value))
