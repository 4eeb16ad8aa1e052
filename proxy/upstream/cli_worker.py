"""What a driver of an official CLI gives to the pool, and one process as the pool holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from proxy.upstream.base import CliAccount
from proxy.upstream.cli_choice import Home, Kept, Seats, Standing


class Worker(Protocol):
    """One process of an official CLI that is ready to be spoken to."""

    @property
    def pid(self) -> int: ...

    @property
    def is_alive(self) -> bool:
        """False: it has ended, or is of no more use."""
        ...

    def memory_bytes(self) -> int:
        """Resident; 0: not known."""
        ...

    def forget(self, note: object) -> None:
        """A conversation that was kept with this note will never be continued: let go what belongs to it."""
        ...

    async def close(self) -> None:
        """The process and whatever it left are gone when this returns. Called once, by the pool."""
        ...


W_co = TypeVar("W_co", bound=Worker, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[W_co]):
    """`start`: a ready process for an account and a variant (`Home.variant`); raises an `UpstreamError`.
    `has_spares`: processes are started before anybody asks, as long as there is demand.
    """

    name: str
    start: Callable[[CliAccount, str], Awaitable[W_co]]
    seats: Seats
    has_spares: bool = False


@dataclass(slots=True, eq=False)
class Process:
    """The pool alone changes it."""

    serial: int
    kind: Kind[Worker]
    account: CliAccount
    home: Home
    since: float
    starting: asyncio.Task[Worker]
    begun: int = 0
    turns: int = 0
    kept: list[Kept] = field(default_factory=list)
    is_leaving: bool = False

    @property
    def standing(self) -> Standing:
        return Standing(
            serial=self.serial,
            home=self.home,
            seats=self.kind.seats,
            since=self.since,
            begun=self.begun,
            turns=self.turns,
            kept=tuple(self.kept),
            is_leaving=self.is_leaving or self.is_dead,
        )

    @property
    def worker(self) -> Worker | None:
        """None: it is not ready, or could not be started."""
        task = self.starting
        return task.result() if task.done() and not task.cancelled() and task.exception() is None else None

    @property
    def is_dead(self) -> bool:
        worker = self.worker
        return self.starting.done() and (worker is None or not worker.is_alive)
