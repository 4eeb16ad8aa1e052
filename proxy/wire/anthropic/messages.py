"""Turns of a client's request → messages of the hub. The way back is `turns`.

A user's turn may hold tool results among other blocks; in the hub they are messages of their own, and remember that
they were joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from proxy.errors import Malformed
from proxy.hub.parts import Part, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Message, Role
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.anthropic.blocks import NAME, OF_CALL, OF_TEXT, BlockReader, opaque
from proxy.wire.base import json_type
from proxy.wire.fields import Fields

_READER = BlockReader()
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


def parse_messages(values: list[JsonValue]) -> Iterator[Message]:
    for index, value in enumerate(values):
        yield from _parse_message(value, f"messages[{index}]")


def parse_content(content: JsonValue, path: str, role: Role) -> tuple[Part, ...]:
    """A string or blocks."""
    if isinstance(content, str):
        return (Text(text=content),)
    if not isinstance(content, list):
        raise Malformed(f"{path} must be a string or an array, not {json_type(content)}", path=path)
    return tuple(_parse_block(value, f"{path}[{index}]", role) for index, value in enumerate(content))


def _parse_block(value: JsonValue, path: str, role: Role) -> Part:
    """Results are the user's; calls and thinking are the assistant's. Elsewhere they mean nothing to the hub."""
    part = _READER.read(value, path)
    is_stray = isinstance(part, ToolResult) and role != "user"
    is_stray = is_stray or (isinstance(part, ToolCall | Thinking) and role != "assistant")
    return opaque(value, path, NAME) if is_stray and isinstance(value, dict) else part


def _parse_message(value: JsonValue, path: str) -> Iterator[Message]:
    fields = Fields(value, wire=NAME, path=path)
    role = _ROLES.get(fields.need_str("role"))
    if role is None:
        raise Malformed(f"{path}.role must be user, assistant or system", path=f"{path}.role")
    content = fields.take("content")
    shape: JsonObject = {"content": "string"} if isinstance(content, str) else {}
    if content is None and role == "system":
        content = []  # a system message may hold nothing but output_config
        shape["content"] = "absent"
    parts = parse_content(content, f"{path}.content", role)
    residue = fields.residue(**shape)
    if role != "user":
        parts = _with_signatures(parts) if role == "assistant" else parts
        yield Message(role=role, parts=parts, residue=residue)
        return
    runs = [(is_result, tuple(run)) for is_result, run in groupby(parts, lambda part: isinstance(part, ToolResult))]
    for number, (is_result, run) in enumerate(runs or [(False, ())]):
        joined = Fields({}, wire=NAME).residue(joined=True)
        yield Message(role="tool" if is_result else "user", parts=run, residue=joined if number else residue)


def _with_signatures(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Gives another maker's signatures back to the call or text that they belong to: a client of this wire brought
    them in thinking blocks without text.
    """
    if not any(isinstance(part, Thinking) and part.origin != NAME for part in parts):
        return parts
    result: list[Part] = []
    held: Thinking | None = None
    for part in parts:
        blob = part.signature or "" if isinstance(part, Thinking) and not part.sections else ""
        last = result[-1] if result else None
        if isinstance(part, Thinking) and blob.startswith(OF_CALL):
            held = part
        elif isinstance(part, Thinking) and blob.startswith(OF_TEXT):
            if isinstance(last, Text):
                result[-1] = replace(last, signature=blob.removeprefix(OF_TEXT), origin=part.origin)
        elif isinstance(part, ToolCall) and held is not None and held.signature is not None:
            result.append(replace(part, signature=held.signature.removeprefix(OF_CALL), origin=held.origin))
            held = None
        else:
            result.append(part)
    return tuple(result)
