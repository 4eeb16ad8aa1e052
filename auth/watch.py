"""The auth-dir as a stream of what was added, changed and removed in it, by others than ourselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from auth import guarded, trail
from auth.lookout import POLL_SECONDS, Lookout
from auth.store import Entries, Entry, Store, is_whole, signature_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Added(Generic[T]):
    entry: Entry[T]


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """Also into quarantine and out of it: look at its `fault`."""

    entry: Entry[T]


@dataclass(frozen=True, slots=True)
class Removed(Generic[T]):
    entry: Entry[T]
    """As it was."""


Event: TypeAlias = Added[T] | Changed[T] | Removed[T]


def differences(before: Entries[T], after: Entries[T]) -> Iterator[Event[T]]:
    for name, entry in before.items():
        if name not in after:
            yield Removed(entry)
    for name, entry in after.items():
        if name not in before:
            yield Added(entry)
        elif before[name] != entry:
            yield Changed(entry)


class AuthWatch(Generic[T]):
    """Keeps a store in step with its folder. Lives on `loop`; `on_events` is called there, with at least one event or
    a new fault of the folder as a whole. What `on_events` raises goes to the loop's exception handler.
    """

    def __init__(
        self,
        store: Store[T],
        *,
        loop: asyncio.AbstractEventLoop,
        on_events: Callable[[tuple[Event[T], ...]], None],
        poll_seconds: float | None = POLL_SECONDS,
    ) -> None:
        self._store = store
        self._loop = loop
        self._on_events = on_events
        self._fault = store.fault
        self._lookout = Lookout(
            store.folder,
            loop=loop,
            signature=lambda: (trail.signature_of(store.folder), signature_of(store.folder)),
            is_whole=lambda: is_whole(store.folder),
            look=self.look,
            inside=guarded.is_ours,
            poll_seconds=poll_seconds,
        )

    def start(self) -> None:
        self._lookout.start()

    async def close(self) -> None:
        await self._lookout.close()

    async def look(self) -> None:
        """After it the store is up to date, and everybody is told."""
        before, after = await asyncio.to_thread(self._store.look)
        events = tuple(differences(before, after))
        if not events and self._store.fault == self._fault:
            return
        self._fault = self._store.fault
        self._loop.call_soon(self._on_events, events)
