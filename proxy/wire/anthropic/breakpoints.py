"""Cache marks for clients whose wire cannot say where a prompt is worth caching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from proxy.hub.parts import CacheMark, Media, Opaque, Part, Text, ToolCall, ToolResult
from proxy.hub.request import Message, Request, Tool

_MARK = CacheMark()
_TURNS = 2
"""The last turn, to be read by the next request, and the one before it, to read what the request before this wrote."""


def with_breakpoints(request: Request) -> Request:
    """Marks the end of the tools, of the system text, and of the last two turns of the user's: four at most.

    Marks are no part of what is cached, so that moving them with the conversation leaves its prefix as it is. A request
    that bears a mark already is left alone: its client knows what it wants.
    """
    if _is_marked(request):
        return request
    return replace(
        request,
        tools=_marked_tools(request.tools),
        instructions=_marked_parts(request.instructions),
        messages=_marked_messages(request.messages),
    )


def _is_marked(request: Request) -> bool:
    if request.residue is not None and request.residue.fields.get("cache_control") is not None:
        return True
    parts = [*request.instructions, *(part for message in request.messages for part in message.parts)]
    inner = [each for part in parts if isinstance(part, ToolResult) for each in part.parts]
    return any(each.cache is not None for each in (*request.tools, *parts, *inner))


def _marked_tools(tools: tuple[Tool | Opaque, ...]) -> tuple[Tool | Opaque, ...]:
    """The last that is not deferred: a deferred one is no part of the prefix."""
    for index in range(len(tools) - 1, -1, -1):
        tool = tools[index]
        if not _is_deferred(tool):
            return (*tools[:index], replace(tool, cache=_MARK), *tools[index + 1 :])
    return tools


def _is_deferred(tool: Tool | Opaque) -> bool:
    if isinstance(tool, Opaque):
        return isinstance(tool.value, dict) and bool(tool.value.get("defer_loading"))
    return tool.residue is not None and bool(tool.residue.fields.get("defer_loading"))


def _marked_messages(messages: Sequence[Message]) -> tuple[Message, ...]:
    result = list(messages)
    left = _TURNS
    is_in_turn = False
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role not in {"user", "tool"}:
            is_in_turn = False
            continue
        if is_in_turn or not left:  # results and the text after them are one turn
            continue
        marked = _marked_parts(message.parts)
        if marked is not message.parts:
            result[index] = replace(message, parts=marked)
            is_in_turn, left = True, left - 1
    return tuple(result)


def _marked_parts(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        is_markable = isinstance(part, Media | ToolResult | ToolCall) or (isinstance(part, Text) and part.text.strip())
        if is_markable:
            return (*parts[:index], replace(part, cache=_MARK), *parts[index + 1 :])
    return parts
