"""The folders in which official CLIs work, and what a server that was killed has left of them.

Each process has a folder of its own below ``<auth-dir>/state/clis``: ``work`` is all of it that the process sees, and
beside it stands a file that says which process that is, and whose. A process is known by its number and its start, as
the system gives numbers again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

CLIS = "clis"
_TRACE = "process.json"


class Trace(msgspec.Struct, frozen=True):
    """Starts in clock ticks since the machine's. `pid` 0: it was not started yet."""

    owner: int
    owner_started: int
    pid: int = 0
    started: int = 0


class CliTraces:
    """`folder`: the server's state; made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.state = folder
        self._folder = folder / CLIS

    def make(self) -> Path:
        """A new, empty, private folder to work in."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="cli-", dir=self._folder))
        _write(place, Trace(owner=os.getpid(), owner_started=started(os.getpid())))
        work = place / "work"
        work.mkdir(mode=0o700)
        return work

    def empty(self) -> Path:
        """A folder for all of them to stand in. Its path may be told to the model, so it is always the same: caches of
        prompts hold longer.
        """
        empty = self._folder / "empty"
        empty.mkdir(mode=0o700, parents=True, exist_ok=True)
        return empty

    def mark(self, work: Path, pid: int) -> None:
        """That this process works there."""
        _write(
            work.parent,
            Trace(owner=os.getpid(), owner_started=started(os.getpid()), pid=pid, started=started(pid)),
        )

    def remove(self, work: Path) -> None:
        shutil.rmtree(work.parent, ignore_errors=True)

    def clear(self) -> int:
        """Ends the processes of servers that are no more, with all that they have started, and removes their folders.
        How many there were.
        """
        dead = [*self._left_behind()]
        for place, trace in dead:
            if trace.pid and is_alive(trace.pid, trace.started):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(trace.pid, signal.SIGKILL)
            shutil.rmtree(place, ignore_errors=True)
        return len(dead)

    def _left_behind(self) -> Iterator[tuple[Path, Trace]]:
        for place in self._folder.glob("cli-*"):
            trace = Trace(owner=0, owner_started=0)
            with contextlib.suppress(OSError, msgspec.DecodeError):
                trace = msgspec.json.decode((place / _TRACE).read_bytes(), type=Trace)
            if not is_alive(trace.owner, trace.owner_started):
                yield place, trace


def started(pid: int) -> int:
    """0: there is no such process, or this system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[19])


def is_alive(pid: int, start: int) -> bool:
    """Where the system does not tell when a process started, its number has to do."""
    if pid <= 0:
        return False
    if start:
        return started(pid) == start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def resident_bytes(pid: int) -> int:
    """With what it has started: a box may be a process of its own, around the CLI's. 0: not known."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError):
        return 0
    own = pages * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError):
        return own + sum(map(resident_bytes, map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())))
    return own


def memory_bytes() -> int:
    """Of the machine, or what a container leaves of it; 0: not known."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if hasattr(os, "sysconf") else []
    with contextlib.suppress(OSError, ValueError):  # `max` is no number
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found, default=0)


def _write(place: Path, trace: Trace) -> None:
    """Whole or not at all."""
    new = place / f".{_TRACE}"
    new.write_bytes(msgspec.json.encode(trace))
    new.replace(place / _TRACE)
