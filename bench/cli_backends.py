"""What it costs that an official CLI asks, and not we: `make bench-clis`, or `python -m bench.cli_backends codex …`

Time to the first token, against a stub of the provider on this machine that answers at once and keeps connections open;
each figure is the median over rounds in which all variants take turns. *Added* is over a direct HTTP call to the same
stub in the same round, by the same way (its TLS, its egress proxy). *There* is until the stub has the request, *back*
from then on; *least* is the round that was disturbed least. The processor time is the server's, and that of the CLI's
processes: it tells whose work it is, also on a machine that is busy. The cold figures are a CLI that is started for
each request: once as wrappers of it do, and once with its fastest switches. *Hanging up* is how long it takes until the
provider sees that the client has left in the middle of an answer.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import aiohttp
import msgspec

from bench.cli_bench import AT_ONCE, MODULES, Bench, Sample
from bench.cli_dialects import BENCHES
from tests.backends.stage import STAGES

ROUNDS = int(os.environ.get("PROXY_BENCH_ROUNDS", "11"))
MILLI = 1e3


async def measure(bench: Bench) -> dict[str, list[Sample]]:
    variants: dict[str, Callable[[], Awaitable[Sample]]] = {
        "direct": bench.direct,
        "continuing turn": bench.continuing,
        "results of tools": bench.results,
        "new conversation": bench.new,
        "20 turns of history": bench.history,
        "hanging up": bench.hanging_up,
    }
    if bench.is_shared:
        variants[f"{AT_ONCE} new ones at once"] = bench.at_once
    for how in bench.colds(Path()):
        variants[how] = partial(bench.cold, how)
    for variant in [*variants.values(), bench.new]:
        await variant()  # everything is loaded, and the conversation has begun
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, variant in variants.items():
            samples[name].append(await variant())
    return samples


def _cpu(whose: str, samples: Sequence[Sample]) -> float:
    """In ms."""
    return statistics.median(float(getattr(one, whose)) for one in samples) * MILLI


def _least(samples: Sequence[Sample]) -> float:
    """In ms."""
    return min(one.first for one in samples) * MILLI


def tell(name: str, bench: Bench, samples: Mapping[str, Sequence[Sample]]) -> dict[str, float]:
    """The table; and the medians of what is added, in ms."""
    columns = ("median", "least", "added", "at most", "there", "back", "our CPU", "its CPU")
    sys.stdout.write(f"\n{name + ', ms':24}" + "".join(f"{column:>9}" for column in columns) + "\n")
    added: dict[str, float] = {}
    direct = samples["direct"]
    for variant, each in samples.items():
        median = statistics.median(one.first for one in each) * MILLI
        cells = [f"{median:.1f}", f"{_least(each):.1f}"]
        if variant not in {"direct", "hanging up"}:
            pairs = [*zip(each, direct, strict=True)]
            added[variant] = statistics.median(one.first - other.first for one, other in pairs) * MILLI
            there = statistics.median(one.there - other.there for one, other in pairs) * MILLI
            cells += [f"{added[variant]:.1f}", str(bench.targets.get(variant, ""))]
            is_cold = variant.startswith("cold")
            cells += ["", ""] if is_cold else [f"{there:.1f}", f"{added[variant] - there:.1f}"]
            cells += ["" if is_cold else f"{_cpu('ours', each):.1f}", f"{_cpu('theirs', each):.1f}"]
        elif variant in bench.targets:
            added[variant] = median
            cells += ["", str(bench.targets[variant])]
        sys.stdout.write(f"{variant:24}" + "".join(f"{cell:>9}" for cell in cells) + "\n")
    for how in bench.colds(Path()):
        ratio = added[how] / added["continuing turn"]
        on = samples["continuing turn"]
        spent = _cpu("theirs", samples[how]) / (_cpu("ours", on) + _cpu("theirs", on))
        least = _least(samples[how]) / (_least(on) - _least(direct))
        sys.stdout.write(f"a continuing turn adds {ratio:.0f} times less time than a CLI a request ({how}), ")
        sys.stdout.write(f"at the least {least:.0f}, for {spent:.0f} times less work\n")
    return {variant: round(value, 1) for variant, value in added.items()}


async def run(name: str) -> dict[str, float]:
    make_backend, make_stage = STAGES[name]
    with tempfile.TemporaryDirectory() as folder:
        async with make_backend(Path(folder)) as backend, aiohttp.ClientSession() as session:
            stage = make_stage(folder=Path(folder), backend=backend, modules=MODULES)
            await stage.open()
            try:
                bench = BENCHES[name](stage, session)
                return tell(name, bench, await measure(bench))
            finally:
                await stage.close()


async def main() -> int:
    found = {name: await run(name) for name in sys.argv[1:] or BENCHES}
    sys.stdout.write(f"\n{msgspec.json.encode(found).decode()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
