"""Whether a call's arguments are all there."""

from __future__ import annotations

from proxy.hub.parts import ToolCall
from proxy.wire.base import loads


def is_readable(call: ToolCall) -> bool:
    """Whether the arguments are JSON, none at all, or free text."""
    if call.is_custom or not call.arguments.strip():
        return True
    try:
        loads(call.arguments)
    except (ValueError, RecursionError):
        return False
    return True


def may_be_cut(call: ToolCall, *, is_last: bool) -> bool:
    """Whether an answer that reached its limit ended within the call, which must not be carried out then. Of free text,
    and of no text at all, nobody can tell; but what was written last was cut.
    """
    return not is_readable(call) or (is_last and (call.is_custom or not call.arguments.strip()))
