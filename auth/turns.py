"""Whose turn it is: fair order among whoever is ready, by weight, while accounts come and go.

Each member of a group has a `due` mark; the lowest is next, and serving moves it one stride on (a stride is short for a
heavy weight). Marks start half a stride behind the floor, which spreads the heavy ones between the light ones. Whoever
was away comes back at the group's floor, not at its old mark: it gets the next turn, and no arrears. Of equal marks the
one that has waited longer is first. Of equal weights, those that are ready all the time are therefore never more than
one turn apart, from whichever moment it is counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")

STRIDE = 5_354_228_880
"""Of weight 1. The least common multiple of 1 … 24: weights up to there share exactly."""
_UNIT = 1 << 40
"""Of a mark. What is less says when it was made: earlier marks are lower."""
GROUPS_MAX = 4096


class Turn:
    """The marks of one group. Members are any hashable keys."""

    __slots__ = ("_due", "_seated", "_taken", "floor")

    def __init__(self) -> None:
        self._due: dict[Hashable, int] = {}
        self._seated: object = None
        self._taken = 0
        self.floor = 0

    def due(self, member: Hashable, stride: int) -> int:
        mark = self._due.get(member)
        if mark is None:
            return self.floor + stride // 2 * _UNIT
        return max(mark, self.floor)

    def first(self, members: Sequence[T], key: Callable[[T], Hashable], stride: Callable[[T], int]) -> T:
        """Whose turn it is; of equals, whoever stands first. One loop without detours: pools have hundreds of keys."""
        marks, floor = self._due, self.floor
        chosen, lowest = members[0], None
        for member in members:
            mark = marks.get(key(member))
            if mark is None:
                mark = floor + stride(member) // 2 * _UNIT
            elif mark <= floor:
                return member
            if lowest is None or mark < lowest:
                chosen, lowest = member, mark
        return chosen

    def seat(self, members: Sequence[T], key: Callable[[T], Hashable], stride: Callable[[T], int]) -> None:
        """Whoever is new gets a mark, from which to wait; once for each list of members, as that does not change. The
        marks of those who are long gone are forgotten.
        """
        if self._seated is members:
            return
        self._seated = members
        if len(self._due) > 2 * len(members) + 8:
            present = {key(member) for member in members}
            self._due = {each: mark for each, mark in self._due.items() if each in present}
        for member in members:
            self._due.setdefault(key(member), self.floor + stride(member) // 2 * _UNIT)

    def take(self, member: Hashable, stride: int) -> None:
        """`member` serves now."""
        mark = self.due(member, stride)
        self.floor = max(self.floor, mark)
        self._taken += 1
        self._due[member] = (mark // _UNIT + stride) * _UNIT + self._taken

    def __len__(self) -> int:
        return len(self._due)


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
