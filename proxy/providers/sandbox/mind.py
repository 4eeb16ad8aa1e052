"""What a simulated model answers: something about the request, always the same to the same, and it says what it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from proxy.hub.events import Event, PartDelta
from proxy.hub.fold import explode
from proxy.hub.names import synthetic_call_id
from proxy.hub.parts import Media, Part, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Message, Request, Tool
from proxy.hub.response import Finish, Response, Usage
from proxy.providers.estimate import estimated_tokens
from proxy.providers.sandbox.sample import Sampler
from proxy.wire.base import dumps

QUOTED_CHARACTERS_MAX = 200
WORDS_MAX = 2_000
CHARACTERS_PER_TOKEN = 4

_WANTS_TOOL = re.compile(r"\b(use|call|run|invoke)\b.{0,40}\b(tools?|functions?)\b", re.IGNORECASE | re.DOTALL)
_WANTS_WORDS = re.compile(r"\b(\d{1,5}) words\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\"“'](.{1,60}?)[\"”']")
_NAME = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][a-zäöüß]+\b")
_PIECE = re.compile(r"\s*\S{1,12}|\s+")
_FILLER = ("simulated", "words", "that", "mean", "nothing", "and", "go", "on")


def answer(request: Request, *, wire: str) -> Response:
    """`wire`: whose signature its thoughts bear."""
    digest = hashlib.sha256(dumps([request.model, [_text(message.parts) for message in request.messages]])).hexdigest()
    thoughts = _thoughts(request, wire, digest)
    call = _call(request, wire)
    parts: list[Part] = [*thoughts]
    finish = Finish("stop")
    if call is not None:
        parts.append(call)
        finish = Finish("tool_calls")
        written = len(call.arguments) + len(call.name)
    else:
        text, finish = _limited(_words(request), request)
        parts.append(Text(text=text, origin=wire))
        written = len(text)
    usage = Usage(
        input_uncached=estimated_tokens(request),
        output=-(-written // CHARACTERS_PER_TOKEN),
        reasoning=sum(-(-len(each.text) // CHARACTERS_PER_TOKEN) for each in thoughts) or None,
    )
    return Response(id=f"sandbox-{digest[:24]}", model=request.model, parts=tuple(parts), finish=finish, usage=usage)


def paced(response: Response) -> Iterator[Event]:
    """The events of a stream, a word or so at a time."""
    for event in explode(response):
        if isinstance(event, PartDelta):
            for piece in _PIECE.findall(event.text):
                yield PartDelta(event.index, piece, event.section)
        else:
            yield event


def _thoughts(request: Request, wire: str, digest: str) -> list[Thinking]:
    reasoning = request.reasoning
    if reasoning is None or reasoning.effort == "none" or reasoning.budget_tokens == 0:
        return []
    section = f"Simulated thoughts about a prompt of {len(_prompt(request))} characters."
    return [Thinking(sections=(section,), signature=f"c2FuZGJveA{digest[:22]}", origin=wire)]


def _call(request: Request, wire: str) -> ToolCall | None:
    tools = [tool for tool in request.tools if isinstance(tool, Tool)]
    choice = request.tool_choice
    mode = choice.mode if choice is not None else None
    if not tools or mode == "none" or _has_results(request):
        return None
    names = choice.names if choice is not None else ()
    prompt = _prompt(request)
    allowed = [tool for tool in tools if not names or tool.name in names] or tools
    mentioned = [tool for tool in allowed if tool.name in prompt]
    if mode not in {"required", "named"} and not mentioned and not _WANTS_TOOL.search(prompt):
        return None
    tool = (mentioned or allowed)[0]
    word = _word(prompt)
    arguments = word if tool.is_custom else dumps(Sampler(tool.schema, word).sample(tool.schema) or {}).decode()
    return ToolCall(
        id=synthetic_call_id(len(request.messages), tool.name, arguments),
        name=tool.name,
        arguments=arguments,
        is_custom=tool.is_custom,
        origin=wire,
    )


def _words(request: Request) -> str:
    output = request.output
    prompt = _prompt(request)
    if output is not None and output.kind == "json_schema":
        return dumps(Sampler(output.schema, _word(prompt)).sample(output.schema)).decode()
    if output is not None and output.kind == "json":
        return dumps({"simulated": True, "you_said": _quoted(prompt)}).decode()
    told = f"This is a simulated answer of {request.model}; no provider was asked."
    results = [part for part in request.messages[-1].parts if isinstance(part, ToolResult)] if request.messages else []
    if results:
        told += " The tool said: " + " · ".join(_quoted(_text(each.parts)) for each in results)
    elif prompt:
        told += f" You said: “{_quoted(prompt)}”."
    media = [part for message in request.messages for part in message.parts if isinstance(part, Media)]
    if media:
        told += f" You sent {len(media)} {media[0].kind}{'s' if len(media) > 1 else ''}."
    wanted = _WANTS_WORDS.search(prompt)
    if wanted:
        count = min(WORDS_MAX, int(wanted[1]))
        told += " " + " ".join(_FILLER[index % len(_FILLER)] for index in range(count))
    return told


def _limited(text: str, request: Request) -> tuple[str, Finish]:
    for sequence in request.sampling.stop:
        head, found, _ = text.partition(sequence)
        if found:
            return head, Finish("stop", stop_sequence=sequence)
    limit = request.sampling.max_output_tokens
    if limit is not None and len(text) > limit * CHARACTERS_PER_TOKEN:
        return text[: limit * CHARACTERS_PER_TOKEN], Finish("length")
    return text, Finish("stop")


def _has_results(request: Request) -> bool:
    return bool(request.messages) and any(isinstance(part, ToolResult) for part in request.messages[-1].parts)


def _prompt(request: Request) -> str:
    asked: list[Message] = [message for message in request.messages if message.role == "user"]
    return _text(asked[-1].parts) if asked else ""


def _text(parts: tuple[Part, ...]) -> str:
    return " ".join(part.text for part in parts if isinstance(part, Text)).strip()


def _quoted(text: str) -> str:
    return text if len(text) <= QUOTED_CHARACTERS_MAX else text[:QUOTED_CHARACTERS_MAX] + "…"


def _word(prompt: str) -> str:
    """Something of the prompt to fill in: what stands in quotation marks, else the last name."""
    quoted = _QUOTED.search(prompt)
    if quoted:
        return quoted[1]
    names = _NAME.findall(prompt)
    return names[-1] if names else "simulated"
