"""What a request says, whatever the wire: the form in which the laws compare, and what a Loss must name of it.

`differences` takes two requests and the losses between them, and tells each thing that was dropped, added, moved or
changed although no loss speaks of it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import msgspec

from proxy.hub import custom
from proxy.hub.effort import effort_of
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.pairing import STUB
from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Message, OutputFormat, Request, Tool
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.fields import BOOKKEEPING, SELF_EVIDENT
from tests.laws.schemas import schema_essence
from tests.laws.targets import Target

Setting: TypeAlias = object

PATHS: dict[str, tuple[str, ...]] = {
    "max_output_tokens": ("max_tokens",),
    "logprobs": ("logprobs", "top_logprobs"),
    "thinking": ("reasoning",),
    "visible": ("reasoning",),
    "output_kind": ("response_format",),
    "output_schema": ("response_format",),
    "output_name": ("response_format",),
    "output_strict": ("response_format",),
    "choice": ("tool_choice",),
    "parallel": ("parallel_tool_calls",),
    "cache_key": ("prompt_cache_key",),
}
"""How a loss may begin that speaks of a setting, where that is not the setting's own name."""

CACHE_KEY_CHARS_MAX = 64
"""A longer one may be replaced by its digest: what matters is that equal ones stay equal."""

ADDED = (
    "Go on from the exact point where your last message ends. Do not repeat any of it.",
    "Answer with one JSON",
    STUB,
    "Error",
    ".",
)
"""What renderers may say of their own accord: where a turn must stand, or a result."""


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


# Comparison


class Ledger:
    """The losses of one rendering, asked by path."""

    def __init__(self, losses: Iterable[Loss]) -> None:
        self.losses = tuple(losses)
        self._paths = [loss.path for loss in self.losses]

    def covers(self, path: str) -> bool:
        """Whether one speaks of `path`, of something in it, or of what it stands in (but not of everything)."""
        return any(
            _is_within(told, path) or (_is_within(path, told) and told not in {"", "messages"}) for told in self._paths
        )

    def gives_up(self, path: str) -> bool:
        """Whether one speaks of the whole of what stands at `path`, not just of a field of it."""
        return any(_is_within(path, told) and told not in {"", "messages"} for told in self._paths)

    def names(self, path: str, key: str) -> bool:
        """Whether one speaks of the field `key` at `path`."""
        last = key.rpartition(".")[2]
        return any(
            key in loss.path or key == loss.what or last in loss.path
            for loss in self.losses
            if not path or loss.path.startswith(path.partition(".")[0].partition("[")[0])
        )


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or (inner.startswith(outer) and inner[len(outer)] in ".[:")


def differences(before: Essence, after: Essence, losses: Sequence[Loss], target: Target) -> list[str]:
    """`target`: whom the request was rendered for."""
    ledger = Ledger(losses)
    return [
        *_conversation(before, after, ledger),
        *_results(before, after, ledger),
        *_tools(before, after, ledger, target),
        *_settings(before, after, ledger, target),
        *_marks(before, after, ledger),
        *(
            f"the field {path}.{key} was lost in silence"
            for path, key in before.residues
            if not ledger.names(path, key) and not ledger.covers(path or key)
        ),
        *(
            f"{path} ({opaque.kind}) was lost in silence"
            for path, opaque in before.opaque
            if not ledger.gives_up(path) and not _is_hosted_equal(opaque, after)
        ),
        *(
            f"the thinking at {path} was lost in silence"
            for path, thinking in before.thoughts
            if (thinking.text or thinking.signature)
            and not ledger.covers(path)
            and squeezed(thinking.text) not in "".join(squeezed(other.text) for _, other in after.thoughts)
        ),
    ]


def _is_hosted_equal(opaque: Opaque, after: Essence) -> bool:
    return len(after.opaque) > 0 and opaque.kind != ""


class _Cursor:
    """Finds texts in the other conversation, each behind the one before."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._runs: list[list[object]] = []
        for each in said:
            last = self._runs[-1] if self._runs else None
            if each.kind == "text" and last is not None and last[:2] == [each.role, "text"]:
                last[2] = f"{last[2]}{each.value}"
            else:
                self._runs.append([each.role, each.kind, each.value])
        self._at = 0
        self._offset = 0

    def find(self, each: Said) -> bool:
        offset = self._offset
        for number in range(self._at, len(self._runs)):
            role, kind, value = self._runs[number]
            if role == each.role and kind == each.kind:
                if kind != "text":
                    if value == each.value and not (number == self._at and offset):
                        self._at, self._offset = number, 1
                        return True
                else:
                    found = str(value).find(str(each.value), offset)
                    if found >= 0:
                        self._cut(number, found, len(str(each.value)))
                        return True
            offset = 0
        return False

    def _cut(self, number: int, found: int, length: int) -> None:
        """The text is taken out, so that what is left was added."""
        text = str(self._runs[number][2])
        self._runs[number][2] = text[:found] + text[found + length :]
        self._at, self._offset = number, found

    def take(self, text: str) -> None:
        """Wherever it stands: a thing of which a loss speaks may come back as another's words."""
        for run in self._runs:
            if run[1] == "text" and text in str(run[2]):
                run[2] = str(run[2]).replace(text, "", 1)
                return

    def left(self) -> Iterator[str]:
        for role, kind, value in self._runs:
            if kind == "text" and str(value) and not _is_ours(str(value)):
                yield f"{role} text {value!r}"


