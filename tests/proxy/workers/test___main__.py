from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from proxy import __version__
from proxy.workers.messages import UPGRADED

SECONDS_MAX = 30


async def started(descriptor: int, version: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy.workers", str(descriptor), version, pass_fds=(descriptor,),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(SECONDS_MAX):
        return await process.wait()


async def test_another_version_than_the_owners_does_not_serve() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        assert await ended(await started(theirs.fileno(), "0.0.0")) == UPGRADED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_goes_when_the_owner_is_gone_and_not_before(number: signal.Signals) -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        process = await started(theirs.fileno(), __version__)
        theirs.close()
        while True:  # its signals are set before it waits for a word
            ignored = int(_status(process.pid, "SigIgn"), 16)
            if ignored >> (number - 1) & 1:
                break
            await asyncio.sleep(0.01)
        process.send_signal(number)
        mine.close()
        assert await ended(process) == 0


def _status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
