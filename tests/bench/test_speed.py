"""The measuring lab works: it is built, it measures, and it tells right answers from wrong ones. No time is judged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import speed
from bench.lab import growth, report
from bench.lab.gateways import Gateway, ours
from bench.lab.machine import compile_tools
from bench.lab.scenes import MESSAGES, RELAY_1K, Sample, Scene, measure

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None and shutil.which("cc") is None, reason="there is no C compiler"),
    pytest.mark.skipif(shutil.which("taskset") is None, reason="there is no taskset (Linux alone has one)"),
]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    compile_tools(folder)
    return folder


@pytest.fixture(scope="module")
def upstream(tools: Path) -> Iterator[int]:
    with subprocess.Popen([str(tools / "mock"), "0"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


@pytest.fixture(scope="module")
def gateway(upstream: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with ours(tmp_path_factory.mktemp("house"), upstream, accounts=3) as standing:
        yield standing


SCENES = (
    Scene(name="whole", beside=2, seconds=0.2),
    Scene(name="a large request", body=300_000, beside=2, seconds=0.2),
    Scene(name="by rate", beside=2, seconds=0.3, rate=50),
    Scene(name="translated", path=MESSAGES, beside=2, seconds=0.2),
    Scene(name="stream", kind="stream", model="stream-10-0", beside=2, seconds=0.2),
    Scene(name="translated stream", kind="stream", model="stream-10-0", path=MESSAGES, beside=2, seconds=0.2),
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_answer_is_right(scene: Scene, gateway: Gateway, tools: Path) -> None:
    sample = measure(scene, gateway.port, tools, gateway)
    assert (sample.wrong, sample.complaint) == (0, "")
    assert sample.units > 0
    assert sample.cpu_micros is not None
    assert sample.cpu_micros > 0


@pytest.mark.parametrize("kind", ["whole", "stream"])
def test_a_wrong_answer_is_no_answer(kind: str, gateway: Gateway, tools: Path) -> None:
    sample = measure(Scene(name="x", kind=kind, model="nobody-has-it", seconds=0.1), gateway.port, tools, gateway)
    assert sample.units == 0
    assert sample.wrong > 0
    assert "status 404" in sample.complaint


def sample(cpu: float, latency: float = 100.0) -> Sample:
    return Sample(units=1000, seconds=1.0, cpu_micros=cpu, latency=latency, latency_99=200.0, wrong=0)


def test_verdicts_are_ratios_within_the_run() -> None:
    found = {"nginx": [sample(10)], "plain aiohttp": [sample(90), sample(80)], "proxy": [sample(25), sample(20)]}
    run = report.Run(machine="a machine", rounds=2, results={RELAY_1K.name: found})
    (verdict,) = report.verdicts(run)
    assert verdict.found == "20.0 µs: 4.00 × better than plain aiohttp, 0.50 × nginx"
    assert verdict.grade == "met"
    page = report.page(run)
    assert "| proxy | 20.00 | 1,000 | 0.10 | 0.20 | 0 |" in page
    assert "a machine" in page


def test_the_choice_among_many_is_measured() -> None:
    assert growth.choice_micros(3) > 0
    assert speed.USUAL[-1] == "proxy"