def _is_ours(text: str) -> bool:
    """What renderers add, in any number, and the brackets around it."""
    if text.startswith(squeezed("Answer with one JSON")):
        return True
    for ours in ADDED:
        text = text.replace(squeezed(ours), "")
    for mark in ("<system>", "</system>"):
        text = text.replace(mark, "")
    while text.startswith("[") and "]" in text:
        text = text[text.index("]") + 1 :]
    return not text


def _conversation(before: Essence, after: Essence, ledger: Ledger) -> Iterator[str]:
    cursor = _Cursor(after.said)
    lost = []
    for each in before.said:
        if ledger.gives_up(each.path):
            lost.append(each)
        elif not cursor.find(each):
            yield f"{each.path}: {each.role} {each.kind} {str(each.value)[:80]!r} was lost, moved or changed in silence"
    for each in lost:
        if each.kind == "text":
            cursor.take(str(each.value))
    for label in before.labels:
        cursor.take(f"{label}:")
    for result in before.results:  # where results are text only, their files follow them
        if ledger.covers(result.path):
            cursor.take(result.text)
    for text in cursor.left():
        yield f"{text[:120]} was added"
    calls = [sum(each.kind == "call" for each in essence.said) for essence in (before, after)]
    if calls[0] < calls[1]:
        yield f"{calls[1] - calls[0]} calls were added"


def _results(before: Essence, after: Essence, ledger: Ledger) -> Iterator[str]:
    there = {result.call: result for result in after.results}
    for result in before.results:
        other = there.get(result.call)
        if ledger.covers(result.path):
            continue
        if other is None or result.call < 0:
            yield f"{result.path}: the result of call {result.call} was lost in silence"
        elif (sorted(result.text), result.media, result.is_error) != (sorted(other.text), other.media, other.is_error):
            yield f"{result.path}: the result {result[1:4]} became {other[1:4]} in silence"
    answered = {result.call for result in before.results}
    for result in after.results:
        if result.call not in answered and result.text != squeezed(STUB):
            yield f"a result of call {result.call} was added"


def _tools(before: Essence, after: Essence, ledger: Ledger, target: Target) -> Iterator[str]:
    for name, tool in before.tools.items():
        path = before.tool_paths[name]
        other = after.tools.get(name)
        if other is None:
            if not ledger.covers(path) and name in before.allowed:
                yield f"{path}: the tool {name} was lost in silence"
            continue
        for key, value in tool.items():
            if key == "strict" and target.wire.name == "gemini" and after.keeps_to_schemas:
                continue
            if key == "schema" and not target.profile.has_full_schema:
                continue  # Gemini's OpenAPI subset says it in another way
            if value != other[key] and not ledger.covers(f"{path}.{'parameters' if key == 'schema' else key}"):
                yield f"{path}: {key} {value!r} became {other[key]!r} in silence"
    if added := after.tools.keys() - before.tools.keys():
        yield f"the tools {sorted(added)} were added"
    if [name for name in before.tools if name in after.tools] != list(after.tools):
        yield "the order of the tools changed"


def _settings(before: Essence, after: Essence, ledger: Ledger, target: Target) -> Iterator[str]:
    for name, value in before.settings.items():
        other = after.settings[name]
        if _is_demanded(name, before, after, target):
            continue
        if value == other or any(ledger.covers(path) for path in PATHS.get(name, (name,))):
            continue
        yield f"{name} {value!r} became {other!r} in silence"


def _is_demanded(name: str, before: Essence, after: Essence, target: Target) -> bool:
    """What a wire has no choice about: Anthropic's max_tokens, OpenAI's name for a format, and that a format's schema
    is always enforced elsewhere. Chat has no switch for visible thoughts: whoever has any shows them.
    """
    value, other = before.settings[name], after.settings[name]
    match name:
        case "max_output_tokens":
            return value is None and target.wire.name == "anthropic"
        case "output_schema":
            return not target.profile.has_full_schema
        case "thinking":
            return (value == "none" and target.profile.thinking == "none") or (value == "max" and other is not None)
        case "output_name":
            return None in (value, other)
        case "output_strict":
            return None in (value, other) or (not value and not other)
        case "visible" if before.settings["thinking"] == "none":
            return True
        case "visible":
            return target.wire.name == "openai_chat" or target.profile.thinking == "none"
        case _:
            return False


def _marks(before: Essence, after: Essence, ledger: Ledger) -> Iterator[str]:
    silent = [path for path in before.marks if not ledger.covers(path) and not ledger.covers(f"{path}.cache_control")]
    if len(silent) > len(after.marks):
        yield f"of the cache marks at {silent} only {len(after.marks)} arrived"
    if len(after.marks) > len(before.marks):
        yield f"{len(after.marks) - len(before.marks)} cache marks were added"


def last_user_text(messages: Sequence[Message]) -> str:
    texts = [
        part.text for message in messages if message.role == "user" for part in message.parts if isinstance(part, Text)
    ]
    return texts[-1] if texts else ""


def fields_of(value: JsonValue) -> JsonObject:
    assert isinstance(value, dict)
    return value
