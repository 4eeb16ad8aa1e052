"""What a second worker brings: `python -m bench.workers`.

Three ways, in turns: *one core* has everything, gateway, upstream and load; *two cores* have an upstream and a load
generator each, and one of them the only worker; *two workers* have a core each, with its upstream and its load. The
first and the third give what all that takes part does on two cores instead of one. The second and the third give what
the gateway's own CPU time does, of which neither upstream nor load is a part: requests per CPU second of two workers
together, beside those of one that is asked from two cores, too; twice that ratio is what two workers bring that have
their cores to themselves. Streams come as fast as they can: at a pace of their own, a worker with fewer of them has
less to do at each turn of its loop, and pays more for each. Figures are medians, ratios are within a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.lab.gateways import ours
from bench.lab.machine import PROC, compile_tools, cores, described, family, pinned
from bench.lab.scenes import MESSAGES, RELAY_1K, Scene, request, sample_of

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "build" / "bench"
START_SECONDS_MAX = 30.0
SCENES = (
    RELAY_1K,
    Scene(name="relay 20 KB", body=20_000),
    Scene(name="translated 1 KB", path=MESSAGES),
    Scene(name="bursts of 1,000 frames", kind="stream", model="stream-1000-0", beside=16),
)
BESIDE = 48
"""Connections for each core: the kernel spreads them by chance, and few are spread badly."""


@dataclass(frozen=True)
class Turn:
    """One scene, once. `cpu_seconds`: of each worker, the owner first."""

    units: int
    seconds: float
    cpu_seconds: tuple[float, ...]
    wrong: int

    @property
    def rate(self) -> float:
        return self.units / self.seconds

    @property
    def per_cpu_second(self) -> float:
        return self.units / sum(self.cpu_seconds)

    @property
    def busiest(self) -> float:
        """Its share of the gateway's CPU time."""
        return max(self.cpu_seconds) / sum(self.cpu_seconds)


@contextmanager
def upstreams(places: list[int]) -> Iterator[list[int]]:
    """One on each core; their ports."""
    with ExitStack() as stack:
        ports = []
        for core in places:
            command = pinned(core, str(TOOLS / "mock"), "0")
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(process.terminate)
            assert process.stdout is not None
            ports.append(int(process.stdout.readline()))
        yield ports


@contextmanager
def gateway(folder: Path, places: list[int]) -> Iterator[tuple[int, list[int]]]:
    """With a worker and an upstream on each core. Its port, and the workers' process ids."""
    name = f"{len(places)}-workers"
    with upstreams(places) as ports:
        made = ours(folder, ports[0], name=name)
        file = folder / f"{name}-home" / "config.yaml"
        config = msgspec.json.decode(file.read_bytes())
        entry = config["openai-compatibility"][0]
        config["workers"] = len(places)
        config["openai-compatibility"] = [
            entry | {"name": f"lab-{port}", "base-url": f"http://127.0.0.1:{port}/v1"} for port in ports
        ]
        file.write_bytes(msgspec.json.encode(config))
        with made:
            yield made.port, settled(made.pid, places)


def settled(pid: int, places: list[int]) -> list[int]:
    """The workers, when all are there, each on its core."""
    until = time.monotonic() + START_SECONDS_MAX
    while len(workers := [*family(pid)]) < len(places):
        if time.monotonic() > until:
            raise SystemExit(f"of {len(places)} workers there are {len(workers)}")
        time.sleep(0.05)
    time.sleep(2.0)  # they listen, and have loaded what they need
    for worker, core in zip(workers, places, strict=True):
        for task in (PROC / str(worker) / "task").iterdir():
            os.sched_setaffinity(int(task.name), {core})
    return workers


def cpu_seconds(pid: int) -> float:
    files = (PROC / str(pid) / "task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def turn(scene: Scene, port: int, workers: list[int], places: list[int], seconds: float) -> Turn:
    file = TOOLS / "request"
    file.write_bytes(request(scene, port))
    beside = scene.beside if scene.kind == "stream" else BESIDE
    words = [scene.kind, str(port), str(file), str(beside), str(seconds), str(scene.rate)]
    before = [cpu_seconds(worker) for worker in workers]
    loads = [subprocess.Popen(pinned(core, str(TOOLS / "load"), *words), stdout=subprocess.PIPE) for core in places]
    told = [load.communicate()[0] for load in loads]
    after = [cpu_seconds(worker) for worker in workers]
    samples = [sample_of(msgspec.json.decode(each), None, is_stream=scene.kind == "stream") for each in told]
    return Turn(
        units=sum(each.units for each in samples),
        seconds=max(each.seconds for each in samples),
        cpu_seconds=tuple(late - early for early, late in zip(before, after, strict=True)),
        wrong=sum(each.wrong for each in samples),
    )


def told(scene: Scene, alone: list[Turn], ones: list[Turn], twos: list[Turn]) -> str:
    """A line of the table."""
    median = statistics.median
    scaled = median(two.rate / one.rate for one, two in zip(alone, twos, strict=True))
    thrift = median(two.per_cpu_second / one.per_cpu_second for one, two in zip(ones, twos, strict=True))
    wrong = sum(each.wrong for each in (*alone, *ones, *twos))
    figures = (
        f"{median(one.rate for one in alone):,.0f}", f"{median(two.rate for two in twos):,.0f}", f"{scaled:.2f} ×",
        f"{median(one.per_cpu_second for one in ones):,.0f}", f"{median(two.per_cpu_second for two in twos):,.0f}",
        f"{2 * thrift:.2f} ×", f"{100 * median(two.busiest for two in twos):.0f} %",
    )  # fmt: skip
    return " | ".join(("", scene.name, *figures, "")).strip() + (f" **{wrong} wrong**" if wrong else "")


HEAD = (
    "| | one core, all of it: /s | two cores, two workers: /s | scaled | one worker: per CPU s | two: per CPU s "
    "| scaled | busier worker |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="", help="scenes whose name has this in it")
    options = parser.parse_args()
    compile_tools(TOOLS)
    first, last = cores()
    if first == last:
        raise SystemExit("two cores are needed")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=TOOLS) as name, ExitStack() as stack:
        one, two = (stack.enter_context(gateway(Path(name), each)) for each in ([last], [first, last]))
        ways = ((*one, [last]), (*one, [first, last]), (*two, [first, last]))
        print(f"{described()}\n\n{HEAD}")
        for scene in (each for each in SCENES if options.only in each.name):
            turns: tuple[list[Turn], ...] = ([], [], [])
            for _ in range(options.rounds):
                for taken, (port, workers, places) in zip(turns, ways, strict=True):
                    taken.append(turn(scene, port, workers, places, options.seconds))
            print(told(scene, *turns), flush=True)


if __name__ == "__main__":
    main()
