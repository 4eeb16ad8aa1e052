"""Requests: POST /responses, and the ``response.create`` frame of a WebSocket."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from proxy.errors import Broken
from proxy.hub.names import NameMap
from proxy.hub.parts import Opaque, Text, ToolCall
from proxy.hub.profile import Profile
from proxy.hub.request import Request, Tool
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import RenderedRequest, refuse_foreign_state
from proxy.wire.fields import Fields, residue_fields, residue_shape
from proxy.wire.openai_responses import settings
from proxy.wire.openai_responses.choice import parse_choice, render_choice
from proxy.wire.openai_responses.input_writing import InputWriter
from proxy.wire.openai_responses.losses import NAME, Losses
from proxy.wire.openai_responses.tools import ToolWriter, parse_tools
from proxy.wire.openai_responses.turns import Turns, parse_input

ENCRYPTED = "reasoning.encrypted_content"
_LEGAL_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NAME_CHARS_MAX = 128
_STATE = ("previous_response_id", "conversation", "prompt")
"""What refers to things that only OpenAI's servers keep."""
_HARMLESS: Mapping[str, tuple[JsonValue, ...]] = {
    "background": (False,),
    "generate": (True,),
    "metadata": ({},),
    "store": (False,),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
    "type": ("response.create",),
}
"""Values that ask for nothing that another wire would do otherwise."""
_TELEMETRY = ("client_metadata", "stream_options", "stream_id")
"""Fields that are about the transport, or that a client tells its own backend."""
_OWN_INCLUDES = (ENCRYPTED, settings.LOGPROBS)

_COUNTED = frozenset(
    {
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    }
)


def parse_request(body: JsonObject, *, model: str | None = None, is_stream: bool | None = None) -> Request:
    fields = Fields(body, wire=NAME)
    shape: JsonObject = {}
    model = model or fields.need_str("model")
    fields.take("model")
    turns = _parse_input(fields, shape)
    instructions = fields.take_str("instructions")
    if instructions is not None:
        first = Text(text=instructions, residue=Residue(wire=NAME, shape={"item": "instructions"}))
        turns.instructions.insert(0, first)
    shape["has_tools"] = "tools" in fields
    own_tools = parse_tools(fields.take_list("tools") or [], "tools")
    tools = _without_doubles((*own_tools, *turns.tools))
    include = fields.peek("include")
    sampling = settings.parse_sampling(fields, include if isinstance(include, list) else [])
    output, verbosity, shape["has_text"] = settings.parse_text(fields)
    state = (*_take_state(fields), *turns.state)
    stream = fields.take_bool("stream")
    if stream is not None:
        shape["stream"] = stream
    if is_stream is None:
        is_stream = stream if stream is not None else fields.peek("type") == "response.create"
    request = Request(
        model=model,
        instructions=tuple(turns.instructions),
        messages=tuple(turns.messages),
        tools=tools,
        tool_choice=parse_choice(fields),
        sampling=sampling,
        reasoning=settings.parse_reasoning(fields),
        output=output,
        hints=settings.parse_hints(fields, verbosity),
        is_stream=is_stream,
        state=state,
    )
    shape["kept"] = _take_harmless(fields)
    return replace(request, residue=settings.own_residue(shape, fields))


def _parse_input(fields: Fields, shape: JsonObject) -> Turns:
    value = fields.take("input")
    shape["input"] = "string" if isinstance(value, str) else "absent" if value is None else "list"
    return parse_input(value)


def _without_doubles(tools: Iterable[Tool | Opaque]) -> tuple[Tool | Opaque, ...]:
    """Without what an item loads that the request defines anyway: at home the item brings its own."""
    known: set[str] = set()
    kept: list[Tool | Opaque] = []
    for tool in tools:
        is_loaded = residue_shape(tool.residue, NAME, "input") == "tool_search_output"
        if isinstance(tool, Tool):
            if is_loaded and tool.name in known:
                continue
            known.add(tool.name)
        kept.append(tool)
    return tuple(kept)


def _take_state(fields: Fields) -> list[Opaque]:
    state = [Opaque(wire=NAME, kind=key, value=fields.take(key)) for key in _STATE if fields.peek(key) is not None]
    for key, meaning in (("background", True), ("generate", False)):
        if fields.peek(key) is meaning:
            state.append(Opaque(wire=NAME, kind=key, value=fields.take(key)))
    return state


