"""Connections to a small server of the tests: none is left open when it goes, whoever hangs on at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Visitors:
    """``start_server(visitors.received_by(serve), …)`` and, after the server was closed, ``await visitors.leave()``.

    Also those who were served are seen out: TLS waits half a minute for a goodbye that a killed program never says.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def received_by(self, serve: Serve) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            finally:
                writer.close()

        def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)
            task = asyncio.get_running_loop().create_task(host(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return receive

    async def leave(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        for _ in range(3):  # a transport says goodbye in the loop's next turn, and TLS is one within another
            await asyncio.sleep(0)
