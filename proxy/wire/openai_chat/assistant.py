"""What an assistant says: the message of an answer and the one of a history have the same form.

Our order of parts: reasoning, content, refusal, images and audio, calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from proxy.hub.names import synthetic_call_id, untag
from proxy.hub.parts import Media, Opaque, Part, Refusal, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import dumps, loads
from proxy.wire.fields import Fields
from proxy.wire.openai_chat.parts import parse_content, parse_part
from proxy.wire.openai_chat.reasoning import CallSignatures, take_thinking
from proxy.wire.openai_chat.words import NAME, own_shape

IMAGE_KINDS = frozenset({"image_url"})
PARALLEL = "multi_tool_use.parallel"
"""A tool that some OpenAI models invent: its input holds the calls that they mean."""


class Speaker(NamedTuple):
    """Who wrote the message. `origin`: whose signatures it carries. `salt` makes made-up ids unique."""

    origin: str
    salt: str
    is_client: bool = False


def parse_said(fields: Fields, speaker: Speaker) -> tuple[list[Part], str]:
    """The parts, and the form of the content. What is left in `fields` is the message's own."""
    thinking, signatures = take_thinking(fields, origin=speaker.origin, is_client=speaker.is_client)
    raw = fields.peek("content")
    content, form = parse_content(raw, fields.at("content"))
    if raw:
        fields.take("content")
    if not speaker.is_client:
        content = [replace(part, origin=speaker.origin) if isinstance(part, Thinking) else part for part in content]
    parts: list[Part] = [*thinking, *content]
    if fields.peek("refusal"):
        parts.append(Refusal(text=fields.need_str("refusal")))
    parts.extend(_media(fields, speaker))
    parts.extend(_calls(fields, speaker, signatures))
    return parts, form


def _media(fields: Fields, speaker: Speaker) -> list[Part]:
    """`images` (openrouter) and `audio`."""
    parts: list[Part] = []
    images = fields.peek("images")
    if isinstance(images, list) and images and all(isinstance(image, dict) for image in images):
        for index, item in enumerate(fields.need_list("images")):
            parts.append(in_place(parse_part(item, f"{fields.at('images')}[{index}]", IMAGE_KINDS), "images"))
    value = fields.peek("audio")
    audio = fields.take_fields("audio") if isinstance(value, dict) and (value.get("data") or value.get("id")) else None
    if audio is not None:
        data, file_id = audio.take_str("data"), audio.take_str("id")
        residue = audio.residue(**{"in": "audio"}, **({"id": file_id} if data is not None else {}))
        if data is not None:
            parts.append(Media(kind="audio", data=data, residue=residue))
        else:
            parts.append(Media(kind="audio", file_id=file_id, origin=speaker.origin, residue=residue))
    return parts


def in_place(part: Part, key: str) -> Part:
    """The part, remembering that it stood under `key` of the message."""
    left: Mapping[str, JsonValue] = part.residue.fields if part.residue is not None else {}
    return replace(part, residue=Residue(wire=NAME, fields=left, shape={**own_shape(part.residue), "in": key}))


def _calls(fields: Fields, speaker: Speaker, signatures: CallSignatures) -> list[Part]:
    parts: list[Part] = []
    if fields.peek("tool_calls"):
        for position, item in enumerate(fields.need_list("tool_calls")):
            call = Fields(item, wire=NAME, path=f"{fields.at('tool_calls')}[{position}]")
            part = parse_call(call, position, speaker)
            if part is None:
                parts.append(Opaque(wire=NAME, kind="tool_call", value=item))
                continue
            if part.id in signatures:
                origin, blob = signatures[part.id]
                part = replace(part, signature=blob, origin=origin)
            parts.extend([part] if speaker.is_client else expanded(part))
    legacy = fields.take_fields("function_call")
    if legacy is not None:
        name, (arguments, shape) = legacy.need_str("name"), _arguments(legacy)
        call_id = synthetic_call_id(0, f"{speaker.salt}:{name}", "")
        residue = legacy.residue(**{"in": "function_call"}, **shape)
        parts.append(ToolCall(id=call_id, name=name, arguments=arguments, residue=residue))
    return parts


