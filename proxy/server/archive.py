"""Answers of the Responses API that a client may go on from or ask for again, by their ids: in memory, and bounded.

What a conversation holds is kept once: each answer has what was said since the one before it, and that one as `parent`.
Owners are strangers to each other: a client key finds what its own requests stored, a WebSocket also what was said on
it with ``store: false``. The clock is passed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

ENTRIES_MAX = 20_000
BYTES_MAX = 256 * 1024 * 1024
OWNER_BYTES_MAX = 64 * 1024 * 1024
SECONDS_MAX = 6 * 3600.0
"""Since it was last needed."""
_OVERHEAD_BYTES = 512
_NAME_BYTES = 256


@dataclass(slots=True, eq=False, kw_only=True)
class Told:
    """One answer, and what was said since its `parent`: the items of the request and then of the answer, each as JSON.

    `response`: the answer as it was told last, JSON; empty where the client wanted none stored. `credential`: the
    account whose provider keeps all of it, and is the only one that can go on; `model`: as that was asked for.
    """

    id: str
    parent: Told | None = None
    items: tuple[bytes, ...] = ()
    response: bytes = b""
    credential: str = ""
    model: str = ""
    named: Mapping[str, bytes] = field(default_factory=dict)
    """The answer's items by their ids; nothing for what cannot be said again."""
    is_live: bool = False
    """It keeps it only on a WebSocket, as long as that is open."""
    is_partial: bool = False
    """Something was said before it that was never heard here."""
    expires_at: float = field(default=0.0, repr=False)
    owner: str = field(default="", repr=False)
    """Who answers for its size."""
    holders: int = field(default=0, repr=False)
    """Names and children through which it is reached."""

    @property
    def size(self) -> int:
        return _OVERHEAD_BYTES + len(self.response) + sum(map(len, self.items)) + _NAME_BYTES * len(self.named)

    def way(self) -> Iterator[Told]:
        """From here back to the first."""
        told: Told | None = self
        while told is not None:
            yield told
            told = told.parent


class View:
    """What some owners see of an archive at one time."""

    def __init__(self, archive: Archive, owners: Sequence[str], now: float) -> None:
        self._archive = archive
        self._owners = owners
        self._now = now

    def answer(self, response_id: str) -> Told | None:
        found = (self._archive.find(owner, response_id, self._now) for owner in self._owners)
        return next((told for told in found if told is not None), None)

    def item(self, item_id: str) -> Told | None:
        """The answer of which it is one."""
        found = (self._archive.find_item(owner, item_id, self._now) for owner in self._owners)
        return next((told for told in found if told is not None), None)


class Archive:
    def __init__(
        self,
        *,
        entries_max: int = ENTRIES_MAX,
        bytes_max: int = BYTES_MAX,
        owner_bytes_max: int = OWNER_BYTES_MAX,
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._shelves: OrderedDict[str, OrderedDict[str, Told]] = OrderedDict()
        self._entries = 0
        self._items: dict[tuple[str, str], str] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._owner_bytes_max = owner_bytes_max
        self._seconds_max = seconds_max

    def __len__(self) -> int:
        return self._entries

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def keep(self, owner: str, told: Told, now: float) -> None:
        """The same may be kept for several owners."""
        self._sweep(now)
        self.forget(owner, told.id)
        self._hold(told, owner)
        told.expires_at = now + self._seconds_max
        self._shelves.setdefault(owner, OrderedDict())[told.id] = told
        self._items.update(((owner, name), told.id) for name in told.named)
        self._shelves.move_to_end(owner)
        self._entries += 1
        while self._sizes.get(owner, 0) > self._owner_bytes_max and owner in self._shelves:
            self._drop_oldest(owner)
        while self._size > self._bytes_max or self._entries > self._entries_max:
            self._drop_oldest(next(iter(self._shelves)))

    def find(self, owner: str, response_id: str, now: float) -> Told | None:
        shelf = self._shelves.get(owner)
        told = None if shelf is None else shelf.get(response_id)
        if shelf is None or told is None:
            return None
        if now >= told.expires_at:
            self.forget(owner, response_id)
            return None
        told.expires_at = now + self._seconds_max
        shelf.move_to_end(response_id)
        self._shelves.move_to_end(owner)
        return told

    def find_item(self, owner: str, item_id: str, now: float) -> Told | None:
        response_id = self._items.get((owner, item_id))
        return None if response_id is None else self.find(owner, response_id, now)

    def view(self, *owners: str, now: float) -> View:
        return View(self, owners, now)

    def forget(self, owner: str, response_id: str) -> bool:
        """Whether there was one. What goes on from it still does."""
        shelf = self._shelves.get(owner)
        told = None if shelf is None else shelf.pop(response_id, None)
        if shelf is None or told is None:
            return False
        if not shelf:
            del self._shelves[owner]
        self._entries -= 1
        for name in told.named:
            if self._items.get((owner, name)) == response_id:
                del self._items[owner, name]
        self._release(told)
        return True

    def forget_all(self, owner: str) -> None:
        while owner in self._shelves:
            self._drop_oldest(owner)

    def _drop_oldest(self, owner: str) -> None:
        self.forget(owner, next(iter(self._shelves[owner])))

    def _sweep(self, now: float) -> None:
        while self._shelves:
            owner, shelf = next(iter(self._shelves.items()))
            told = next(iter(shelf.values()))
            if now < told.expires_at:
                return
            self.forget(owner, told.id)

    def _hold(self, told: Told | None, owner: str) -> None:
        while told is not None:
            told.holders += 1
            if told.holders > 1:
                return
            told.owner = owner
            self._sizes[owner] = self._sizes.get(owner, 0) + told.size
            self._size += told.size
            told = told.parent

    def _release(self, told: Told | None) -> None:
        while told is not None:
            told.holders -= 1
            if told.holders:
                return
            self._size -= told.size
            self._sizes[told.owner] -= told.size
            if not self._sizes[told.owner]:
                del self._sizes[told.owner]
            told = told.parent
