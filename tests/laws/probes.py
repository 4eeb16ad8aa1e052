"""One small request for each thing that a client can ask, and one answer for each thing that it can be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.parts import CacheMark, Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import (
    Hints,
    Message,
    OutputFormat,
    Reasoning,
    Request,
    Sampling,
    Tool,
    ToolChoice,
)
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.wire.base import Wire
from proxy.wire.table import WIRES
from tests.laws.across import asked, reply
from tests.laws.targets import able

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"at": {"type": "string"}},
    "required": ["at"],
    "additionalProperties": False,
}
LOOK, NOW = Tool(name="look", schema=SCHEMA), Tool(name="now", schema=SCHEMA)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF, NOTE, SOUND = "JVBERi0xLjQKJSVFT0YK", "SGVsbG8=", "UklGRiQAAABXQVZFZm10IA=="
IMAGE = Media(kind="image", media_type="image/png", data=PNG)
CALL = ToolCall(id="call_1", name="look", arguments='{"at":"x"}')


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts or (Text(text="Go."),))


def model(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def results(*parts: ToolResult) -> Message:
    return Message(role="tool", parts=parts)


def talk(*messages: Message, **more: object) -> Request:
    return Request(model="m", messages=messages, **more)  # type: ignore[arg-type]  # fields are given by name


def result(*parts: Text | Media, is_error: bool = False) -> ToolResult:
    return ToolResult(call_id="call_1", parts=parts, is_error=is_error)


def called(*parts: Text | Media, is_error: bool = False) -> Request:
    return talk(user(), model(CALL), results(result(*parts, is_error=is_error)), tools=(LOOK,))


def sampled(**fields: object) -> Request:
    return asked(sampling=Sampling(**fields))  # type: ignore[arg-type]  # fields are given by name


def formed(**fields: object) -> Request:
    return asked(output=OutputFormat(**{"kind": "json_schema", "schema": SCHEMA, "name": "answer", **fields}))  # type: ignore[arg-type]  # fields are given by name


def hinted(**fields: object) -> Request:
    return asked(hints=Hints(**fields))  # type: ignore[arg-type]  # fields are given by name


def chosen(**fields: object) -> Request:
    return asked(tools=(LOOK, NOW), tool_choice=ToolChoice(**fields))  # type: ignore[arg-type]  # fields are given by name


def thought(**fields: object) -> Request:
    return asked(reasoning=Reasoning(**fields))  # type: ignore[arg-type]  # fields are given by name


def document(**fields: object) -> Request:
    return asked(Media(**{"kind": "document", "media_type": "application/pdf", "data": PDF, **fields}), Text(text="?"))  # type: ignore[arg-type]  # fields are given by name


_OPEN: JsonObject = {"type": "object", "properties": {"at": {"type": "string", "minLength": 2}}}
_SEARCH: Mapping[str, JsonObject] = {
    "anthropic": {"type": "web_search_20250305", "name": "web_search"},
    "openai_responses": {"type": "web_search"},
    "gemini": {"googleSearch": {}},
}
_CODE: Mapping[str, JsonObject] = {
    "anthropic": {"type": "code_execution_20250825", "name": "code_execution"},
    "openai_responses": {"type": "code_interpreter", "container": {"type": "auto"}},
    "gemini": {"codeExecution": {}},
}
_FETCH: Mapping[str, JsonObject] = {
    "anthropic": {"type": "web_fetch_20250910", "name": "web_fetch"},
    "gemini": {"urlContext": {}},
}
_OTHER: Mapping[str, JsonObject] = {
    "anthropic": {"type": "memory_20250818", "name": "memory"},
    "openai_responses": {"type": "image_generation"},
    "gemini": {"googleMaps": {}},
}

Probe: TypeAlias = Request | Mapping[str, Request]
"""A mapping, by client, where no two wires write it alike."""


_WIRES = {wire.name: wire for wire in WIRES}
_BODIES: Mapping[str, JsonObject] = {
    "anthropic": {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "Go."}]},
    "openai_chat": {"model": "m", "messages": [{"role": "user", "content": "Go."}]},
    "openai_responses": {"model": "m", "input": "Go."},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Go."}]}]},
}


def _hosted(tools: Mapping[str, JsonObject]) -> Mapping[str, Request]:
    return {name: _native(name, tools=[tool]) for name, tool in tools.items()}


def _native(client: str, **more: JsonValue) -> Request:
    return _WIRES[client].parse_request({**_BODIES[client], **more}, model="m")


def _by(*clients: str, said: Request) -> Mapping[str, Request]:
    return {client: _rendered(said, _WIRES[client])[0] for client in clients}


def _thoughts(client: str) -> Request:
    """Of the client's own maker."""
    own = Thinking(sections=("Hm.",), signature="c2ln", origin=client)
    return _rendered(talk(user(), model(own, Text(text="So.")), user()), _WIRES[client])[0]


