from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from auth import memory, memory_file
from auth.memory_file import MemoryFile
from auth.pool import Pool
from auth.standing import ALL_MODELS, Setback
from tests.pace import SECONDS_MAX

KEY = ("account-1", ALL_MODELS)


def cool(pool: Pool, seconds: float = 3600.0) -> None:
    setback = Setback(model=ALL_MODELS, why="limited", seconds=seconds, is_stated=True)
    pool.fail(pool.lend(KEY, 0.0), setback, 0.0)


class House:
    def __init__(self, folder: Path) -> None:
        self.pool = Pool()
        self.told: list[str] = []
        self.is_wanted = True
        self.file = MemoryFile(
            folder,
            self.pool,
            monotonic=lambda: 0.0,
            unix=lambda: 1_795_000_000.0,
            is_wanted=lambda: self.is_wanted,
            tell=self.told.append,
        )


async def test_the_next_process_finds_what_this_one_knew(tmp_path: Path) -> None:
    before = House(tmp_path)
    cool(before.pool)
    await before.file.save()
    after = House(tmp_path)
    after.file.read()
    assert after.pool.standing(KEY, 0.0).until == 3600.0
    assert after.told == []


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    house = House(tmp_path / "auth")
    cool(house.pool)
    old = os.umask(0)
    try:
        await house.file.save()
    finally:
        os.umask(old)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (house.file.path, house.file.path.parent)]
    assert modes == [0o600, 0o700]
    assert [path.name for path in house.file.path.parent.iterdir()] == ["pool.json"]


async def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.file.save()
    assert not house.file.path.exists()
    cool(house.pool)
    await house.file.save()
    house.file.path.unlink()
    await house.file.save()
    assert not house.file.path.exists()


async def test_simulated_accounts_leave_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.is_wanted = False
    cool(house.pool)
    await house.file.save()
    assert not house.file.path.parent.exists()


async def test_changes_are_written_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_file, "EVERY_SECONDS", 0.001)
    house = House(tmp_path)
    is_written = asyncio.Event()
    save = house.file.save

    async def saved() -> None:
        await save()
        if house.file.path.exists():
            is_written.set()

    monkeypatch.setattr(house.file, "save", saved)
    keeping = asyncio.create_task(house.file.keep())
    cool(house.pool)
    async with asyncio.timeout(SECONDS_MAX):
        await is_written.wait()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


def garbage(path: Path) -> Any:
    path.write_bytes(b'{"version": 1, "coold')


def giant(path: Path) -> Any:
    with path.open("wb") as file:
        file.truncate(memory.BYTES_MAX + 1)


def pipe(path: Path) -> Any:
    os.mkfifo(path)


def link(path: Path) -> Any:
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("make", [garbage, giant, pipe, link])
def test_what_cannot_be_read_is_ignored_and_told(tmp_path: Path, make: Any) -> None:
    house = House(tmp_path)
    house.file.path.parent.mkdir()
    make(house.file.path)
    house.file.read()
    assert house.pool.is_calm
    [told] = house.told
    assert "pool.json is ignored" in told


def test_no_file_is_no_news(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.file.read()
    assert house.told == []


async def test_a_disk_that_fails_is_told_once_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    house = House(tmp_path)
    cool(house.pool)
    await house.file.save()
    await house.file.save()
    assert len(house.told) == 1
    (tmp_path / "state").unlink()
    await house.file.save()
    assert house.file.path.exists()
