"""What a client asks: parse and render."""

from __future__ import annotations

from proxy.errors import Malformed
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.profile import Profile
from proxy.hub.request import Request, Tool
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import RenderedRequest, refuse_foreign_state
from proxy.wire.fields import Fields, residue_losses
from proxy.wire.openai_chat.effort import parse_reasoning, write_reasoning
from proxy.wire.openai_chat.history import History
from proxy.wire.openai_chat.messages import MessageReader
from proxy.wire.openai_chat.reasoning import DETAILS
from proxy.wire.openai_chat.settings import SettingsWriter, parse_hints, parse_output, parse_sampling, with_words
from proxy.wire.openai_chat.tools import ToolWriter, names_of, parse_choice, parse_tools
from proxy.wire.openai_chat.words import NAME, own_fields, shape_of

_OPTIONAL = ("store",)
"""Fields of ours that not every compatible upstream takes (`Profile.extras`)."""


def parse_request(body: JsonObject, *, model: str | None = None, is_stream: bool | None = None) -> Request:
    fields = Fields(body, wire=NAME)
    named = fields.take_str("model") or model
    if named is None:
        raise Malformed("model is required and must be a string", path="model")
    items = fields.need_list("messages")
    if not items:
        raise Malformed("messages must hold at least one message", path="messages")
    reader = MessageReader()
    reader.read(items)
    shape: JsonObject = {"has_details": _knows_details(items, fields.peek("reasoning"))}
    tools = parse_tools(fields)
    choice = parse_choice(fields, is_legacy=is_legacy_tools(tools))
    sampling, hints = parse_sampling(fields, shape), parse_hints(fields, shape)
    reasoning, output = parse_reasoning(fields), parse_output(fields)
    for key in ("stream", "stream_options"):
        if fields.peek(key) is not None:
            shape[key] = fields.peek(key)
    streams = fields.take_bool("stream")
    fields.take("stream_options")
    return Request(
        model=named,
        instructions=tuple(reader.instructions),
        messages=tuple(reader.messages),
        tools=tools,
        tool_choice=choice,
        sampling=sampling,
        reasoning=reasoning,
        output=output,
        hints=hints,
        is_stream=bool(streams if streams is not None else is_stream),
        residue=fields.residue(**shape),
    )


def _knows_details(items: list[JsonValue], reasoning: JsonValue) -> bool:
    """Whether the client speaks OpenRouter's dialect, which has room for signatures."""
    return isinstance(reasoning, dict) or any(isinstance(item, dict) and item.get(DETAILS) for item in items)


def is_legacy_tools(tools: tuple[object, ...]) -> bool:
    return any(isinstance(tool, Tool) and shape_of(tool.residue, "in") == "functions" for tool in tools)


def render_request(request: Request, profile: Profile) -> RenderedRequest:
    """The client's own JSON again, where it came in this wire and the profile allows all of it."""
    refuse_foreign_state(request, NAME)
    is_home = request.residue is not None and request.residue.wire == NAME
    names = NameMap() if is_home else names_of(request)
    asked = with_words(request, profile, is_home=is_home)
    history, losses = History.of(asked, profile, is_home=is_home, names=names)
    losses.extend(residue_losses(request.residue, NAME))
    body: JsonObject = {**_left(request.residue, profile, losses), "model": request.model, "messages": history.messages}
    body.update(ToolWriter(profile, names, losses).write(request.tools, request.tool_choice))
    body.update(SettingsWriter(asked, profile, is_home=is_home, losses=losses).write())
    if request.reasoning is not None:
        write_reasoning(request.reasoning, profile, body, losses)
    _write_stream(request, body, is_home=is_home)
    return RenderedRequest(body, tuple(losses), names)


def _left(residue: Residue | None, profile: Profile, losses: list[Loss]) -> JsonObject:
    left = own_fields(residue)
    for key in _OPTIONAL:
        if left.get(key) is not None and key not in profile.extras:
            del left[key]
            losses.append(Loss(key, key, "the upstream does not take it"))
    return left


def _write_stream(request: Request, body: JsonObject, *, is_home: bool) -> None:
    """Usage is always asked for: without `include_usage` the upstream would not tell."""
    if is_home:
        for key in ("stream", "stream_options"):
            if (value := shape_of(request.residue, key)) is not None:
                body[key] = value
        if request.is_stream:
            body["stream"] = True
    elif request.is_stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
