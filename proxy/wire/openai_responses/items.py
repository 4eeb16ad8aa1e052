"""Items: what ``input`` and ``output`` are lists of. One item gives one part, a message one for each content part.

`Residue.shape["item"]` of a part is the item's bookkeeping (type, id, role, status, phase), ``"same"`` for a message's
further parts; ``item_keys`` names the fields that belong to the item and not to the content part. Hosted tools' calls
and every kind without a word in the hub are Opaque, whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

from proxy.errors import Malformed
from proxy.hub.names import synthetic_call_id, untag
from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import dumps, json_type, loads
from proxy.wire.fields import Fields
from proxy.wire.openai_responses.losses import NAME
from proxy.wire.openai_responses.parts import INPUT, OUTPUT, parse_content
from proxy.wire.openai_responses.spelling import DEFAULT_NAMESPACE, hub_name

P = TypeVar("P", bound=Text | Media | Refusal | Opaque)

BOOKKEEPING = ("type", "id", "role", "status", "phase", "created_by", "internal_chat_message_metadata_passthrough")
"""Keys of items that mean nothing to another wire. `phase` (commentary, final_answer) is a mark that only the maker's
own models read; the last one is what the Codex CLI tells its own backend."""
PARALLEL = "multi_tool_use.parallel"
"""A tool that some models invent: its input holds the calls that they mean."""
REDACTED = "redacted:"
"""Before another maker's blob that stands for thinking without any text: its own wire has two kinds of blocks."""
SECTIONS: Mapping[str, str] = {"content": "reasoning_text", "summary": "summary_text"}
"""Where a reasoning item holds text, and in parts of which type. The first that has any gives the sections."""
ROLES = ("user", "assistant", "system", "developer")


class Place(NamedTuple):
    """Where an item stands, and who made it: an upstream (`maker`), or None for a client's history, in which other
    makers' blobs come back tagged.
    """

    path: str
    position: int = 0
    maker: str | None = None


def parse_item(value: JsonValue, place: Place) -> tuple[Part, ...]:
    fields = Fields(value, wire=NAME, path=place.path)
    kind = fields.peek("type")
    if kind is None and "role" in fields:
        kind = "message"
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    parts = parse(fields, place) if parse is not None else ()
    return parts or (Opaque(wire=NAME, kind=str(kind), value=value, origin=place.maker),)


def _bookkeeping(fields: Fields) -> JsonObject:
    return {key: fields.take(key) for key in BOOKKEEPING if fields.peek(key) is not None}


def _message(fields: Fields, place: Place) -> tuple[Part, ...]:
    item = _bookkeeping(fields)
    role = item.get("role", "assistant" if place.maker else None)
    if role not in ROLES:
        raise Malformed(
            f"{fields.at('role')} must be one of {', '.join(ROLES)}, not {role or 'missing'}", path=fields.at("role")
        )
    native = OUTPUT if role == "assistant" else INPUT
    content = fields.take("content")
    residue = fields.residue()
    left: JsonObject = dict(residue.fields) if residue is not None else {}
    if isinstance(content, str):
        return (_marked(Text(text=content), item, left, content="string"),)
    if not isinstance(content, list):
        raise Malformed(
            f"{fields.at('content')} must be a string or an array, not {json_type(content)}", path=fields.at("content")
        )
    if not content:
        return (_marked(Text(text=""), item, left, content="empty"),)
    parts = [parse_content(part, f"{fields.at('content')}[{at}]", native) for at, part in enumerate(content)]
    first = _marked(parts[0], item, left, content="list")
    return (first, *(_marked(part, "same", {}, content="list") for part in parts[1:]))