def _take_harmless(fields: Fields) -> JsonObject:
    kept: JsonObject = {key: fields.take(key) for key in _TELEMETRY if fields.peek(key) is not None}
    for key, values in _HARMLESS.items():
        value = fields.peek(key)
        if value is not None and value in values:
            kept[key] = fields.take(key)
    include = fields.peek("include")
    if isinstance(include, list) and all(entry in _OWN_INCLUDES for entry in include):
        kept["include"] = fields.take("include")
    return kept


def render_request(request: Request, profile: Profile) -> RenderedRequest:
    refuse_foreign_state(request, NAME)
    losses = Losses()
    is_own = request.residue is not None and request.residue.wire == NAME
    names = NameMap() if is_own else NameMap.within(_names(request), legal=_LEGAL_NAME, length_max=_NAME_CHARS_MAX)
    losses.note_residue(request.residue, "")
    body: JsonObject = {"model": request.model}
    tools = ToolWriter(profile, names, losses)
    for at, tool in enumerate(request.tools):
        tools.write(tool, f"tools[{at}]")
    writer = InputWriter(profile, names, losses, inserts=tools.items, is_own=is_own)
    instruction = settings.output_instruction(request, profile, is_own=is_own)
    body.update(writer.write(request, instruction))
    if tools.tools or residue_shape(request.residue, NAME, "has_tools"):
        body["tools"] = tools.tools
    body.update(render_envelope(request, profile, names, losses))
    return RenderedRequest(body, tuple(losses), names)


def render_envelope(request: Request, profile: Profile, names: NameMap, losses: Losses) -> JsonObject:
    """Everything but the model, the conversation and the tools."""
    is_own = request.residue is not None and request.residue.wire == NAME
    body = render_choice(request, names, profile, losses)
    body.update(settings.render_reasoning(request.reasoning, profile, losses))
    body.update(settings.render_text(request, profile, losses))
    body.update(settings.render_sampling(request.sampling, profile, losses, is_own=is_own))
    body.update(settings.render_hints(request.hints, profile, losses, is_own=is_own))
    body.update({item.kind: item.value for item in request.state if item.residue is None})
    kept = residue_shape(request.residue, NAME, "kept")
    stream = residue_shape(request.residue, NAME, "stream")
    is_frame = isinstance(kept, dict) and "type" in kept
    if stream is not None or (request.is_stream and not is_frame):
        body["stream"] = request.is_stream
    if not is_own:
        return {**body, **_stateless(request, profile)}
    own = residue_fields(request.residue, NAME)
    if own.get("text") is not None:  # is within the `text` that was rendered
        del own["text"]
    return {**body, **(kept if isinstance(kept, dict) else {}), **own}


def _stateless(request: Request, profile: Profile) -> JsonObject:
    """Other wires' servers keep nothing, so this one shall not either; the model's thoughts come back encrypted, that
    the client can return them.
    """
    include: list[JsonValue] = [settings.LOGPROBS] if request.sampling.logprobs is not None else []
    if "logprobs" not in profile.sampling:
        include = []
    body: JsonObject = {}
    if "store" in profile.extras:
        body["store"] = False
        if profile.thinking != "none":
            include = [ENCRYPTED, *include]
    if include:
        body["include"] = include
    return body


def _names(request: Request) -> list[str]:
    names = [tool.name for tool in request.tools if isinstance(tool, Tool)]
    names.extend(part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall))
    names.extend(request.tool_choice.names if request.tool_choice is not None else ())
    return names


def render_count_request(request: Request, profile: Profile) -> RenderedRequest:
    """POST /responses/input_tokens knows only what the model reads."""
    rendered = render_request(request, profile)
    body: JsonObject = {key: value for key, value in rendered.body.items() if key in _COUNTED}
    return RenderedRequest(body, rendered.losses, rendered.names)


def parse_count(body: JsonObject) -> int:
    """Raises `Broken` when it tells no number."""
    tokens = body.get("input_tokens")
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        raise Broken("the upstream's answer to a count holds no input_tokens")
    return tokens


def render_count(tokens: int) -> JsonObject:
    return {"object": "response.input_tokens", "input_tokens": tokens}
