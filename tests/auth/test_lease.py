from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from auth import lease
from auth.lease import NAME, LeaseTaken, held, this_host
from tests.pace import SECONDS_MAX


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_one_owner_at_a_time(tmp_path: Path) -> None:
    async with held(tmp_path, "here"):
        with pytest.raises(LeaseTaken, match="'here' is refreshing the login"):
            async with held(tmp_path, "there"):
                pytest.fail("two owners")
    assert left(tmp_path) == []
    async with held(tmp_path, "there"):
        assert (tmp_path / NAME).read_text().startswith("there\n")
    assert (tmp_path / NAME).exists() is False


async def test_what_a_killed_owner_of_this_host_left_is_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 3600.0)
    (tmp_path / NAME).write_text("here\n4711 dead\n")
    async with asyncio.timeout(SECONDS_MAX), held(tmp_path, "here"):
        assert "4711" not in (tmp_path / NAME).read_text()


async def test_what_a_dead_host_left_is_taken_when_it_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.01)
    (tmp_path / NAME).write_text("there\n4711 dead\n")
    with pytest.raises(LeaseTaken, match="'there' is refreshing the login"):
        async with held(tmp_path, "here"):
            pytest.fail("it may still be at work")
    old = time.time() - lease.STALE_SECONDS - 1
    os.utime(tmp_path / NAME, (old, old))
    async with held(tmp_path, "here"):
        assert (tmp_path / NAME).read_text().startswith("here\n")
    assert left(tmp_path) == []


async def test_of_two_hosts_that_take_an_old_one_one_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.05)
    (tmp_path / NAME).write_text("dead\n1 x\n")
    old = time.time() - lease.STALE_SECONDS - 1
    os.utime(tmp_path / NAME, (old, old))
    inside = 0

    async def take(host: str) -> str:
        nonlocal inside
        try:
            async with held(tmp_path, host):
                inside += 1
                assert inside == 1
                await asyncio.sleep(0.1)
                inside -= 1
                return host
        except LeaseTaken:
            return ""

    won = await asyncio.gather(take("one"), take("two"), take("three"))
    assert len([host for host in won if host]) == 1


async def test_its_owner_keeps_it_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    async with held(tmp_path, "here"):
        os.utime(tmp_path / NAME, (1, 1))
        async with asyncio.timeout(SECONDS_MAX):
            while (tmp_path / NAME).stat().st_mtime < 2:  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.005)


async def test_one_that_was_taken_from_us_is_not_given_back(tmp_path: Path) -> None:
    async with held(tmp_path, "here"):
        (tmp_path / NAME).write_text("there\n1 x\n")
    assert (tmp_path / NAME).read_text() == "there\n1 x\n"


@pytest.mark.parametrize("squat", ["link", "pipe", "folder", "hard link"])
async def test_T38_whatever_squats_in_its_place_is_not_followed_and_not_waited_for(tmp_path: Path, squat: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("here\n1 x\n")
    (tmp_path / "home").mkdir(mode=0o700)
    place = tmp_path / "home" / NAME
    match squat:
        case "link":
            place.symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case _:
            place.hardlink_to(elsewhere)
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(LeaseTaken, match=r"is a |has 2 names"):
            async with held(tmp_path / "home", "here"):
                pytest.fail("a lease on something else")
    assert elsewhere.read_text() == "here\n1 x\n"
    assert left(tmp_path / "home") == [NAME]


def test_this_host_is_always_the_same() -> None:
    assert this_host() == this_host() != ""
