from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from auth.cli import confine
from auth.cli.confine import boxed, bubblewrap, version
from tests.pace import SECONDS_MAX

PYTHON = Path(sys.executable).resolve()
needs_landlock = pytest.mark.skipif(version() < 6, reason="this kernel has no Landlock of version 6")


async def run(code: str, *, writes: Path, listens: Sequence[int] = ()) -> tuple[int, str]:
    """A program in a box that holds Python, and a folder to write to."""
    command = boxed([str(PYTHON), "-I", "-c", code], runs=[PYTHON.parents[1]], writes=[writes], listens=listens)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


@needs_landlock
async def test_what_is_in_the_box_works(tmp_path: Path) -> None:
    code = f"import ssl; p = open({str(tmp_path / 'x')!r}, 'w+'); p.write('in the box'); p.seek(0); print(p.read())"
    assert await run(code, writes=tmp_path) == (0, "in the box\n")


@needs_landlock
@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/shadow')",
        "import os; os.listdir('/')",
        "import os; os.listdir('/proc')",
        f"open('/proc/{os.getpid()}/environ')",
        f"open({str(Path(__file__))!r})",
        "open('/etc/passwd', 'a')",
        "import os; os.remove('/etc/hostname')",
        "import os; os.mkdir('/tmp/boat')",
        "import os; os.execv('/bin/sh', ['sh', '-c', 'true'])",
        "import subprocess; subprocess.run(['/usr/bin/env'])",
        f"import os; os.kill({os.getpid()}, 0)",
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0))",
    ],
    ids=lambda code: code.replace(str(os.getpid()), "ours"),  # the same name in every process that collects it
)
async def test_what_is_outside_is_out_of_reach(code: str, tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    status, said = await run(code, writes=box)
    assert status == 1
    assert "PermissionError" in said


@needs_landlock
async def test_it_may_listen_where_it_cannot_do_without(tmp_path: Path) -> None:
    bind = "import socket; s = socket.socket(); s.bind(('127.0.0.1', {})); print('bound')"
    assert await run(bind.format(0), writes=tmp_path, listens=[0]) == (0, "bound\n")
    status, said = await run(bind.format(47_110), writes=tmp_path, listens=[0])
    assert status == 1
    assert "PermissionError" in said


@needs_landlock
async def test_it_cannot_leave_the_box_by_what_it_starts(tmp_path: Path) -> None:
    inner = "open('/etc/shadow')"
    code = f"import subprocess, sys; sys.exit(subprocess.run([{str(PYTHON)!r}, '-I', '-c', {inner!r}]).returncode)"
    status, said = await run(code, writes=tmp_path)
    assert status == 1
    assert "PermissionError" in said


def test_without_landlock_and_bubblewrap_there_is_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "version", lambda: 0)
    monkeypatch.setattr(confine, "bubblewrap", lambda: "")
    assert boxed(["claude", "-p"], runs=[PYTHON]) == ["claude", "-p"]


@pytest.mark.skipif(not bubblewrap(), reason="needs bubblewrap, and leave to use it")
class TestBubblewrap:
    @pytest.fixture(autouse=True)
    def no_landlock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(confine, "version", lambda: 0)

    async def test_what_is_in_the_box_works(self, tmp_path: Path) -> None:
        code = f"import ssl; p = open({str(tmp_path / 'x')!r}, 'w+'); p.write('in the box'); p.seek(0); print(p.read())"
        assert await run(code, writes=tmp_path) == (0, "in the box\n")
        assert (tmp_path / "x").read_text() == "in the box"

    @pytest.mark.parametrize(
        "code",
        [
            "open('/etc/shadow')",
            f"open('/proc/{os.getpid()}/environ')",
            f"open({str(Path(__file__))!r})",
            "open('/etc/passwd', 'a')",
            "import os; os.execv('/bin/sh', ['sh', '-c', 'true'])",
            "import subprocess; subprocess.run(['/usr/bin/env'])",
            f"import os; os.kill({os.getpid()}, 0)",
        ],
        ids=lambda code: code.replace(str(os.getpid()), "ours"),
    )
    async def test_what_is_outside_is_out_of_reach(self, code: str, tmp_path: Path) -> None:
        box = tmp_path / "box"
        box.mkdir()
        status, said = await run(code, writes=box)
        assert status == 1
        assert "Error" in said.splitlines()[-1]

    async def test_it_ends_with_whoever_started_it(self, tmp_path: Path) -> None:
        code = f"import time; open({str(tmp_path / 'here')!r}, 'w'); time.sleep(600)"
        command = boxed([str(PYTHON), "-I", "-c", code], runs=[PYTHON.parents[1]], writes=[tmp_path])
        process = await asyncio.create_subprocess_exec(*command)
        async with asyncio.timeout(SECONDS_MAX):
            while not (tmp_path / "here").exists():  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        async with asyncio.timeout(SECONDS_MAX):
            while any(str(tmp_path / "here").encode() in line for line in commands()):  # noqa: ASYNC110 - nor that
                await asyncio.sleep(0.01)


def commands() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (process / "cmdline").read_bytes()