def parse_call(call: Fields, position: int, speaker: Speaker) -> ToolCall | None:
    """One of `tool_calls`. Shape: what differs from ``{id, type: function, function: {name, arguments}}``. None: it
    names no tool.
    """
    shape: JsonObject = {}
    kind, key = call.take_str("type"), "custom" if isinstance(call.peek("custom"), dict) else "function"
    inner = call.take_fields(key)
    if inner is None or not inner.peek("name"):
        return None
    if kind != key:
        shape["type"] = kind
    name = inner.need_str("name")
    if key == "custom":
        arguments, written = inner.take_str("input") or "", JsonObject()
    else:
        arguments, written = _arguments(inner)
    call_id = call.take_str("id")
    if not call_id:
        shape["id"] = call_id
        call_id = synthetic_call_id(position, f"{speaker.salt}:{name}", "")
    index = call.take("index")
    if index is not None:
        shape["index"] = index
    left = inner.residue()
    if left is not None:
        call.give_back(key, dict(left.fields))
    signature, origin = _signature(call, speaker, shape)
    return ToolCall(
        id=call_id,
        name=name,
        arguments=arguments,
        is_custom=key == "custom",
        signature=signature,
        origin=origin,
        residue=call.residue(**shape, **written),
    )


def _arguments(inner: Fields) -> tuple[str, JsonObject]:
    """JSON text; how it was written, where it was not text or empty."""
    value = inner.take("arguments")
    if isinstance(value, str):
        return (value, {}) if value.strip() else ("{}", {"arguments": value})
    if value is None:
        return "{}", {"arguments": None}
    return dumps(value).decode(), {"arguments": "value"}


def written_arguments(call: ToolCall) -> JsonObject:
    """The mirror of `_arguments`."""
    residue = call.residue
    if residue is None or residue.wire != NAME or "arguments" not in residue.shape:
        return {"arguments": call.arguments}
    how = residue.shape["arguments"]
    if how == "value":
        return {"arguments": loads(call.arguments)}
    if call.arguments != "{}":
        return {"arguments": call.arguments}
    return {} if how is None else {"arguments": how}


def _signature(call: Fields, speaker: Speaker, shape: JsonObject) -> tuple[str | None, str | None]:
    """Gemini's, where its OpenAI endpoint puts it: ``extra_content.google.thought_signature``."""
    extra = call.peek("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    blob = google.get("thought_signature") if isinstance(google, dict) else None
    if not isinstance(blob, str):
        return None, None
    shape["extra_content"] = call.take("extra_content")
    if not speaker.is_client:
        return blob, speaker.origin
    origin, blob = untag(blob, NAME)
    return blob, origin


def expanded(call: ToolCall) -> list[ToolCall]:
    """The calls inside `PARALLEL`, or just the call."""
    if call.name != PARALLEL:
        return [call]
    try:
        value = loads(call.arguments)
    except (ValueError, RecursionError):
        return [call]
    uses = value.get("tool_uses") if isinstance(value, dict) else None
    calls: list[ToolCall] = []
    for number, use in enumerate(uses if isinstance(uses, list) else []):
        name = use.get("recipient_name") if isinstance(use, dict) else None
        if not isinstance(use, dict) or not isinstance(name, str):
            return [call]
        calls.append(
            ToolCall(
                id=f"{call.id}_{number}",
                name=name.removeprefix("functions."),
                arguments=dumps(use.get("parameters") or {}).decode(),
                residue=Residue(wire=NAME, shape={"wrapped": _wrapper(call) if not number else None}),
            )
        )
    return calls or [call]


def _wrapper(call: ToolCall) -> JsonValue:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
        **(call.residue.fields if call.residue is not None else {}),
    }
