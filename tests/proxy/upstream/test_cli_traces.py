from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from proxy.upstream.cli_traces import CliTraces, Trace, is_alive, memory_bytes, resident_bytes, started

GONE = Trace(owner=2**22 + 1, owner_started=1)
"""No process has such a number."""


def orphan(work: Path, pid: int = 0, started_at: int = 0) -> None:
    """As if the server were no more."""
    trace = Trace(owner=GONE.owner, owner_started=1, pid=pid, started=started_at)
    (work.parent / "process.json").write_bytes(msgspec.json.encode(trace))


def test_each_process_has_an_empty_private_folder(tmp_path: Path) -> None:
    traces = CliTraces(tmp_path)
    one, two = traces.make(), traces.make()
    assert one != two
    assert [*one.iterdir()] == []
    assert one.stat().st_mode & 0o777 == 0o700
    traces.remove(one)
    assert not one.parent.exists()
    assert two.exists()


async def test_what_a_killed_server_has_left_is_ended_and_removed(tmp_path: Path) -> None:
    traces = CliTraces(tmp_path)
    work = traces.make()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE, start_new_session=True
    )
    traces.mark(work, process.pid)
    assert traces.clear() == 0, "its server is us"
    orphan(work, process.pid, started(process.pid))
    assert traces.clear() == 1
    assert await process.wait() == -9
    assert not work.parent.exists()


async def test_a_number_that_was_given_again_is_somebody_else(tmp_path: Path) -> None:
    traces = CliTraces(tmp_path)
    work = traces.make()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE, start_new_session=True
    )
    orphan(work, process.pid, started(process.pid) + 1)
    assert traces.clear() == 1
    assert process.returncode is None
    assert not work.parent.exists()
    process.kill()
    await process.wait()


def test_a_folder_that_says_nothing_is_removed(tmp_path: Path) -> None:
    traces = CliTraces(tmp_path)
    work = traces.make()
    (work.parent / "process.json").write_text("{")
    assert traces.clear() == 1
    assert CliTraces(tmp_path / "nowhere").clear() == 0


def test_who_lives_and_how_large_they_are() -> None:
    me = os.getpid()
    assert is_alive(me, started(me))
    assert is_alive(me, 0)
    assert not is_alive(0, 0)
    assert not is_alive(GONE.owner, 0)
    assert resident_bytes(me) > 1024**2
    assert resident_bytes(GONE.owner) == 0
    assert memory_bytes() > resident_bytes(me)
