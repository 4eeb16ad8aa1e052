from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from auth.memory_file import MemoryFile
from auth.pool import Pool
from auth.quota import HOUR, Window
from auth.standing import ALL_MODELS, Setback
from proxy.accounts.known import resting, usages

UNIX = 1_800_000_000.0


async def test_what_a_server_has_written_down(tmp_path: Path) -> None:
    pool = Pool()
    told = [
        Window(slot="x-codex-primary", name="5-hour", read_at=5.0, source="s", used=0.123, resets_at=65.0),
        Window(slot="anthropic-ratelimit-unified-7d_opus", name="weekly", read_at=5.0, source="s", models="*opus*"),
        Window(slot="x-ratelimit-requests", name="requests", read_at=5.0, source="s", used=0.5),
    ]
    pool.read("one", told, 5.0)
    memory = MemoryFile(
        tmp_path, pool, monotonic=lambda: 5.0, unix=lambda: UNIX, is_wanted=lambda: True, tell=lambda _: None
    )
    memory._written = -1
    await memory.save()
    assert [str(each) for each in usages(tmp_path, unix=UNIX)["one"]] == [
        "5-hour 12 % (until 2027-01-15 08:01 UTC)",
        "weekly opus ? %",
    ]
    assert usages(tmp_path, unix=UNIX + HOUR) == {}
    assert usages(tmp_path / "none", unix=UNIX) == {}


async def test_who_rests_until_when(tmp_path: Path) -> None:
    pool = Pool()
    spent = Setback(model=ALL_MODELS, why="the 5-hour window is exhausted", seconds=HOUR, is_stated=True)
    pool.fail(pool.lend(("one", ALL_MODELS), 5.0), spent, 5.0)
    pool.fail(pool.lend(("two", "big"), 5.0), replace(spent, model="big"), 5.0)
    memory = MemoryFile(
        tmp_path, pool, monotonic=lambda: 5.0, unix=lambda: UNIX, is_wanted=lambda: True, tell=lambda _: None
    )
    memory._written = -1
    await memory.save()
    found = resting(tmp_path, unix=UNIX)
    assert found == {"one": "cooling: the 5-hour window is exhausted (until 2027-01-15 09:00+00:00)"}, (
        "of one model: no"
    )
    assert resting(tmp_path, unix=UNIX + 2 * HOUR) == {}
