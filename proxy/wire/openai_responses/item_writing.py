"""Parts → items, the mirror of `items`: by their marks where this wire brought them, else in its usual way.

`made` holds what an item is given that came without marks (type, id, role, status).
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.hub.custom import unwrapped
from proxy.hub.names import tag
from proxy.hub.parts import Part, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import loads
from proxy.wire.fields import residue_fields, residue_shape
from proxy.wire.openai_responses.items import REDACTED, SECTIONS
from proxy.wire.openai_responses.losses import NAME
from proxy.wire.openai_responses.parts import INPUT, OUTPUT, render_content, residue_item_keys
from proxy.wire.openai_responses.spelling import Spelling


def item_marks(part: Part) -> JsonValue:
    """A dict where the part begins an item of its own, ``"same"``, or None for a part that another wire brought."""
    return residue_shape(part.residue, NAME, "item")


def _own_marks(part: Part) -> JsonObject | None:
    marks = item_marks(part)
    return marks if isinstance(marks, dict) else None


def message_item(parts: Sequence[Part], made: JsonObject) -> JsonObject:
    head = _own_marks(parts[0])
    if head is None:
        head = made
    native = OUTPUT if head.get("role", "assistant") == "assistant" else INPUT
    form = residue_shape(parts[0].residue, NAME, "content") if head is not made else None
    if form == "string" and isinstance(parts[0], Text):
        content: JsonValue = parts[0].text
    elif form == "empty":
        content = []
    else:
        content = [render_content(part, native) for part in parts]
    fields = residue_fields(parts[0].residue, NAME)
    outer = {str(theirs): fields[ours] for ours, theirs in residue_item_keys(parts[0].residue).items()}
    return {**head, "content": content, **outer}


def reasoning_item(thinking: Thinking, blob: str | None, made: JsonObject) -> JsonObject:
    """`blob`: what stands in ``encrypted_content``, if anything."""
    marks = _own_marks(thinking)
    place = residue_shape(thinking.residue, NAME, "sections")
    key = place if isinstance(place, str) else "summary"
    sections: list[JsonValue] = [{"type": SECTIONS[key], "text": text} for text in thinking.sections]
    item: JsonObject = dict(made) if marks is None else {}
    if marks is None or sections:
        item[key] = sections
    if blob is not None:
        item["encrypted_content"] = blob
    return {**item, **(marks or {}), **residue_fields(thinking.residue, NAME)}


def tagged_blob(thinking: Thinking) -> str | None:
    """For a client: our own maker's blob as it is, another's with its maker's mark. The mark also where there is no
    blob: another wire's thought that comes back without it would be taken for an item that OpenAI has stored.
    """
    is_ours = thinking.origin in {None, NAME} or (thinking.signature is None and _own_marks(thinking) is not None)
    if is_ours:
        return thinking.signature
    return tag(thinking.origin or NAME, (REDACTED if thinking.is_redacted else "") + (thinking.signature or ""))


def call_item(call: ToolCall, spelling: Spelling, made: JsonObject) -> JsonObject:
    marks = _own_marks(call)
    fields = residue_fields(call.residue, NAME)
    if marks is None:
        return _foreign_call(call, spelling, made)
    if marks.get("type") == "tool_search_call":
        return {"call_id": call.id, **marks, **fields}
    key = "input" if call.is_custom else "arguments"
    item: JsonObject = {"call_id": call.id, "name": call.name, key: call.arguments}
    if residue_shape(call.residue, NAME, "is_id_made"):
        del item["call_id"]
    return {**item, **marks, **fields}


def _foreign_call(call: ToolCall, spelling: Spelling, made: JsonObject) -> JsonObject:
    item: JsonObject = {**made, "type": spelling.kind, "call_id": call.id}
    if spelling.kind == "tool_search_call":
        return {**item, "execution": "client", "arguments": _as_object(call.arguments)}
    item["name"] = spelling.name
    if spelling.namespace is not None:
        item["namespace"] = spelling.namespace
    if spelling.kind == "custom_tool_call":
        return {**item, "input": call.arguments if call.is_custom else unwrapped(call.arguments)}
    return {**item, "arguments": call.arguments or "{}"}


def _as_object(arguments: str) -> JsonObject:
    value = _read(arguments)
    return value if isinstance(value, dict) else {"input": arguments}


def _read(arguments: str) -> JsonValue:
    try:
        return loads(arguments)
    except (ValueError, RecursionError):
        return None
