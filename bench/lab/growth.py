"""What grows with what: accounts, the length of requests and of answers, streams, time. And how it starts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auth.credential import Credential
from auth.pool import Pool
from bench.lab.gateways import Gateway, ours
from bench.lab.machine import cores, memory_mib, pinned
from bench.lab.scenes import RELAY_1K, Sample, Scene, measure, request
from proxy.dispatch.decision import Candidate
from proxy.dispatch.policy import Ask, commit, decide
from proxy.providers import openai

ACCOUNTS = (1, 10, 100, 1000)
BODIES = (1_000, 10_000, 100_000, 1_000_000, 11_000_000)
FRAMES = (10, 100, 1_000, 10_000, 100_000)
STREAMS = (1, 10, 100, 1_000, 2_000)
REQUESTS = 100_000
STARTS = 5
CHOICES = 20_000
ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class Growth:
    """CPU in microseconds: `by_accounts` and `by_body` for each request, `by_frames` and `by_streams` for each frame;
    `choice`: of one account among so many. Memory in MiB, `per_stream` in KiB. `lag_micros`: of a small request beside
    a hundred streams, half and 99 of a hundred. `start_seconds`: from nothing to the first answer.
    """

    by_accounts: Mapping[int, float]
    by_body: Mapping[int, float]
    by_frames: Mapping[int, float]
    by_streams: Mapping[int, float]
    choice: Mapping[int, float]
    idle: float
    per_stream: Mapping[int, float]
    warm: float
    after_requests: float
    lag_micros: tuple[float, float]
    start_seconds: float
    wrong: int


def measured(upstream: int, tools: Path, folder: Path) -> Growth:
    counted = Counted(upstream, tools, folder)
    start = counted.start()
    by_accounts = {n: counted.accounts(n) for n in ACCOUNTS}
    with ours(folder, upstream, name="grown") as gateway:
        counted.settle(gateway)
        idle = memory_mib(gateway.pid)
        by_body = {size: counted.cpu(gateway, Scene(name="body", body=size, beside=4, seconds=2)) for size in BODIES}
        by_frames = {n: counted.cpu(gateway, _burst(n)) for n in FRAMES}
        lag = counted.lag(gateway)
    by_streams, per_stream = {}, {}
    for n in STREAMS:
        by_streams[n], per_stream[n] = counted.streams(n)
    warm, after = counted.requests()
    return Growth(
        by_accounts=by_accounts,
        by_body=by_body,
        by_frames=by_frames,
        by_streams=by_streams,
        choice={n: choice_micros(n) for n in ACCOUNTS},
        idle=idle,
        per_stream=per_stream,
        warm=warm,
        after_requests=after,
        lag_micros=lag,
        start_seconds=start,
        wrong=counted.wrong,
    )


def _burst(frames: int) -> Scene:
    return Scene(name="burst", kind="stream", model=f"stream-{frames}-0", beside=2, seconds=2)


def _slow(streams: int) -> Scene:
    return Scene(name="slow", kind="stream", model="stream-40-50000", beside=streams, seconds=0.5, rate=50_000)


class Counted:
    """`wrong`: answers, of all that were asked."""

    def __init__(self, upstream: int, tools: Path, folder: Path) -> None:
        self._upstream = upstream
        self._tools = tools
        self._folder = folder
        self.wrong = 0

    def _measure(self, gateway: Gateway, scene: Scene) -> Sample:
        sample = measure(scene, gateway.port, self._tools, gateway)
        self.wrong += sample.wrong
        return sample

    def cpu(self, gateway: Gateway, scene: Scene) -> float:
        return min(self._measure(gateway, scene).cpu_micros or 0.0 for _ in range(ROUNDS))

    def settle(self, gateway: Gateway) -> None:
        """One answer, so that everything is in its place."""
        self._measure(gateway, Scene(name="one", beside=1, seconds=0.2, rate=10))

    def accounts(self, count: int) -> float:
        with ours(self._folder, self._upstream, accounts=count, name=f"accounts-{count}") as gateway:
            self.settle(gateway)
            return self.cpu(gateway, RELAY_1K)

    def streams(self, count: int) -> tuple[float, float]:
        """CPU for each frame, KiB for each stream."""
        with ours(self._folder, self._upstream, name=f"streams-{count}") as gateway:
            self.settle(gateway)
            before = memory_mib(gateway.pid)
            load = self._beside(gateway, _slow(count), seconds=2.0)
            time.sleep(1.5)
            during = memory_mib(gateway.pid)
            load.wait()
            return self.cpu(gateway, _slow(count)), (during - before) * 1024 / count

    def _beside(self, gateway: Gateway, scene: Scene, *, seconds: float) -> subprocess.Popen[bytes]:
        file = self._tools / "request-beside"
        file.write_bytes(request(scene, gateway.port))
        words = [scene.kind, str(gateway.port), str(file), str(scene.beside), str(seconds), str(scene.rate)]
        command = pinned(cores()[0], str(self._tools / "load"), *words)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def lag(self, gateway: Gateway) -> tuple[float, float]:
        streams = Scene(name="", kind="stream", model="stream-200-5000", beside=100, rate=5000)
        load = self._beside(gateway, streams, seconds=3.0)
        time.sleep(0.5)
        sample = self._measure(gateway, Scene(name="lag", beside=2, rate=50, seconds=2.5))
        load.wait()
        return sample.latency, sample.latency_99

    def requests(self) -> tuple[float, float]:
        """MiB after the first tenth, and after all of them."""
        with ours(self._folder, self._upstream, name="requests") as gateway:
            seen = []
            for share in (REQUESTS // 10, REQUESTS):
                done = 0
                while done < share:
                    done += self._measure(gateway, Scene(name="many", seconds=2)).units
                seen.append(memory_mib(gateway.pid))
            return seen[0], seen[1]

    def start(self) -> float:
        """Seconds from nothing to the first answer; the median of a few."""
        taken = []
        for number in range(STARTS):
            gateway = ours(self._folder, self._upstream, name=f"start-{number}")
            began = time.monotonic()
            with gateway:
                self._measure(gateway, Scene(name="first", beside=1, seconds=0.001, rate=1000))
                taken.append(time.monotonic() - began)
        return sorted(taken)[STARTS // 2]


def choice_micros(count: int) -> float:
    """Of one decision and its commitment."""
    candidates = tuple(
        Candidate(openai.PROVIDER, Credential(id=f"account-{number}", provider="openai", label=f"{number}"), "a-model")
        for number in range(count)
    )
    pool, ask = Pool(), Ask(group="a-model")

    def choose() -> None:
        pool.give_back(commit(decide(candidates, pool, ask, 1.0), candidates, pool, ask))

    return _timed(choose)


def _timed(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(CHOICES // 5):
            work()
        best = min(best, (time.process_time() - began) * 1e6 / (CHOICES // 5))
    return best


def ratio(values: Sequence[float]) -> float:
    return values[-1] / values[0] if values and values[0] else 0.0
