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
from heapq import heapify, heappop, heappush
from typing import TypeVar

T = TypeVar("T")

STRIDE = 5_354_228_880
"""Of weight 1. The least common multiple of 1 … 24: weights up to there share exactly."""
_UNIT = 1 << 40
"""Of a mark. What is less says when it was made: earlier marks are lower."""
GROUPS_MAX = 4096


class Turn:
    """The marks of one group. Members are any hashable keys.

    Of those that are seated, whose turn it is is known without looking at each: `_waiting` and `_late` are heaps of
    places, of whom to come and of whom is at the floor. What in them is no longer true is passed over when it comes up.
    """

    __slots__ = ("_due", "_late", "_places", "_seated", "_taken", "_waiting", "floor")

    def __init__(self) -> None:
        self._due: dict[Hashable, int] = {}
        self._seated: Sequence[object] = ()
        self._places: dict[Hashable, int] = {}
        self._waiting: list[tuple[int, int, Hashable]] = []
        self._late: list[tuple[int, Hashable]] = []
        self._taken = 0
        self.floor = 0

    def due(self, member: Hashable, stride: int) -> int:
        mark = self._due.get(member)
        if mark is None:
            return self.floor + stride // 2 * _UNIT
        return max(mark, self.floor)

    def first(self, members: Sequence[T], key: Callable[[T], Hashable], stride: Callable[[T], int]) -> T:
        """Whose turn it is; of equals, whoever stands first."""
        if members is self._seated:
            return members[self._first_place()]
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

    def _first_place(self) -> int:
        """Among the seated: the first of those at the floor, else the lowest mark (0.9 µs with the taking, however many
        there are; a look at each took 2.7 among fifty and 5 among a thousand).
        """
        due, floor, waiting, late = self._due, self.floor, self._waiting, self._late
        while waiting and waiting[0][0] <= floor:
            mark, place, member = heappop(waiting)
            if due[member] == mark:
                heappush(late, (place, member))
        while late and due[late[0][1]] > floor:
            heappop(late)
        if late:
            return late[0][0]
        while due[waiting[0][2]] != waiting[0][0]:
            heappop(waiting)
        return waiting[0][1]

    def seat(self, members: Sequence[T], key: Callable[[T], Hashable], stride: Callable[[T], int]) -> None:
        """Whoever is new gets a mark, from which to wait; once for each list of members, as that does not change. The
        marks of those who are long gone are forgotten.
        """
        if self._seated is members:
            return
        self._seated = members
        keys = [key(member) for member in members]
        if len(self._due) > 2 * len(members) + 8:
            present = set(keys)
            self._due = {each: mark for each, mark in self._due.items() if each in present}
        for each, member in zip(keys, members, strict=True):
            self._due.setdefault(each, self.floor + stride(member) // 2 * _UNIT)
        self._places = {each: place for place, each in reversed([*enumerate(keys)])}
        self._order()

    def _order(self) -> None:
        self._late = []
        self._waiting = [(self._due[each], place, each) for each, place in self._places.items()]
        heapify(self._waiting)

    def take(self, member: Hashable, stride: int) -> None:
        """`member` serves now."""
        mark = self.due(member, stride)
        self.floor = max(self.floor, mark)
        self._taken += 1
        later = self._due[member] = (mark // _UNIT + stride) * _UNIT + self._taken
        place = self._places.get(member)
        if place is not None:
            heappush(self._waiting, (later, place, member))
            if len(self._waiting) + len(self._late) > 4 * len(self._places) + 64:
                self._order()  # turns that were taken out of order have left more behind than there is

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
