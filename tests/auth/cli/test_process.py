from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import uvloop

from auth.cli import process as module
from auth.cli.process import INHERITED, CliProcess, Ended, environment

Start = Callable[..., Awaitable[CliProcess]]
TELL_ALL = """
import json, os, resource, sys
print(json.dumps({
    "environment": dict(os.environ), "cwd": os.getcwd(), "files": os.listdir("."), "session": os.getsid(0),
    "pid": os.getpid(), "core": resource.getrlimit(resource.RLIMIT_CORE), "argv": sys.argv[1:],
    "descriptors": sorted(int(each) for each in os.listdir("/proc/self/fd") if int(each) > 2),
}), flush=True)
sys.stdin.read()
"""
POLITE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("up", flush=True)
signal.pause()
"""
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
print(os.getpid() if child else "", end="" if not child else "\\n", flush=True)
while True:
    time.sleep(60)
"""


def alive(group: int) -> list[str]:
    """What of a process group still runs. Columns: ``pid (name) state parent group …``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, owner = path.read_text().rpartition(")")[2].split()[:3]
            if int(owner) == group and state not in "ZX":
                found.append(path.parent.name)
    return found


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    begun: list[CliProcess] = []

    async def started(script: str, **variables: str) -> CliProcess:
        ours = {"PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": "sk-ant-secret", "LANG": "C.UTF-8"}
        process = await CliProcess.start(
            [sys.executable, "-c", script], home=tmp_path / "home", variables=variables, ours=ours
        )
        begun.append(process)
        return process

    yield started
    for each in begun:
        await each.close()


async def test_T22_it_sees_its_account_and_nothing_else(start: Start, tmp_path: Path) -> None:
    process = await start(TELL_ALL, CODEX_HOME="/its/home")
    told = msgspec.json.decode(await process.line())
    assert "sk-ant-secret" not in str(told)
    assert told["environment"]["HOME"] == str(tmp_path / "home")
    assert told["environment"]["CODEX_HOME"] == "/its/home"
    assert told["environment"]["DISABLE_TELEMETRY"] == told["environment"]["DISABLE_AUTOUPDATER"] == "1"
    assert told["files"] == []
    assert told["environment"]["TMPDIR"] == told["cwd"]
    assert told["session"] == told["pid"] == process.pid != os.getsid(0)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert len(told["descriptors"]) <= 1, "of ours none; one is the listing's own"


@pytest.mark.skipif(sys.platform != "linux", reason="limits are set from outside on Linux only")
async def test_no_core_is_dumped(start: Start) -> None:
    process = await start("import sys; sys.stdin.readline()\n" + TELL_ALL)
    await process.write(b"now\n")
    assert msgspec.json.decode(await process.line())["core"] == [0, 0]


def test_what_is_inherited_is_no_secret() -> None:
    found = environment(
        Path("/h"), {}, {**dict.fromkeys(INHERITED, "x"), "AWS_SECRET_ACCESS_KEY": "s", "PROXY_KEY": "k"}
    )
    assert not {"AWS_SECRET_ACCESS_KEY", "PROXY_KEY"} & found.keys()
    assert not [name for name in INHERITED if "KEY" in name or "TOKEN" in name or "SECRET" in name]


async def test_it_is_ended_with_all_that_it_started(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.1)
    process = await start(STUBBORN)
    group = int(await process.line())
    assert alive(group)
    await process.close()
    assert alive(group) == []
    assert await process.finished() == -signal.SIGKILL


async def test_it_may_say_goodbye(start: Start) -> None:
    process = await start(POLITE)
    assert await process.line() == b"up"
    await process.close()
    assert await process.finished() == 7
    await process.close()


async def test_its_working_folder_is_gone_afterwards(start: Start) -> None:
    process = await start("import os; open('left', 'w').close(); print(os.getcwd(), flush=True)")
    folder = (await process.line()).decode()
    await process.close()
    assert not os.path.exists(folder)  # noqa: ASYNC240, PTH110 - once, of a text


async def test_its_last_words(start: Start) -> None:
    process = await start("import sys; print('first', file=sys.stderr); sys.exit('the reason')")
    with pytest.raises(Ended, match=r"^the reason$"):
        await process.line()


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_has_ended_is_not_spoken_to(tmp_path: Path, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def speak() -> None:
        process = await CliProcess.start([sys.executable, "-c", "exit('the reason')"], home=tmp_path / "home")
        try:
            with pytest.raises(Ended, match=r"^the reason$"):  # noqa: PT012 - when it notices is the system's to say
                while True:
                    await process.write(b"Are you there?\n")
                    await asyncio.sleep(0.01)
            process.tell(b"It does not matter.")
        finally:
            await process.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(speak())


async def test_a_flood_is_drained_and_its_end_is_kept(start: Start) -> None:
    process = await start("import sys; sys.stderr.write('x' * 5_000_000 + 'the end\\n'); print('done')")
    assert await process.line() == b"done"
    await process.finished()
    await process.close()
    assert len(process.told) <= module.TAIL_BYTES_MAX


async def test_a_line_may_be_long_but_not_endless(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_BYTES_MAX", 300_000)
    process = await start("print('x' * 250_000, flush=True); print('y' * 900_000, flush=True)")
    assert len(await process.line()) == 250_000
    with pytest.raises(Ended, match="a line of more than 300000 bytes"):
        await process.line()


async def test_what_cannot_be_started_is_named(tmp_path: Path) -> None:
    with pytest.raises(Ended, match="/nowhere/claude cannot be started: No such file"):
        await CliProcess.start(["/nowhere/claude"], home=tmp_path)


async def test_a_cancelled_close_still_closes(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.1)
    process = await start(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    )
    await process.line()
    closing = asyncio.create_task(process.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert await process.finished() == -signal.SIGKILL
