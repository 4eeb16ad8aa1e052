"""The measurement of several workers works: it starts them, asks them, and gives each its share. No time is judged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import workers
from bench.lab.machine import compile_tools, cores
from bench.lab.scenes import RELAY_1K

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None and shutil.which("cc") is None, reason="there is no C compiler"),
    pytest.mark.skipif(shutil.which("taskset") is None, reason="there is no taskset (Linux alone has one)"),
]


def test_both_workers_serve_and_every_answer_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TOOLS", tmp_path)
    compile_tools(tmp_path)
    places = [*cores()]
    with workers.gateway(tmp_path, places) as (port, pids):
        turn = workers.turn(RELAY_1K, port, pids, places, 0.5)
    assert len(pids) == 2
    assert turn.wrong == 0
    assert turn.units > 100
    assert all(seconds > 0 for seconds in turn.cpu_seconds)
    assert 0.5 <= turn.busiest < 1
    assert workers.told(RELAY_1K, [turn], [turn], [turn]).startswith("| relay 1 KB |")