def _marked(part: P, item: JsonValue, left: JsonObject, *, content: str) -> P:
    """The part with its item's marks beside its own."""
    fields: JsonObject = dict(part.residue.fields) if part.residue is not None else {}
    shape: JsonObject = dict(part.residue.shape) if part.residue is not None else {}
    keys: JsonObject = {(key if key not in fields else f"item.{key}"): key for key in left}
    fields.update({ours: left[str(key)] for ours, key in keys.items()})
    shape["item"] = item
    if content != "list":
        shape["content"] = content
    if keys:
        shape["item_keys"] = keys
    return replace(part, residue=Residue(wire=NAME, fields=fields, shape=shape))


def _reasoning(fields: Fields, place: Place) -> tuple[Part, ...]:
    """The sections are the raw thoughts where the model shows them (open models), else the summary's."""
    item = _bookkeeping(fields)
    blob = fields.take_str("encrypted_content")
    origin, signature, is_redacted = _opened(blob, place.maker)
    texts = {key: _texts(fields, key, kind) for key, kind in SECTIONS.items()}
    shape: JsonObject = {"item": item}
    sections: tuple[str, ...] = ()
    for key, found in texts.items():
        if found == ():
            item[key] = fields.take(key)
        elif found and not sections:
            sections, shape["sections"] = found, key
            fields.take(key)
    return (
        Thinking(
            sections=sections,
            signature=signature,
            is_redacted=is_redacted,
            origin=origin,
            residue=fields.residue(**shape),
        ),
    )


def _opened(blob: str | None, maker: str | None) -> tuple[str, str | None, bool]:
    """Its maker, the blob as the maker wrote it, and whether it is all that there is."""
    if blob is None or maker is not None:
        return maker or NAME, blob, False
    origin, signature = untag(blob, NAME)
    if origin == NAME:
        return origin, signature, False
    return origin, signature.removeprefix(REDACTED) or None, signature.startswith(REDACTED)


def _texts(fields: Fields, key: str, kind: str) -> tuple[str, ...] | None:
    """The texts of a list of parts of one kind; None when it is absent or anything else."""
    value = fields.peek(key)
    if not isinstance(value, list):
        return None
    texts: list[str] = []
    for part in value:
        text = part.get("text") if isinstance(part, dict) and part.keys() == {"type", "text"} else None
        if not isinstance(part, dict) or part.get("type") != kind or not isinstance(text, str):
            return None
        texts.append(text)
    return tuple(texts)


def _function_call(fields: Fields, place: Place) -> tuple[Part, ...]:
    item = _bookkeeping(fields)
    arguments = fields.take("arguments")
    if isinstance(arguments, dict):
        item["arguments"] = arguments
        arguments = dumps(arguments).decode()
    if not isinstance(arguments, str):
        fields.give_back("arguments", arguments)
        arguments = fields.need_str("arguments")
    call = _call(fields, item, place, arguments=arguments, is_custom=False)
    return tuple(_expanded(call)) if call.name == PARALLEL and place.maker is not None else (call,)


def _expanded(wrapper: ToolCall) -> list[ToolCall]:
    """The calls that the model meant; the first keeps the wrapper, to be given back at home."""
    try:
        value = loads(wrapper.arguments)
    except (ValueError, RecursionError):
        return [wrapper]
    uses = value.get("tool_uses") if isinstance(value, dict) else None
    calls: list[ToolCall] = []
    for number, use in enumerate(uses if isinstance(uses, list) else []):
        name = use.get("recipient_name") if isinstance(use, dict) else None
        if not isinstance(use, dict) or not isinstance(name, str):
            return [wrapper]
        calls.append(
            ToolCall(
                id=f"{wrapper.id}_{number}",
                name=name.removeprefix(f"{DEFAULT_NAMESPACE}."),
                arguments=dumps(use.get("parameters") or {}).decode(),
                residue=Residue(wire=NAME, shape={"item": "same"} if number else _whole(wrapper)),
            )
        )
    return calls or [wrapper]


def _whole(call: ToolCall) -> JsonObject:
    residue = call.residue or Residue(wire=NAME)
    marks = residue.shape.get("item")
    kept: JsonObject = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
    return {"item": {**kept, **residue.fields, **(marks if isinstance(marks, dict) else {})}}


