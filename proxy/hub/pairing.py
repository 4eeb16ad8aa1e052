"""Tool calls and their results, paired as every wire but our hub demands.

Clients forget results, repeat them, put them behind other text, or keep one whose call was cut from the history.
Upstreams refuse all of that. Here each turn with calls is followed by one `tool` message with one result for each
call, in the order of the calls; what answers no call is dropped, with a `Loss`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from proxy.hub.loss import Loss
from proxy.hub.names import synthetic_call_id
from proxy.hub.parts import Part, Text, ToolCall, ToolResult
from proxy.hub.request import Message

STUB = "No result was recorded for this call."
FILLER = "."
"""The user's turn that must be there, where the client's history has none to begin with, or none that says anything."""


class Placed(NamedTuple):
    """A message, and where it stood in the request: `path` its own path, `paths` its parts'."""

    message: Message
    path: str
    paths: tuple[str, ...]


class _Filed(NamedTuple):
    position: int
    path: str
    result: ToolResult


_Files: TypeAlias = defaultdict[str, deque[_Filed]]


def paired(messages: Sequence[Message]) -> tuple[list[Placed], list[Loss]]:
    """Calls without a result get `STUB` as one: no target takes an unanswered call."""
    results: _Files = defaultdict(deque)
    calls: defaultdict[str, deque[int]] = defaultdict(deque)
    for position, message in enumerate(messages):
        for number, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                results[part.call_id].append(_Filed(position, _path(position, number), part))
            elif isinstance(part, ToolCall):
                calls[part.id].append(position)
    placed: list[Placed] = []
    losses: list[Loss] = []
    for position, message in enumerate(messages):
        kept = _without_results(position, message)
        if kept is not None:
            placed.append(kept)
        if asked := _calls(position, message):
            answers = [_answer(call, path, position, results, calls, losses) for path, call in asked]
            turn = Message(role="tool", parts=tuple(answer.result for answer in answers))
            placed.append(Placed(turn, f"messages[{position}]", tuple(answer.path for answer in answers)))
    losses.extend(_orphan(filed) for queue in results.values() for filed in queue)
    return placed, losses


def with_unique_ids(messages: Iterable[Placed]) -> Iterator[Placed]:
    """What `paired` gave, for wires in which each call of a history has an id of its own: ids that are used again
    (some models count from ``call_0`` in every turn), or empty, get another. Always the same one.
    """
    taken: set[str] = set()
    latest: list[str] = []
    for each in messages:
        if each.message.role == "assistant":
            latest = []
        parts: list[Part] = []
        for number, part in enumerate(each.message.parts):
            if isinstance(part, ToolCall):
                call_id = part.id
                if not call_id or call_id in taken:
                    call_id = synthetic_call_id(len(taken), part.name, part.arguments)
                taken.add(call_id)
                latest.append(call_id)
                parts.append(replace(part, id=call_id))
            elif isinstance(part, ToolResult) and number < len(latest):
                parts.append(replace(part, call_id=latest[number]))
            else:
                parts.append(part)
        is_same = all(one is other for one, other in zip(parts, each.message.parts, strict=True))
        yield each if is_same else each._replace(message=replace(each.message, parts=tuple(parts)))


def _path(position: int, number: int) -> str:
    return f"messages[{position}].content[{number}]"


def _paths(position: int, message: Message) -> list[str]:
    return [_path(position, number) for number in range(len(message.parts))]


def _calls(position: int, message: Message) -> list[tuple[str, ToolCall]]:
    if message.role != "assistant":
        return []
    parts = enumerate(message.parts)
    return [(_path(position, number), part) for number, part in parts if isinstance(part, ToolCall)]


def _without_results(position: int, message: Message) -> Placed | None:
    if not any(isinstance(part, ToolResult) for part in message.parts):
        return Placed(message, f"messages[{position}]", tuple(_paths(position, message)))
    pairs = [
        (path, part)
        for path, part in zip(_paths(position, message), message.parts, strict=True)
        if not isinstance(part, ToolResult)
    ]
    if not pairs:
        return None
    paths = tuple(path for path, _ in pairs)
    return Placed(replace(message, parts=tuple(part for _, part in pairs)), f"messages[{position}]", paths)


def _answer(
    call: ToolCall,
    path: str,
    position: int,
    results: _Files,
    calls: defaultdict[str, deque[int]],
    losses: list[Loss],
) -> _Filed:
    """The first result after the call and before the next call of the same id (some clients use an id again)."""
    queue, positions = results[call.id], calls[call.id]
    positions.popleft()
    until = next((later for later in positions if later > position), None)
    while queue and queue[0].position < position:
        losses.append(_orphan(queue.popleft()))
    if not queue or (until is not None and queue[0].position > until):
        return _Filed(position, path, ToolResult(call_id=call.id, name=call.name, parts=(Text(text=STUB),)))
    return queue.popleft()


def _orphan(filed: _Filed) -> Loss:
    return Loss(filed.path, "tool result", f"no call waits for a result of the id {filed.result.call_id!r}")
