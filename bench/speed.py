"""How fast the proxy is, beside others that do less: `make bench` (short), `make bench-full`.

A compiled upstream and a compiled load generator have one core, the gateway the other. Gateways take turns in each
round (A B A B), every answer is checked, and a wrong one spoils its figure. What is compared are ratios within one run;
the CPU that a gateway spends on a request or a frame hardly depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from bench.lab import growth, report
from bench.lab.gateways import GATEWAYS, Gateway
from bench.lab.machine import compile_tools, cores, described, pinned
from bench.lab.scenes import LONG, SHORT, Sample, Scene, measure

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "build" / "bench"
USUAL = ("nginx", "plain aiohttp", "proxy")
FULL = ("nginx", "plain aiohttp", "lean aiohttp", "proxy")
DIRECT = "direct"


@contextmanager
def upstream() -> Iterator[int]:
    """The port of a running one."""
    command = pinned(cores()[0], str(TOOLS / "mock"), "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def run(scenes: Sequence[Scene], names: Sequence[str], rounds: int, port: int, folder: Path) -> report.Results:
    """Everybody stands all the time; whoever is not asked does nothing."""
    results: dict[str, dict[str, list[Sample]]] = {}
    with ExitStack() as stack:
        standing: dict[str, Gateway | None] = {DIRECT: None}
        for name in names:
            standing[name] = stack.enter_context(GATEWAYS[name](folder, port))
        for scene in scenes:
            taking_part = {name: each for name, each in standing.items() if name == DIRECT or scene.is_for(name)}
            if scene.gateways:
                del taking_part[DIRECT]
            found = results[scene.name] = {name: [] for name in taking_part}
            for _ in range(rounds):
                for name, gateway in taking_part.items():
                    found[name].append(measure(scene, port if gateway is None else gateway.port, TOOLS, gateway))
            tell(scene, found)
    return results


def tell(scene: Scene, found: Mapping[str, Sequence[Sample]]) -> None:
    for name, samples in found.items():
        spent = [each.cpu_micros for each in samples if each.cpu_micros is not None]
        cpu = f"{min(spent):9.2f} µs/{scene.unit}" if spent else " " * 20
        per_second = statistics.median(each.units / each.seconds for each in samples)
        middle = report.middle(samples, lambda each: each.first_byte or each.latency) / 1000
        kept = f"  kept {report.middle(samples, lambda each: each.kept):.3f}" if samples[0].kept else ""
        wrong = sum(each.wrong + each.late for each in samples)
        bad = f"  WRONG OR LATE: {wrong} {samples[-1].complaint[:80]}" if wrong else ""
        print(f"{scene.name:<40}{name:<14}{cpu}{per_second:11,.0f}/s{middle:9.2f} ms{kept}{bad}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all scenes, growth and memory; writes docs/performance.md")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", default="", help="scenes whose name holds this")
    parser.add_argument("--gateways", help="of: " + ", ".join(GATEWAYS))
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # two thousand streams have twice as many ends
    compile_tools(TOOLS)
    scenes = [each for each in (*SHORT, *(LONG if options.full else ())) if options.only in each.name]
    rounds = options.rounds or (5 if options.full else 3)
    print(described())
    with tempfile.TemporaryDirectory(prefix="bench-", dir=TOOLS) as name, upstream() as port:
        folder = Path(name)
        names = options.gateways.split(",") if options.gateways else FULL if options.full else USUAL
        results = run(scenes, names, rounds, port, folder)
        grown = growth.measured(port, TOOLS, folder) if options.full and not options.only else None
    found = report.Run(machine=described(), rounds=rounds, results=results, growth=grown)
    (TOOLS / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    verdicts = report.verdicts(found)
    print(
        "\n".join(f"{each.measure:<52} {each.found:<34} at least: {each.least:<28} {each.grade}" for each in verdicts)
    )
    if options.full and not options.only:
        (ROOT / "docs" / "performance.md").write_text(report.page(found))
    print(f"all figures: {(TOOLS / 'results.json').relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
