"""What is asked on one lane is answered in its order; lanes run beside each other, up to a limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from proxy.errors import ProxyError
from proxy.server.creation import Creation

RUNNING_MAX = 16
"""Answers at a time on one connection; more lanes than that wait for each other."""
WAITING_MAX = 64


class Crowded(ProxyError):
    kind = "rate_limit"
    status = 429


class Lanes:
    """`answer` raises nothing but what ends the whole connection. `at_rest` is called when nothing is left to do."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        answer: Callable[[Creation], Awaitable[None]],
        *,
        bytes_max: int,
        at_rest: Callable[[], None],
    ) -> None:
        self._group = group
        self._answer = answer
        self._at_rest = at_rest
        self._bytes_max = bytes_max
        self._room = asyncio.Semaphore(RUNNING_MAX)
        self._queues: dict[str | None, deque[Creation]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._waiting_bytes = 0

    @property
    def is_busy(self) -> bool:
        return bool(self._queues)

    def add(self, creation: Creation) -> None:
        """Raises `Crowded`."""
        if self._waiting >= WAITING_MAX or (self._waiting and self._waiting_bytes + creation.size > self._bytes_max):
            raise Crowded(
                f"{self._waiting} requests wait on this connection already; wait for their answers",
                code="too_many_pending",
            )
        self._waiting += 1
        self._waiting_bytes += creation.size
        queue = self._queues.get(creation.lane)
        if queue is not None:
            queue.append(creation)
            return
        self._queues[creation.lane] = deque([creation])
        task = self._group.create_task(self._run(creation.lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, lane: str | None) -> None:
        queue = self._queues[lane]
        try:
            while queue:
                async with self._room:
                    creation = queue.popleft()
                    self._waiting -= 1
                    self._waiting_bytes -= creation.size
                    await self._answer(creation)
        finally:
            del self._queues[lane]
        if not self._queues:
            self._at_rest()

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