def _rendered(request: Request, client: Wire) -> tuple[Request, tuple[Loss, ...]]:
    """Messages has no request without a limit: one that every model takes."""
    rendered = client.render_request(request, replace(able(client), max_output_tokens=8000))
    return client.parse_request(rendered.body, model="m"), rendered.losses


PROBES: Mapping[str, Probe] = {
    # conversation
    "a system prompt": asked(instructions=(Text(text="Be brief."),)),
    "a system prompt of two parts": asked(instructions=(Text(text="Be brief."), Text(text="Be kind."))),
    "a system text in mid-conversation": talk(
        user(), model(Text(text="So.")), Message(role="system", parts=(Text(text="Now be brief."),)), user()
    ),
    "a conversation that the model begins": _by(
        "openai_chat", "openai_responses", said=talk(model(Text(text="Hello.")), user())
    ),
    "a turn of the model for it to go on with": talk(user(), model(Text(text="One, two,"))),
    "two turns of the user's": talk(user(), user()),
    "an image": asked(IMAGE, Text(text="?")),
    "an image at an address": asked(Media(kind="image", url="https://example.org/cat.png"), Text(text="?")),
    "an image to be looked at closely": asked(replace(IMAGE, detail="high"), Text(text="?")),
    "a PDF": document(name="paper.pdf"),
    "a document of plain text": document(media_type="text/plain", data=NOTE),
    "sound": asked(Media(kind="audio", media_type="audio/wav", data=SOUND), Text(text="?")),
    "a film": asked(Media(kind="video", media_type="video/mp4", data="AAAAIGZ0eXBtcDQy"), Text(text="?")),
    # tools
    "a tool": asked(tools=(LOOK,)),
    "a tool without parameters": asked(tools=(Tool(name="now"),)),
    "a strict tool": _by(
        "anthropic", "openai_chat", "openai_responses", said=asked(tools=(replace(LOOK, is_strict=True),))
    ),
    "a custom tool": _by("openai_chat", "openai_responses", said=asked(tools=(Tool(name="patch", is_custom=True),))),
    "choice: none": chosen(mode="none"),
    "choice: any tool": chosen(mode="required"),
    "choice: one tool": chosen(mode="named", names=("look",)),
    "choice: of allowed tools": asked(
        tools=(LOOK, NOW, Tool(name="go", schema=SCHEMA)),
        tool_choice=ToolChoice(mode="required", names=("look", "now")),
    ),
    "one call at a time": chosen(mode="auto", is_parallel=False),
    "a call and its result": called(Text(text="seen")),
    "a result that is an error": called(Text(text="not there"), is_error=True),
    "a result with an image": called(Text(text="seen"), IMAGE),
    "an empty result": called(),
    # thinking
    "effort: none": thought(effort="none"),
    "effort: minimal": thought(effort="minimal"),
    "effort: low": thought(effort="low"),
    "effort: high": thought(effort="high"),
    "effort: max": thought(effort="max"),
    "a budget of 5000 tokens": thought(budget_tokens=5000),
    "as much thinking as it likes": thought(is_adaptive=True),
    "thoughts to be shown": thought(effort="high", is_visible=True),
    "thinking and a forced choice": replace(chosen(mode="required"), reasoning=Reasoning(effort="high")),
    "thoughts that another maker signed": {wire.name: _thoughts(wire.name) for wire in WIRES},
    # output
    "JSON": asked(output=OutputFormat(kind="json")),
    "JSON by a schema": formed(),
    "JSON by a schema that allows more": formed(schema=_OPEN),
    "a schema that need not be kept to": formed(is_strict=False),
    "a description of the output": formed(description="The answer."),
    # sampling
    "a limit": sampled(max_output_tokens=500),
    "a limit of 4 tokens": sampled(max_output_tokens=4),
    "temperature": sampled(temperature=0.5),
    "temperature above 1": sampled(temperature=1.5),
    "top_p": sampled(top_p=0.5),
    "top_k": sampled(top_k=7),
    "a stop sequence": sampled(stop=("END",)),
    "five stop sequences": sampled(stop=("a", "b", "c", "d", "e")),
    "a stop sequence of white space": sampled(stop=("\n",)),
    "a seed": sampled(seed=7),
    "penalties": sampled(presence_penalty=0.5, frequency_penalty=0.5),
    "logprobs": sampled(logprobs=2),
    "three answers": {
        "openai_chat": _native("openai_chat", n=3),
        "gemini": _native("gemini", generationConfig={"candidateCount": 3}),
    },
    # hints
    "a user's id": hinted(user="u-1"),
    "metadata": hinted(metadata={"team": "north"}),
    "service tier: flex": hinted(service_tier="flex"),
    "service tier: priority": hinted(service_tier="priority"),
    "verbosity": hinted(verbosity="low"),
    "the key of a cache": hinted(cache_key="k"),
    "a cache mark": asked(Text(text="Long.", cache=CacheMark()), Text(text="?")),
    "a cache mark for an hour": asked(Text(text="Long.", cache=CacheMark(time="1h")), Text(text="?")),
    "a cache mark on a tool": asked(tools=(replace(LOOK, cache=CacheMark()),)),
    # what providers run and keep
    "hosted: web search": _hosted(_SEARCH),
    "hosted: code execution": _hosted(_CODE),
    "hosted: fetching pages": _hosted(_FETCH),
    "hosted: anything else": _hosted(_OTHER),
}


