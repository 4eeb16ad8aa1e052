"""One CLI that asks for others, timed: what each variant of `bench.cli_backends` does."""

from __future__ import annotations

import asyncio
import os
import resource
import ssl
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import aiohttp

from tests.backends.stage import KEY, Stage

MODULES = Path(os.environ.get("PROXY_CLIENT_MODULES", "tests/clients/node_modules")).resolve()
REST_SECONDS = float(os.environ.get("PROXY_BENCH_REST", "1.5"))
"""For the next spare to be there, and the machine to be quiet."""
AT_ONCE = 8
ANSWER = "Ahoy from the quay."
NANO = 1e-9


@dataclass(frozen=True, slots=True)
class Said:
    """`by`: user, model, call (of the tool) or result."""

    by: str
    text: str = ""
    is_shown: bool = False
    """With an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    """A CLI that is started for one request. `words` stand in its output with the first words of the answer."""

    command: Sequence[str]
    variables: Mapping[str, str]
    words: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """In seconds; `ours` and `theirs` of processor time."""

    first: float
    there: float = 0.0
    ours: float = 0.0
    theirs: float = 0.0


class Bench(ABC):
    """One CLI, asked in its provider's own dialect."""

    targets: ClassVar[Mapping[str, int]]
    """Added milliseconds at most, on two cores of their own."""
    token: ClassVar[bytes]
    """Stands in an answer when its first words are there."""
    called: ClassVar[bytes]
    """… and when a call is complete."""
    path: ClassVar[str]
    """At the server."""
    key: ClassVar[str] = "authorization"
    is_shared: ClassVar[bool] = True
    """One process holds many conversations."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self.stage, self.session = stage, session
        self.talk = [Said("user", "Who is there?")]
        self.serial = 0
        self.tls = ssl.create_default_context(cafile=str(stage.backend.authority))
        stage.backend.plays = self._play
        stage.backend.keeps_alive = True

    @abstractmethod
    def body(self, talk: Sequence[Said], *, has_tools: bool) -> Mapping[str, Any]: ...

    @abstractmethod
    def own(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """Headers and body of a direct request."""

    def colds(self, home: Path) -> Mapping[str, Cold]:  # noqa: ARG002 - theirs
        """By how they are started."""
        return MappingProxyType({})

    # variants

    async def direct(self) -> Sample:
        host, path = self.stage.backend.place
        headers, body = self.own()
        how: dict[str, Any] = {"proxy": self.stage.backend.environment["HTTPS_PROXY"], "ssl": self.tls}
        return await self._first(f"https://{host}{path}", headers, body, **how)

    async def continuing(self) -> Sample:
        sample = await self._ours(self.talk)
        self.talk += [Said("model", ANSWER), Said("user", "And now?")]
        return sample

    async def new(self) -> Sample:
        return await self._ours([Said("user", f"Who is there? {self._next()}")])

    async def results(self) -> Sample:
        asked = Said("user", f"What is it like? {self._next()}")
        await self._ours([asked], has_tools=True, until=self.called)
        return await self._ours([asked, Said("call"), Said("result", "rain")], has_tools=True)

    async def history(self) -> Sample:
        serial = self._next()
        turns = [
            (Said("user", f"Who is there? {serial} {turn}", is_shown=True), Said("model", f"Ahoy {turn}."))
            for turn in range(10)
        ]
        return await self._ours([*(each for turn in turns for each in turn), Said("user", "And now?")])

    async def at_once(self) -> Sample:
        """The last of so many."""
        return max(await asyncio.gather(*(self.new() for _ in range(AT_ONCE))), key=lambda sample: sample.first)

    async def hanging_up(self) -> Sample:
        """The answer's end does not come."""
        backend, (*words, _) = self.stage.backend, self.stage.says.pieces(ANSWER)
        plays, backend.plays = backend.plays, lambda _turn: [*words, asyncio.Event()]
        backend.dropped.clear()
        url, headers, body = self._asked([Said("user", f"Who is there? {self._next()}")], has_tools=False)
        answer = await self.session.post(url, json=body, headers=headers)
        told = b""
        while self.token not in told:
            told += await answer.content.readany()
        await asyncio.sleep(REST_SECONDS)
        began = time.perf_counter()
        answer.close()
        await backend.dropped.wait()
        seconds = time.perf_counter() - began
        backend.plays = plays
        return Sample(first=seconds)

    async def cold(self, how: str) -> Sample:
        home = self.stage.folder / "cold"
        home.mkdir(exist_ok=True)
        cold = self.colds(home)[how]
        (home / Path(self.stage.login_file).name).write_bytes(self.stage.says.login("cold"))
        path = os.pathsep.join([str(MODULES / ".bin"), "/usr/bin", "/bin"])
        environment = {**self.stage.backend.environment, "HOME": str(home), "PATH": path, **cold.variables}
        await asyncio.sleep(REST_SECONDS)
        before = _spent_by_ended()
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *cold.command, cwd=tempfile.mkdtemp(dir=self.stage.folder), env=environment, limit=2**24,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        while cold.words not in (line := await process.stdout.readline()):
            assert line, f"{cold.command} gave no answer"
        seconds = time.perf_counter() - began
        await process.communicate()
        return Sample(first=seconds, theirs=_spent_by_ended() - before)

    # how

    def _next(self) -> int:
        self.serial += 1
        return self.serial

    def _play(self, turn: Any) -> bytes:
        is_asked = "What is it like?" in turn.asked
        return bytes(self.stage.says.calls("weather", {}) if is_asked else self.stage.says.said(ANSWER))

    def _asked(self, talk: Sequence[Said], *, has_tools: bool) -> tuple[str, Mapping[str, str], Mapping[str, Any]]:
        key = f"Bearer {KEY}" if self.key == "authorization" else KEY
        return f"{self.stage.url}{self.path}", {self.key: key}, self.body(talk, has_tools=has_tools)

    async def _ours(self, talk: Sequence[Said], *, has_tools: bool = False, until: bytes = b"") -> Sample:
        await asyncio.sleep(REST_SECONDS)
        url, headers, body = self._asked(talk, has_tools=has_tools)
        assert self.stage.pid is not None
        servants = [*self.stage.servants()]
        ours, theirs = spent([self.stage.pid]), spent(servants)
        sample = await self._first(url, headers, body, until=until)
        return replace(sample, ours=spent([self.stage.pid]) - ours, theirs=spent(servants) - theirs)

    async def _first(
        self, url: str, headers: Mapping[str, str], body: Mapping[str, Any], *, until: bytes = b"", **how: Any
    ) -> Sample:
        """Until the first piece of text."""
        began = time.perf_counter()
        told, seconds = b"", 0.0
        async with self.session.post(url, json=body, headers=headers, **how) as answer:
            async for piece in answer.content.iter_any():
                told += piece
                if not seconds and (until or self.token) in told:
                    seconds = time.perf_counter() - began
        assert seconds, told
        return Sample(first=seconds, there=self.stage.backend.times[-1] - began)


def spent(pids: Iterable[int]) -> float:
    """Seconds of processor time so far, of all threads."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(thread.read_bytes().split()[0])
            except OSError:
                continue
    return total * NANO


def _spent_by_ended() -> float:
    """Seconds of processor time, of our children that are gone."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
