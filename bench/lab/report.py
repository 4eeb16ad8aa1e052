"""What a run has found, against what must be true; and the page that says so."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.lab.growth import Growth
from bench.lab.scenes import LONG, SHORT, Sample

Results = Mapping[str, Mapping[str, Sequence[Sample]]]
"""Of each scene, of each gateway: its rounds."""

OURS, NGINX, PLAIN, DIRECT = "proxy", "nginx", "plain aiohttp", "direct"


@dataclass(frozen=True, kw_only=True)
class Run:
    machine: str
    rounds: int
    results: Results
    growth: Growth | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`found`, `least`, `moonshot`: as they are shown."""

    measure: str
    found: str
    least: str
    moonshot: str
    grade: str


def cpu(samples: Sequence[Sample]) -> float:
    """The least of the rounds: what else the machine did only adds."""
    return min((each.cpu_micros for each in samples if each.cpu_micros is not None), default=float("nan"))


def middle(samples: Sequence[Sample], of: Callable[[Sample], float | None]) -> float:
    return statistics.median([value for each in samples if (value := of(each)) is not None] or [float("nan")])


def _graded(value: float, least: float, moonshot: float, *, is_high_good: bool = False) -> str:
    if is_high_good:
        value, least, moonshot = -value, -least, -moonshot
    return "moonshot" if value <= moonshot else "met" if value <= least else "missed"


def verdicts(run: Run) -> list[Verdict]:
    return [*_of_requests(run.results), *_of_streams(run.results), *(_of_growth(run.growth) if run.growth else ())]


def _of_requests(results: Results) -> Iterator[Verdict]:
    for size, better, share in (("1 KB", 3.0, 0.6), ("20 KB", 2.5, 0.4), ("200 KB", 1.5, 0.35)):
        found = results.get(f"relay {size}", {})
        if not {OURS, NGINX, PLAIN} <= found.keys():
            continue
        own, nginx, plain = (cpu(found[name]) for name in (OURS, NGINX, PLAIN))
        grade = "moonshot" if nginx / own >= share else "met" if plain / own >= better else "missed"
        yield Verdict(
            measure=f"relay {size}: CPU of a request",
            found=f"{own:.1f} µs: {plain / own:.2f} × better than plain aiohttp, {nginx / own:.2f} × nginx",
            least=f"{better:g} × better than plain aiohttp",
            moonshot=f"{share:g} × nginx",
            grade=grade,
        )
    found = results.get("relay 1 KB, 50 requests/s", {})
    if {OURS, NGINX} <= found.keys():
        added = (middle(found[OURS], lambda s: s.latency) - middle(found[NGINX], lambda s: s.latency)) / 1000
        yield Verdict(
            measure="added latency at 50 requests/s, half of them",
            found=f"{added:.2f} ms over nginx",
            least="0.4 ms",
            moonshot="0.05 ms",
            grade=_graded(added, 0.4, 0.05),
        )
    if OURS in results.get("translated 1 KB", {}) and OURS in results.get("relay 1 KB", {}):
        share = cpu(results["translated 1 KB"][OURS]) / cpu(results["relay 1 KB"][OURS])
        yield Verdict(
            measure="translated (Anthropic → OpenAI), 1 KB: CPU",
            found=f"{cpu(results['translated 1 KB'][OURS]):.1f} µs: {share:.2f} × our relay",
            least="2 × our relay",
            moonshot="1.4 ×",
            grade=_graded(share, 2.0, 1.4),
        )


def _of_streams(results: Results) -> Iterator[Verdict]:
    found = results.get("100 streams × 5 ms", {})
    if {OURS, NGINX} <= found.keys():
        share = cpu(found[OURS]) / cpu(found[NGINX])
        yield Verdict(
            measure="100 streams × 5 ms: CPU of a frame",
            found=f"{cpu(found[OURS]):.1f} µs: {share:.2f} × nginx",
            least="1.6 × nginx",
            moonshot="1.3 ×",
            grade=_graded(share, 1.6, 1.3),
        )
        added = (middle(found[OURS], lambda s: s.first_byte) - middle(found[NGINX], lambda s: s.first_byte)) / 1000
        yield Verdict(
            measure="100 streams × 5 ms: first byte, half of them",
            found=f"{added:.2f} ms over nginx",
            least="0.6 ms",
            moonshot="0.2 ms",
            grade=_graded(added, 0.6, 0.2),
        )
    for name in ("500 streams × 5 ms", "1,000 streams × 25 ms", "2,000 streams × 25 ms"):
        samples = results.get(name, {}).get(OURS)
        if samples:
            kept, late = middle(samples, lambda s: s.kept), sum(each.late for each in samples)
            lost = sum(each.wrong for each in samples)
            is_good = kept >= 0.97 and not late and not lost
            yield Verdict(
                measure=name,
                found=f"{kept:.3f} of the rate, {lost} broken, {late} late",
                least="0.97, 0, 0" if "2,000" not in name else "–",
                moonshot="0.97, 0, 0" if "2,000" in name else "–",
                grade=("moonshot" if "2,000" in name else "met") if is_good else "missed",
            )
    samples = results.get("translated burst of 1,000 frames", {}).get(OURS)
    if samples:
        yield Verdict(
            measure="translated stream: CPU of an event in a burst",
            found=f"{cpu(samples):.1f} µs",
            least="12 µs",
            moonshot="7 µs",
            grade=_graded(cpu(samples), 12, 7),
        )


