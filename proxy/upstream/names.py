"""Addresses of names, remembered for a moment: a hundred streams that begin together ask once."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

SECONDS = 10.0
NAMES_MAX = 1024

Infos = list[tuple[Any, ...]]
"""As `socket.getaddrinfo` gives them."""


class Names:
    """To be used within one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[float, asyncio.Task[Infos]]] = {}

    async def find(self, host: str, port: int) -> Infos:
        """Raises `socket.gaierror`. Whoever is cancelled leaves the others waiting."""
        loop = asyncio.get_running_loop()
        key = (host, port)
        until, task = self._known.get(key, (0.0, None))
        if task is None or loop.time() >= until:
            task = loop.create_task(self._ask(host, port))
            if len(self._known) >= NAMES_MAX:
                self._known.clear()
            self._known[key] = (loop.time() + SECONDS, task)
        try:
            return await asyncio.shield(task)
        except OSError:
            self.forget(host, port)
            raise

    async def _ask(self, host: str, port: int) -> Infos:
        return [*await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)]

    def forget(self, host: str, port: int) -> None:
        """What is known did not help."""
        self._known.pop((host, port), None)

    async def close(self) -> None:
        tasks = [task for _, task in self._known.values()]
        self._known.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
