"""Whose turn it is: fair order among whoever is ready, by weight, while accounts come and go.

Each member of a group has a `due` mark; the lowest is next, and serving moves it one stride on (a stride is short for a
heavy weight). Marks start half a stride late, which spreads the heavy ones between the light ones. Whoever was away
comes back at the group's floor, not at its old mark: it gets the next turn, and no arrears. Continuously ready members
of equal weight are therefore never more than one turn apart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable

STRIDE = 5_354_228_880
"""Of weight 1. The least common multiple of 1 … 24: weights up to there share exactly."""
GROUPS_MAX = 4096


class Turn:
    """The marks of one group. Members are any hashable keys."""

    __slots__ = ("_due", "floor")

    def __init__(self) -> None:
        self._due: dict[Hashable, int] = {}
        self.floor = 0

    def due(self, member: Hashable, stride: int) -> int:
        mark = self._due.get(member)
        if mark is None:
            return self.floor + stride // 2
        return max(mark, self.floor)

    def take(self, member: Hashable, stride: int) -> None:
        """`member` serves now."""
        mark = self.due(member, stride)
        self.floor = max(self.floor, mark)
        self._due[member] = mark + stride

    def __len__(self) -> int:
        return len(self._due)

    def retain(self, members: Iterable[Hashable]) -> None:
        """The marks of all others are forgotten."""
        present = set(members)
        self._due = {member: mark for member, mark in self._due.items() if member in present}


class Turns:
    """The groups, the least recently used of which is forgotten when there are more than `GROUPS_MAX`."""

    def __init__(self) -> None:
        self._groups: OrderedDict[Hashable, Turn] = OrderedDict()

    def __len__(self) -> int:
        return len(self._groups)

    def peek(self, group: Hashable) -> Turn:
        """For deciding: changes nothing."""
        turn = self._groups.get(group)
        return Turn() if turn is None else turn

    def of(self, group: Hashable) -> Turn:
        """For serving: the group is kept from now on."""
        turn = self._groups.get(group)
        if turn is None:
            turn = self._groups[group] = Turn()
            if len(self._groups) > GROUPS_MAX:
                self._groups.popitem(last=False)
        else:
            self._groups.move_to_end(group)
        return turn
