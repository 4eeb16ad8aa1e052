from __future__ import annotations

from pathlib import Path

from auth.memory_file import MemoryFile
from auth.pool import Pool
from auth.quota import HOUR, Window
from proxy.accounts.known import usages

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
