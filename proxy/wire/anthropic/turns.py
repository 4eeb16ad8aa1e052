"""Messages of the hub → turns as this wire has them.

A turn is `user`, `assistant` or `system`; tool results stand first in the user's turn after the calls that they answer,
and each call has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from proxy.hub.loss import Loss
from proxy.hub.pairing import paired, with_unique_ids
from proxy.hub.parts import Part, Text, ToolResult
from proxy.hub.request import Message
from proxy.hub.residue import Residue
from proxy.wire.anthropic.blocks import NAME
from proxy.wire.fields import residue_losses, residue_shape

CONTINUE = "Go on from the exact point where your last message ends. Do not repeat any of it."


@dataclass(slots=True)
class Turn:
    """`parts`: each with its path in the client's request."""

    role: str
    parts: list[tuple[str, Part]] = field(default_factory=list)
    residue: Residue | None = None


def placed(index: int, message: Message) -> Iterator[tuple[str, Part]]:
    return ((f"messages[{index}].content[{number}]", part) for number, part in enumerate(message.parts))


def home_turns(messages: Sequence[Message], losses: list[Loss], *, has_mid_system: bool) -> list[Turn]:
    """The client's own turns again: what one of them was split into is joined."""
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        if turns and residue_shape(message.residue, NAME, "joined"):
            turns[-1].parts.extend(placed(index, message))
        else:
            role = "user" if message.role == "tool" else message.role
            turns.append(Turn(role, list(placed(index, message)), message.residue))
    return turns if has_mid_system else without_mid_system(turns, losses)


def foreign_turns(messages: Sequence[Message], losses: list[Loss], *, has_mid_system: bool) -> list[Turn]:
    """Another wire's history in this one's grammar: merged, never reordered but for results."""
    for index, message in enumerate(messages):
        losses.extend(residue_losses(message.residue, NAME, f"messages[{index}]"))
    placed_messages, dropped = paired(messages)
    losses.extend(dropped)
    turns: list[Turn] = []
    for each in with_unique_ids(placed_messages):
        role = "user" if each.message.role == "tool" else each.message.role
        _extend(turns, role, zip(each.paths, each.message.parts, strict=True))
    if not has_mid_system:
        turns = without_mid_system(turns, losses)
    return turns


def _extend(turns: list[Turn], role: str, parts: Iterable[tuple[str, Part]]) -> None:
    """Consecutive turns of one role are one."""
    if turns and turns[-1].role == role:
        turns[-1].parts.extend(parts)
    else:
        turns.append(Turn(role, list(parts)))


def without_mid_system(turns: list[Turn], losses: list[Loss]) -> list[Turn]:
    """For a model that takes system text only before the first turn: it goes into the user's turn beside it, marked.

    Not to the top: that would change what it means, and break every cached prefix.
    """
    merged: list[Turn] = []
    for turn in turns:
        if turn.role != "system":
            _add(merged, turn)
            continue
        parts: list[tuple[str, Part]] = []
        for path, part in turn.parts:
            if isinstance(part, Text) and not part.text.strip():
                parts.append((path, part))  # says nothing in any role
                continue
            losses.append(Loss(path, "system role", "in mid-conversation this model takes only the user's text"))
            marked = replace(part, text=f"<system>\n{part.text}\n</system>") if isinstance(part, Text) else part
            parts.append((path, marked))
        _add(merged, Turn("user", parts))
    return merged


def _add(turns: list[Turn], turn: Turn) -> None:
    """The user's consecutive turns become one, results first."""
    if turns and turns[-1].role == turn.role == "user":
        parts = turns[-1].parts + turn.parts
        turns[-1].parts = sorted(parts, key=lambda item: not isinstance(item[1], ToolResult))
    else:
        turns.append(turn)
