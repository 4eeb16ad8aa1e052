"""A laboratory for dispatch: scripted upstreams, a clock that only moves when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from auth.pool import Pool
from auth.secret import Secret
from proxy.config.provider_keys import CompatibleKey, CompatibleProvider, ModelAlias, ProviderKey
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.inquiry import Inquiry, Outcome
from proxy.dispatch.snapshot import Snapshot
from proxy.upstream.base import Call

JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}


class FakeClock:
    """`sleep` moves it, and lets everybody else run first; while it `is_frozen`, nobody wakes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.is_frozen = False

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return 1_800_000_000.0 + self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.is_frozen:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        self.now += seconds

    def clock(self) -> Clock:
        return Clock(monotonic=self.monotonic, unix=self.unix, sleep=self.sleep, chance=lambda: 0.0)


@dataclass
class Answer:
    """What an upstream answers. In `pieces`, an exception is raised and an event is waited for."""

    status: int = 200
    pieces: Sequence[bytes | Exception | asyncio.Event] = ()
    headers: Any = field(default_factory=lambda: CIMultiDict(JSON))
    is_aborted: bool = False
    is_released: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            yield piece

    async def read(self, bytes_max: int) -> bytes:
        body = b"".join([piece async for piece in self.chunks()])
        assert len(body) <= bytes_max
        return body

    async def release(self) -> None:
        self.is_released = True

    def abort(self) -> None:
        self.is_aborted = True


def whole(body: object, status: int = 200, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Answer(status, [data], CIMultiDict({**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}))


def stream(*pieces: bytes | Exception | asyncio.Event, **headers: str) -> Answer:
    return Answer(200, pieces, CIMultiDict({**SSE, **{k.replace("_", "-"): v for k, v in headers.items()}}))


Reaction = Callable[[Call], "Answer | Exception"]


class ScriptedUpstream:
    """Answers each call with the next line of the script; the last line for ever, or a function of the call."""

    def __init__(self, script: Reaction | Iterable[Answer | Exception]) -> None:
        self.calls: list[Call] = []
        self.answers: list[Answer] = []
        self.is_called = asyncio.Event()
        self._script = script if callable(script) else iter(script)

    async def send(self, call: Call) -> Answer:
        self.calls.append(call)
        self.is_called.set()
        await asyncio.sleep(0)
        answer = self._script(call) if callable(self._script) else next(self._script)
        if isinstance(answer, Exception):
            raise answer
        answer = replace(answer)
        self.answers.append(answer)
        return answer

    async def close(self) -> None:
        pass

    def body(self, index: int = -1) -> Any:
        return msgspec.json.decode(self.calls[index].body)

    def header(self, name: str, index: int = -1) -> str | None:
        return dict(self.calls[index].headers).get(name)


def keys(*names: str, **settings: Any) -> tuple[ProviderKey, ...]:
    return tuple(ProviderKey(api_key=Secret(name), **settings) for name in names)


def compatible(name: str = "local", *models: str, **settings: Any) -> CompatibleProvider:
    entries = tuple(CompatibleKey(api_key=Secret(key)) for key in settings.pop("keys", ("key-1",)))
    return CompatibleProvider(
        name=name,
        base_url="http://127.0.0.1:1/v1",
        api_key_entries=entries,
        models=tuple(ModelAlias(name=model) for model in models),
        **settings,
    )


class Lab:
    def __init__(self) -> None:
        self.time = FakeClock()
        self.pool = Pool()
        self.upstream = ScriptedUpstream([])
        self.snapshot: Snapshot | None = None

    def dispatcher(self, config: Config, script: Reaction | Iterable[Answer | Exception]) -> Dispatcher:
        self.upstream = ScriptedUpstream(script)
        self.snapshot = Snapshot.of(config)
        return Dispatcher(
            snapshot=lambda: self.snapshot,  # type: ignore[arg-type,return-value]
            upstreams={"http": self.upstream},
            pool=self.pool,
            clock=self.time.clock(),
        )

    @staticmethod
    def inquiry(wire: str, body: object, *, model: str = "", is_stream: bool = False, **fields: Any) -> Inquiry:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        name = model or msgspec.json.decode(data)["model"]
        return Inquiry(
            **{
                "request_id": "req-1",
                "wire": wire,
                "operation": "generate",
                "model": name,
                "is_stream": is_stream,
                "body": data,
                "headers": CIMultiDict(),
                "query": {},
                **fields,
            }
        )

    @staticmethod
    async def read(outcome: Outcome) -> bytes:
        return b"".join([chunk async for chunk in outcome.body])


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def make() -> Any:
    """The words of a script, as attributes: helpers cannot be imported from here."""
    return Words


class Words:
    whole = staticmethod(whole)
    stream = staticmethod(stream)
    keys = staticmethod(keys)
    compatible = staticmethod(compatible)
    Answer = Answer
