"""What a CLI that serves strangers can reach of this machine: a box around its process, where the kernel builds one.

Run as a program of its own (``python -I -S confine.py``) it builds the box around itself and then becomes the CLI:
between fork and exec nothing of the server's may run, as that has threads. Landlock (Linux 5.13 and newer, without any
privilege) says which files may be read, written and run. All else is refused to the CLI and to whatever it starts:
other files, other programs, ports to listen on (but those that it cannot do without), signals to others. It may connect
to anybody: it talks to its provider. When the server dies it is killed, too: a CLI that is asked to end may first ask
its provider once more.

Where the kernel has no Landlock, bubblewrap builds the box, if it is there and may: the CLI sees the same files, none
of the other processes, and may listen.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
"""System calls, the same on every architecture (linux/landlock.h)."""
_ASK_VERSION = 1
_BENEATH, _PORT = 1, 2
_NO_NEW_PRIVILEGES, _DIE_WITH_PARENT = 38, 1

_EXECUTE, _WRITE, _READ, _LIST, _REFER, _TRUNCATE = (1 << bit for bit in (0, 1, 2, 3, 13, 14))
_MAKE = sum(1 << bit for bit in (4, 5, 7, 8, 9, 10, 12))
"""Remove folders and files; make folders, files, sockets, pipes and links; no devices."""
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
"""By version, what is refused unless it is allowed."""
_THEN = "--"
_BUBBLE = "bubblewrap"
_BUBBLE_SECONDS_MAX = 10.0
_BUBBLING = (
    "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--proc", "/proc", "--dev", "/dev",
)  # fmt: skip
_ITS_OWN = ("/proc", "/dev")
"""Those that it makes."""
_LISTEN = 1
_LISTENING = "port"
_SCOPES = 3
"""Abstract sockets and signals stay in the box."""

READS = _READ | _LIST
RUNS = READS | _EXECUTE
WRITES = READS | _WRITE | _MAKE | _REFER | _TRUNCATE
SYSTEM: Mapping[str, int] = {
    **dict.fromkeys(("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store"), RUNS),
    **dict.fromkeys(
        (
            "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/usr/share/ca-certificates",
            "/usr/local/share/ca-certificates", "/usr/share/zoneinfo", "/usr/share/locale", "/etc/localtime",
            "/etc/timezone", "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf",
            "/etc/services", "/etc/protocols", "/etc/passwd", "/etc/group", "/etc/os-release", "/etc/ld.so.cache",
            "/run/systemd/resolve", "/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/version",
            "/proc/loadavg", "/proc/sys/kernel", "/proc/sys/vm", "/sys/fs/cgroup", "/sys/devices/system/cpu",
            "/sys/kernel/mm", "/dev/random", "/dev/urandom", "/dev/zero",
        ),
        READS,
    ),
    "/dev/null": READS | _WRITE,
}  # fmt: skip
"""What every program needs: libraries, certificates, names of hosts, time zones, what the machine is like."""


def version() -> int:
    """Of the kernel's Landlock; 0: there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_kernel().syscall(_CREATE, None, 0, _ASK_VERSION)))


@functools.cache
def bubblewrap() -> str:
    """The program; empty: it is not there, or may not do anything here."""
    found = shutil.which("bwrap") if sys.platform.startswith("linux") else None
    if found is None:
        return ""
    try:
        tried = subprocess.run(  # noqa: S603 - its own name, and nobody's words
            [found, *_BUBBLING, "--ro-bind", "/", "/", found, "--version"],
            capture_output=True, check=False, timeout=_BUBBLE_SECONDS_MAX,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return found if tried.returncode == 0 else ""


def boxed(
    program: Sequence[str],
    *,
    runs: Iterable[Path] = (),
    reads: Iterable[Path] = (),
    writes: Iterable[Path] = (),
    listens: Iterable[int] = (),
) -> list[str]:
    """The command that starts `program` in its box, which holds what is named and all below it; whatever may be run or
    written may be read. `listens`: the ports; 0: any that the system gives. Without a box where nobody builds one.
    """
    rights = {str(path): right for paths, right in ((reads, READS), (runs, RUNS), (writes, WRITES)) for path in paths}
    if not version():
        bubble = bubblewrap()
        return [*_bubbled(bubble, {**SYSTEM, program[0]: RUNS, **rights}), *program] if bubble else [*program]
    told = [*(f"{right}:{path}" for path, right in rights.items()), *(f"{_LISTENING}:{port}" for port in listens)]
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), *told, _THEN, *program]


def _bubbled(bubble: str, rights: Mapping[str, int]) -> list[str]:
    """It is started in our name, so that the limits of the process are there before it is, and it dies with us."""
    mounts = []
    for path, right in rights.items():
        if not path.startswith(_ITS_OWN):
            mounts += ["--bind" if right & _WRITE else "--ro-bind-try", path, path]
    return [
        sys.executable,
        "-I",
        "-S",
        str(Path(__file__).resolve()),
        _BUBBLE,
        _THEN,
        bubble,
        *_BUBBLING,
        *mounts,
        _THEN,
    ]


def _kernel() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _restrict(rights: Mapping[str, int], listens: Iterable[int]) -> None:
    kernel, known = _kernel(), version()
    handled = _HANDLED[min(known, max(_HANDLED))]
    fields = [handled, *([_LISTEN] if known >= 4 else []), *([_SCOPES] if known >= 6 else [])]
    ruleset = struct.pack(f"={len(fields)}Q", *fields)
    box = _checked(kernel.syscall(_CREATE, ruleset, len(ruleset), 0))
    for path, right in rights.items():
        with contextlib.suppress(FileNotFoundError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = right & handled & (-1 if Path(path).is_dir() else _OF_FILES)
            _checked(kernel.syscall(_ADD, box, _BENEATH, struct.pack("=Qi", allowed, place), 0))
            os.close(place)
    for port in listens if known >= 4 else ():
        _checked(kernel.syscall(_ADD, box, _PORT, struct.pack("=QQ", _LISTEN, port), 0))
    _checked(kernel.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _checked(kernel.syscall(_RESTRICT, box, 0))
    os.close(box)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "the kernel does not build the box")
    return result


def main() -> None:
    then = sys.argv.index(_THEN)
    told, program = sys.argv[1:then], sys.argv[then + 1 :]
    named = [(right, path) for right, _, path in (each.partition(":") for each in told)]
    rights = {path: int(right) for right, path in named if right.isdecimal()}
    _kernel().prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if told != [_BUBBLE]:
        _restrict({**SYSTEM, **rights}, [int(port) for right, port in named if right == _LISTENING])
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
