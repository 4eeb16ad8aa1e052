"""What a change changed, and nothing of what stayed: as an audit log has it. Pure."""

from __future__ import annotations

import msgspec

from proxy.config.settings import JsonValue

_encode = msgspec.json.Encoder(order="sorted").encode


def difference(before: JsonValue, after: JsonValue) -> tuple[JsonValue, JsonValue]:
    """Of two values that differ: of objects the members that do, of lists the entries that only one has. Lists whose
    order alone is another stay whole.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        left, right = {}, {}
        for name in (*before, *(each for each in after if each not in before)):
            if name not in after:
                left[name] = before[name]
            elif name not in before:
                right[name] = after[name]
            elif before[name] != after[name]:
                left[name], right[name] = difference(before[name], after[name])
        return left, right
    if isinstance(before, list) and isinstance(after, list):
        gone, new = _without(before, after), _without(after, before)
        return (gone, new) if gone or new else (before, after)
    return before, after


def _without(some: list[JsonValue], others: list[JsonValue]) -> list[JsonValue]:
    known = {_encode(each) for each in others}
    return [each for each in some if _encode(each) not in known]
