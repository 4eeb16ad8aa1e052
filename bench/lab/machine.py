"""The machine: its two halves, and what a process has used of it."""

from __future__ import annotations

import contextlib
import os
import platform
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parent
PROC = Path("/proc")
PORTS = 20_000, 32_000


def compile_tools(folder: Path) -> None:
    """The upstream and the load generator, where they are older than their source. Raises SystemExit."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("a C compiler is needed; on Debian: apt-get install gcc libc6-dev")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("mock", "load"):
        source, program = SOURCES / f"{name}.c", folder / name
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)], check=True)


def cores() -> tuple[int, int]:
    """The lab's, and the gateway's; the same where there is only one."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[-1]


def pinned(core: int, *words: str) -> list[str]:
    return ["taskset", "-c", str(core), *words]


def free_port() -> int:
    """That is still free when a gateway comes to it: of those that the system gives to nobody who does not ask for it
    by name.
    """
    while True:
        port = random.randint(*PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def family(pid: int) -> Iterator[int]:
    """A process and its children."""
    yield pid
    for children in (PROC / str(pid) / "task").glob("*/children"):
        for child in children.read_text().split():
            yield from family(int(child))


def cpu_seconds(pid: int) -> float:
    """What a process and its children have spent on the CPU, to the nanosecond: the scheduler's own count."""
    files = [file for each in family(pid) for file in (PROC / str(each) / "task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def memory_mib(pid: int) -> float:
    """Resident, shared pages counted once for each process."""
    lines = [line for each in family(pid) for line in (PROC / str(each) / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def described() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in (PROC / "cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {platform.python_version()}"
