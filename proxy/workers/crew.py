"""The followers, as the owner sees them: what all of them are told, and what becomes of what they say."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import cast

import msgspec

from proxy.config.schema import Tls
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.snapshot import Snapshot
from proxy.log_shelf import LogShelf
from proxy.observe.metrics import Metrics
from proxy.server.app import App
from proxy.workers.listening import OwnerListener, check_system
from proxy.workers.memory import SharedAffinity, SharedRecall
from proxy.workers.messages import (
    Ask,
    Busy,
    Failed,
    Following,
    FromFollower,
    Handover,
    Kept,
    Leave,
    Listen,
    Listening,
    Message,
    News,
    Papers,
    Parcel,
    Placed,
    Said,
    Sockaddr,
)
from proxy.workers.parcels import Parcels
from proxy.workers.pool import SharedPool
from proxy.workers.post import Post

SETTLE_SECONDS_MAX = 2.0
"""For all to follow what has changed, or to say what they have to say."""
WATCH_SECONDS = 10.0
MISSED_MAX = 3
"""Times that it is asked, and says nothing."""
LAST_SECONDS = 5.0
"""For what is left to be said, when the time for answers is over."""


class Crew:
    """`proxy.server.lifecycle.Companions`. `publish` before it is started, and whenever something may have changed."""

    def __init__(self, asked: int, shelf: LogShelf, *, snapshot: Callable[[], Snapshot]) -> None:
        """`asked`: processes, the owner included. Raises `ConfigError` where the system has no such thing."""
        check_system()
        self.asked = asked
        self.pool = SharedPool(self._spread)
        self.affinity = SharedAffinity(self._spread)
        self.recall = SharedRecall(self._spread)
        self._shelf = shelf
        self._snapshot = snapshot
        self._posts = [
            Post(number, greet=self._greeting, brief=self._brief, take=self._take, lose=self._lose, log=shelf.log)
            for number in range(2, asked + 1)
        ]
        self._papers: Papers | None = None
        self._asks = 0
        self._watching: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._arriving: set[asyncio.Task[None]] = set()
        self._dispatcher: Dispatcher
        self._listener: OwnerListener
        self._parcels: Parcels

    # what the owner is made of

    def share(self, dispatcher: Dispatcher) -> None:
        dispatcher.keep_in(self.affinity, self.recall)
        self._dispatcher = dispatcher

    def metrics(self, version: str) -> Metrics:
        return _CrewMetrics(self, version=version)

    def listener(self, app: App, *, host: str, port: int, tls: Tls | None) -> OwnerListener:
        self._listener = OwnerListener(app, host=host, port=port, tls=tls)
        self._app = app
        self._parcels = Parcels(
            app, write=self._shelf.outbox.write, recent=self._dispatcher.recent, snapshot=self._snapshot
        )
        return self._listener

    @property
    def running(self) -> int:
        return 1 + sum(post.is_listening for post in self._posts)

    @property
    def in_flight(self) -> int:
        """Requests, at the others."""
        return sum(post.in_flight for post in self._posts)

    # its life

    async def start(self) -> None:
        for post in self._posts:
            post.start()
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Who hangs would be given connections all the same."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await self.gathered()
            for post in (each for each in self._posts if each.is_listening):
                post.missed = 0 if post.said >= self._asks else post.missed + 1
                if post.missed >= MISSED_MAX:
                    self._shelf.log.error("worker.silent", worker=post.number)
                    post.kill()

    async def drain(self) -> None:
        for post in self._posts:
            post.leave()
        self._spread(Leave())
        await asyncio.gather(*(post.gone() for post in self._posts))

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        for post in self._posts:
            post.leave()
        self._spread(Leave())
        self._spread(Leave())  # and now
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await asyncio.gather(*(post.gone() for post in self._posts))
        await asyncio.gather(*(post.close() for post in self._posts))

    # what followers are told

    def publish(self, papers: Papers) -> None:
        """Where it is not what they have already; its number does not count."""
        old = self._papers
        number = 0 if old is None else old.number
        if old is not None and msgspec.structs.replace(papers, number=number, is_debug=old.is_debug) == old:
            return
        is_debug = self._shelf.log.is_enabled_for(logging.DEBUG)
        self._papers = msgspec.structs.replace(papers, number=number + 1, is_debug=is_debug)
        self._spread(self._papers)

    async def settled(self) -> None:
        """All follow what was published last, or have had time enough to."""
        assert self._papers is not None
        number = self._papers.number
        await self._until(lambda post: post.followed >= number)

    async def gathered(self) -> None:
        """All have said what there was to be said."""
        self._asks += 1
        number = self._asks
        self._spread(Ask(number=number))
        await self._until(lambda post: post.said >= number)

    async def _until(self, is_done: Callable[[Post], bool]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                while not all(is_done(post) for post in self._posts if post.is_listening):
                    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.add(waiting)
                    try:
                        await waiting
                    finally:
                        self._waiting.discard(waiting)

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def _greeting(self) -> Iterator[Message]:
        assert self._papers is not None
        yield self._papers
        yield from self.pool.everything()
        places = [(int(each.family), cast("Sockaddr", each.getsockname())) for each in self._listener.sockets]
        yield Listen(sockets=places)

    def _brief(self) -> Iterator[Message]:
        yield from self.affinity.everything()
        yield from self.recall.everything()

    def _spread(self, message: Message, *, but: Post | None = None) -> None:
        for post in self._posts:
            if post is not but:
                post.tell(message)

    # what they say

    def _take(self, post: Post, message: FromFollower, brought: socket.socket | None) -> None:
        match message:
            case Handover():
                assert brought is not None
                task = asyncio.create_task(self._adopt(brought, message))
                self._arriving.add(task)
                task.add_done_callback(self._arriving.discard)
            case Parcel():
                self._count(post, message.in_flight)
                self._parcels.take(message)
            case Busy(in_flight=in_flight):
                self.pool.hear_busy(post.number, in_flight)
            case Failed():
                self._parcels.report(message)
            case Listening() | Following() | Said():
                self._wake()
            case _:
                self._hear(message)
                self._spread(message, but=post)

    async def _adopt(self, brought: socket.socket, handover: Handover) -> None:
        with suppress(OSError):  # the client is gone
            await self._listener.adopt(brought, handover)

    def _hear(self, news: News) -> None:
        match news:
            case Placed():
                self.affinity.hear(news)
            case Kept():
                self.recall.hear(news)
            case _:
                self.pool.hear(news)

    def _count(self, post: Post, in_flight: int) -> None:
        self._app.metrics.in_flight.count += in_flight - post.in_flight
        post.in_flight = in_flight

    def _lose(self, post: Post) -> None:
        self._count(post, 0)
        self.pool.hear_busy(post.number, {})
        self._wake()


class _CrewMetrics(Metrics):
    def __init__(self, crew: Crew, *, version: str) -> None:
        super().__init__(version=version)
        self._crew = crew

    async def exposition(self) -> bytes:
        """Of all processes, until now."""
        await self._crew.gathered()
        return await super().exposition()