class Outcome(NamedTuple):
    """Where the client's wire can say it. `refusal` instead of losses where the request cannot be sent at all."""

    client: Wire
    losses: tuple[Loss, ...]
    refusal: str | None = None


def outcomes(probe: Probe, upstream: Wire, profile: Profile | None = None) -> Iterator[Outcome]:
    """For each client of another wire that can say it without losing anything."""
    for client in WIRES:
        request = None if client is upstream else said_by(client, probe)
        if request is None:
            continue
        try:
            rendered = upstream.render_request(request, profile or able(upstream))
        except Untranslatable as refusal:
            yield Outcome(client, (), refusal.message)
        else:
            yield Outcome(client, rendered.losses)


def said_by(client: Wire, probe: Probe) -> Request | None:
    if not isinstance(probe, Request):
        return probe.get(client.name)
    try:
        said, losses = _rendered(probe, client)
    except Untranslatable:
        return None
    return None if losses else said


def told(*parts: Part, reason: FinishReason = "stop", **more: object) -> Response:
    return Response(id="r", model="m", parts=parts, finish=Finish(reason), **more)  # type: ignore[arg-type]  # fields are given by name


_CITED = Text(text="So.", residue=Residue(wire="another", fields={"citations": [{"cited_text": "x"}]}, shape={}))

ANSWERS: Mapping[str, Response] = {
    "text": told(Text(text="So.")),
    "text with citations": told(_CITED),
    "a refusal": told(Refusal(text="I will not."), reason="refusal"),
    "thoughts": told(Thinking(sections=("Hm.",)), Text(text="So.")),
    "signed thoughts": told(Thinking(sections=("Hm.",), signature="c2ln", origin="another"), Text(text="So.")),
    "a call": told(CALL, reason="tool_calls"),
    "a call that was cut": told(Text(text="So."), replace(CALL, arguments='{"at":"he'), reason="length"),
    "a hosted tool's call": told(Opaque(wire="another", kind="search_call", value={}), Text(text="So.")),
    "an image": told(IMAGE),
    "usage": told(Text(text="So."), usage=Usage(input_uncached=1, cache_read=2, cache_write=3, output=4, reasoning=5)),
    "a pause of the provider's": told(Text(text="So."), reason="paused"),
}


def answer_losses(response: Response, client: Wire) -> tuple[Loss, ...]:
    return client.render_response(response, reply()).losses
