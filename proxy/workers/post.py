"""A place in the crew, which is always filled: by a process that is started, and started again when it dies."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from auth.seal import VARIABLE as SEAL_VARIABLE
from proxy import __version__
from proxy.workers.link import Link
from proxy.workers.messages import UPGRADED, Following, FromFollower, Listening, Message, Said

AGAIN_SECONDS = 0.1
AGAIN_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
"""Who has lived for so long is not taken for one that cannot live."""
BURIAL_SECONDS = 2.0
"""For a process to end whose link is gone."""
AT_ONCE = 256
_OWNERS = ("MANAGEMENT_PASSWORD", SEAL_VARIABLE)
"""What followers have no use for."""
_decoder = msgspec.msgpack.Decoder(FromFollower)

Take = Callable[["Post", FromFollower, socket.socket | None], None]


class Post:
    """`greet`: what is told first, and `brief`, bit by bit, what would be good to know. `take`: told what comes, and
    `lose` of the end.
    """

    def __init__(
        self,
        number: int,
        *,
        greet: Callable[[], Iterable[Message]],
        brief: Callable[[], Iterable[Message]],
        take: Take,
        lose: Callable[[Post], None],
        log: FilteringBoundLogger,
    ) -> None:
        self.number = number
        self.followed = self.said = self.missed = self.in_flight = 0
        self.is_listening = False
        self._greet = greet
        self._brief = brief
        self._take = take
        self._lose = lose
        self._log = log
        self._link: Link[FromFollower] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._is_leaving = False
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._keeping = asyncio.create_task(self._keep())

    def tell(self, message: Message) -> None:
        if self._link is not None:
            self._link.tell(message)
            if self._link.is_full:
                self.kill()

    def kill(self) -> None:
        """It does not listen, or says nothing: another one takes its place."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def leave(self) -> None:
        """Nobody follows whoever goes from now on."""
        self._is_leaving = True

    async def gone(self) -> None:
        """After `leave`: until there is nobody."""
        if self._keeping is not None:
            if self._process is None:
                self._keeping.cancel()
            await asyncio.wait({self._keeping})

    async def close(self) -> None:
        """At once."""
        self.leave()
        self.kill()
        await self.gone()

    async def _keep(self) -> None:
        loop, wait = asyncio.get_running_loop(), AGAIN_SECONDS
        while True:
            began = loop.time()
            why = await self._run()
            if self._is_leaving:
                return
            wait = AGAIN_SECONDS if loop.time() - began > STEADY_SECONDS else min(2 * wait, AGAIN_SECONDS_MAX)
            self._log.error("worker.died", worker=self.number, why=why, again_in_seconds=wait)
            await asyncio.sleep(wait)

    async def _run(self) -> str:
        """One process, from its start to its end. Why it ended."""
        mine, theirs = socket.socketpair()
        with theirs, ExitStack() as unless_started:
            unless_started.callback(mine.close)
            try:
                process = self._process = await _started(theirs.fileno())
            except OSError as error:
                return f"it cannot be started: {error.strerror}"
            unless_started.pop_all()
        over = asyncio.Event()
        link = self._link = Link(mine, _decoder, take=self._hear, lose=over.set)
        try:
            for message in self._greet():
                link.tell(message)
            await self._told(link, self._brief())
            await over.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(BURIAL_SECONDS):
                    await process.wait()
        finally:
            link.close()
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            self._link = self._process = None
            self.is_listening = False
            self.missed = 0
            self._lose(self)
        return _reason(process.returncode or 0)

    async def _told(self, link: Link[FromFollower], messages: Iterable[Message]) -> None:
        """Others get their turn in between."""
        for number, message in enumerate(messages, 1):
            link.tell(message)
            if number % AT_ONCE == 0:
                await link.empty()
                await asyncio.sleep(0)

    def _hear(self, message: FromFollower, brought: socket.socket | None) -> None:
        match message:
            case Listening():
                self.is_listening = True
                pid = None if self._process is None else self._process.pid
                self._log.info("worker.started", worker=self.number, pid=pid)
            case Following(number=number):
                self.followed = number
            case Said(number=number):
                self.said = number
            case _:
                pass
        self._take(self, message, brought)


async def _started(descriptor: int) -> asyncio.subprocess.Process:
    """Raises OSError."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "proxy.workers", str(descriptor), __version__,
        stdin=subprocess.DEVNULL, pass_fds=(descriptor,), env=_environment(os.environ),
    )  # fmt: skip


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """It finds the same program, wherever that was found."""
    sources = [str(Path(__file__).parents[2]), *filter(None, (ours.get("PYTHONPATH", ""),))]
    kept = {name: value for name, value in ours.items() if name not in _OWNERS}
    return {**kept, "PYTHONPATH": os.pathsep.join(sources)}


def _reason(code: int) -> str:
    if code == UPGRADED:
        return "the program on the disk is another one now: restart to run it"
    return f"it was killed by signal {-code}" if code < 0 else f"it ended with code {code}"