def _of_growth(growth: Growth) -> Iterator[Verdict]:
    for measure, value, unit, least, moonshot in (
        ("memory: idle", growth.idle, "MiB", 70.0, 45.0),
        ("memory: each of 1,000 open streams", growth.per_stream[1_000], "KiB", 60.0, 30.0),
        ("memory: growth over 100,000 requests", growth.after_requests - growth.warm, "MiB", 2.0, 0.5),
        ("choice among 1,000 accounts", growth.choice[1_000], "µs", 5.0, 2 * growth.choice[10]),
        ("start to first answer", growth.start_seconds, "s", 1.0, 0.4),
    ):
        yield Verdict(
            measure=measure,
            found=f"{value:.2f} {unit}",
            least=f"{least:g} {unit}",
            moonshot=f"{moonshot:.2g} {unit}",
            grade=_graded(value, least, moonshot),
        )


HEAD = """# Performance

Written by `make bench-full` (do not edit). A compiled upstream and a compiled load generator have one core, the gateway
the other, one process each; gateways take turns in each of {rounds} rounds, and every answer is checked. All that the
proxy does is on: client keys, choice among 50 accounts, retry, usage, ledger, metrics, a log line in JSON for each
request. CPU is the least of the rounds, everything else their median; ratios are within this run. `direct`: the
upstream without a gateway. `plain aiohttp`: a pass-through as aiohttp's documentation leads to one, on asyncio's own
loop; `lean aiohttp`: the least that can be done with aiohttp, on uvloop (both: `bench/lab/passthrough.py`).

Machine: {machine}.

"""


def page(run: Run) -> str:
    parts = [HEAD.format(rounds=run.rounds, machine=run.machine)]
    parts.append(
        _table(
            ("measure", "found", "at least", "moonshot", ""),
            [(each.measure, each.found, each.least, each.moonshot, each.grade) for each in verdicts(run)],
        )
    )
    for scene in (*SHORT, *LONG):
        if scene.name in run.results:
            parts.append(f"\n## {scene.name[0].upper()}{scene.name[1:]}\n\n")
            parts.append(_scene(run.results[scene.name], is_stream=scene.kind == "stream"))
    if run.growth is not None:
        parts.append(_grown(run.growth))
    return "".join(parts)


def _scene(found: Mapping[str, Sequence[Sample]], *, is_stream: bool) -> str:
    rows = []
    for name, samples in found.items():
        wrong = sum(each.wrong for each in samples)
        own = [
            name,
            "–" if name == DIRECT else f"{cpu(samples):.2f}",
            f"{middle(samples, lambda s: s.units / s.seconds):,.0f}",
            f"{middle(samples, lambda s: s.first_byte if is_stream else s.latency) / 1000:.2f}",
            f"{middle(samples, lambda s: s.transit_99 if is_stream else s.latency_99) / 1000:.2f}",
        ]
        if is_stream:
            own.append(f"{middle(samples, lambda s: s.kept):.3f}" if samples[0].kept else "–")
        rows.append((*own, str(wrong) + (f", {late} late" if (late := sum(s.late for s in samples)) else "")))
    heads = ["gateway", "CPU µs", "a second"]
    heads += ["first byte, ms", "a frame's way, 99 %, ms", "rate kept"] if is_stream else ["half, ms", "99 %, ms"]
    return _table((*heads, "wrong"), rows)


def _grown(growth: Growth) -> str:
    series = (
        ("accounts", "CPU µs of a request", growth.by_accounts),
        ("accounts", "CPU µs of the choice", growth.choice),
        ("bytes of a request", "CPU µs of it", growth.by_body),
        ("frames of an answer", "CPU µs of a frame", growth.by_frames),
        ("streams beside each other, 50 ms", "CPU µs of a frame", growth.by_streams),
        ("streams beside each other", "KiB of memory for each", growth.per_stream),
    )
    parts = ["\n## Growth\n"]
    for of, what, values in series:
        parts.append(
            "\n" + _table((of, *(f"{key:,}" for key in values)), [(what, *(f"{v:,.2f}" for v in values.values()))])
        )
    half, most = growth.lag_micros
    parts.append(
        f"\nIdle it takes {growth.idle:.1f} MiB, after 10,000 requests {growth.warm:.1f}, after 110,000 "
        f"{growth.after_requests:.1f}. From nothing to the first answer: {growth.start_seconds:.2f} s. A small request "
        f"beside a hundred streams of 5 ms frames takes {half / 1000:.2f} ms (99 %: {most / 1000:.2f} ms).\n"
    )
    return "".join(parts)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] + ["--:"] * (len(heads) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
