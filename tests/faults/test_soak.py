"""The soak in its short form: the real server between real processes that are killed. `make soak` is the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 1000


def test_every_stream_ends_exactly_one_way_while_everything_breaks(tmp_path: Path) -> None:
    sizes = ["--streams", "240", "--concurrency", "60", "--outage", "60"]
    ran = subprocess.run(
        [sys.executable, "bench/soak.py", *sizes, "--keep", str(tmp_path / "soak")],
        cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = msgspec.json.decode(ran.stdout)
    assert figures["streams"] == 240
    assert figures["kills"] >= 2
    assert figures["reloads"] >= 5
    assert figures["failed_before_content"] >= 1
    assert figures["tokens"]["ledger"] == figures["tokens"]["vendors"] != [0, 0]
    assert set(figures["ends"]["failing"]) == set(figures["ends"]["gone"]) == {"refused"}