def _custom_tool_call(fields: Fields, place: Place) -> tuple[Part, ...]:
    item = _bookkeeping(fields)
    return (_call(fields, item, place, arguments=fields.need_str("input"), is_custom=True),)


def _tool_search_call(fields: Fields, place: Place) -> tuple[Part, ...]:
    """A search that the client carries out is a call like any other; a hosted one is Opaque."""
    if not _is_client_search(fields) or not isinstance(fields.peek("arguments"), dict):
        return ()
    item = {**_bookkeeping(fields), "execution": fields.take("execution"), "arguments": fields.take("arguments")}
    call_id = fields.need_str("call_id")
    arguments = dumps(item["arguments"]).decode()
    del place
    return (ToolCall(id=call_id, name="tool_search", arguments=arguments, residue=fields.residue(item=item)),)


def _is_client_search(fields: Fields) -> bool:
    return fields.peek("execution") == "client" and isinstance(fields.peek("call_id"), str)


def _call(fields: Fields, item: JsonObject, place: Place, *, arguments: str, is_custom: bool) -> ToolCall:
    name, namespace = fields.need_str("name"), fields.take_str("namespace")
    full_name = hub_name(namespace, name)
    if namespace is not None:
        item["namespace"] = namespace
    if full_name != name:
        item["name"] = name
    call_id = fields.take_str("call_id")
    if call_id == "":
        item["call_id"] = call_id
    shape: JsonObject = {"item": item} if call_id else {"item": item, "is_id_made": True}
    return ToolCall(
        id=call_id or synthetic_call_id(place.position, full_name, arguments),
        name=full_name,
        arguments=arguments,
        is_custom=is_custom,
        residue=fields.residue(**shape),
    )


def _output(fields: Fields, place: Place) -> tuple[Part, ...]:
    """What the caller's tool gave: a string, or a list of content parts. In an answer it is nobody's business."""
    if place.maker is not None:
        return ()
    item = _bookkeeping(fields)
    call_id = fields.need_str("call_id")
    output = fields.take("output")
    if isinstance(output, str):
        item["output"] = "string"
        parts: tuple[Text | Media | Opaque, ...] = (Text(text=output),) if output else ()
    elif isinstance(output, list):
        path = fields.at("output")
        parts = tuple(_output_part(part, f"{path}[{at}]") for at, part in enumerate(output))
    elif output is None:
        item["output"] = "absent"
        parts = ()
    else:
        raise Malformed(
            f"{fields.at('output')} must be a string or an array, not {json_type(output)}", path=fields.at("output")
        )
    return (ToolResult(call_id=call_id, parts=parts, residue=fields.residue(item=item)),)


def _output_part(value: JsonValue, path: str) -> Text | Media | Opaque:
    part = parse_content(value, path, INPUT)
    return part if not isinstance(part, Refusal) else Opaque(wire=NAME, kind="refusal", value=value)


def _tool_search_output(fields: Fields, place: Place) -> tuple[Part, ...]:
    """The tools that were found count from here on: `turns` adds them to the request's. The model reads their names."""
    tools = fields.peek("tools")
    if place.maker is not None or not _is_client_search(fields) or not isinstance(tools, list):
        return ()
    item = {**_bookkeeping(fields), "execution": fields.take("execution"), "tools": fields.take("tools")}
    names: list[JsonValue] = [tool.get("name") for tool in tools if isinstance(tool, dict)]
    text = Text(text=dumps({"tools": names}).decode())
    return (ToolResult(call_id=fields.need_str("call_id"), parts=(text,), residue=fields.residue(item=item)),)


_PARSERS: Mapping[str, Callable[[Fields, Place], tuple[Part, ...]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _custom_tool_call,
    "tool_search_call": _tool_search_call,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "tool_search_output": _tool_search_output,
}
