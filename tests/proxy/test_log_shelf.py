from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from proxy.config.schema import MIB, Config
from proxy.log_shelf import LogShelf
from proxy.observe.log_file import older_files
from proxy.observe.scrub import Scrubber


def test_all_that_is_written_stays_within_one_bound(tmp_path: Path) -> None:
    config = Config(auth_dir=str(tmp_path), logging_to_file=True, log_format="json")
    shelf = LogShelf(lambda: config, Scrubber(), is_debug=False)
    for name in ("requests", "errors"):
        (shelf.folder / name).mkdir()
        for number in range(3):
            (shelf.folder / name / f"{number}.json").write_bytes(b"x" * MIB)
    shelf.tidy()
    assert len([*shelf.folder.rglob("*.json")]) == 6, "0: each has its own bound"
    config = replace(config, logs_max_total_size_mb=2)
    shelf.tidy()
    assert len([*shelf.folder.rglob("*.json")]) in {1, 2}
    for number in range(300):
        shelf.log.info("line", number=number, text="y" * 20_000)
    asyncio.run(shelf.close())
    log = shelf.folder / "proxy.log"
    assert len(older_files(log)) == 1
    assert sum(each.stat().st_size for each in (log, *older_files(log))) <= 2 * MIB


async def test_without_a_log_file_there_is_nothing_to_tidy(tmp_path: Path) -> None:
    config = Config(auth_dir=str(tmp_path), logs_max_total_size_mb=1)
    shelf = LogShelf(lambda: config, Scrubber(), is_debug=False)
    keeping = asyncio.create_task(shelf.keep())
    await asyncio.to_thread(shelf.tidy)
    assert not keeping.done()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await shelf.close()
    assert not (tmp_path / "logs").exists()
