"""What all inquiries of a process share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from auth.pool import Pool
from proxy.dispatch.budget import RetryBudget
from proxy.dispatch.clock import Clock
from proxy.dispatch.decision import Decision
from proxy.dispatch.recall import Recall
from proxy.upstream.base import Upstream


class WaitingRoom:
    """By model, those who wait for one of its candidates."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def wake(self, model: str) -> None:
        """A probe came back, or an attempt did: look again."""
        for each in self._waiting.pop(model, ()):
            if not each.done():
                each.set_result(None)

    async def wait(self, model: str, seconds: float, clock: Clock) -> None:
        """Until woken, or for so long."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(model, set())
        waiting.add(woken)
        sleep = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
        try:
            await asyncio.wait({woken, sleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.discard(woken)
            if not waiting and self._waiting.get(model) is waiting:
                del self._waiting[model]
            woken.cancel()
            sleep.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """`recent`: the last decisions, each with its request's id."""

    upstreams: Mapping[str, Upstream]
    pool: Pool
    clock: Clock
    recall: Recall
    budget: RetryBudget
    recent: deque[tuple[str, Decision]]
    log: FilteringBoundLogger
    waiting: WaitingRoom = field(default_factory=WaitingRoom)
