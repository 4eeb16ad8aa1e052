"""One owner across hosts, where a folder is shared and its file system knows no locks beyond a host.

A file beside what is owned, which only one can make, and which its owner keeps young. One that has grown old, by the
file system's own clock, is taken over. Within a host the lock decides: a lease of this host that nobody's lock holds is
what a killed owner left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from auth import atomic, guarded
from auth.refusal import Missing, Refused

NAME = "lease.json"
BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
SETTLE_SECONDS = 1.0
"""So long a lease that was taken over is left, to see whether another one took it at the same time."""


class LeaseTaken(Refused):
    """A whole sentence."""


def this_host() -> str:
    """The same as long as the host is; no other has it."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()
    except OSError:
        machine = ""
    return f"{socket.gethostname()} {machine}".strip()


@contextlib.asynccontextmanager
async def held(folder: Path, host: str = "") -> AsyncIterator[None]:
    """To be entered with the lock. Raises `LeaseTaken`, `OSError`."""
    path, host = folder / NAME, host or this_host()
    mine = f"{host}\n{os.getpid()} {secrets.token_hex(8)}\n"
    if not _is_made(path, mine):
        await _take_over(path, mine, host)
    beating = asyncio.create_task(_beat(path))
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})
        if _is(path, mine):
            path.unlink(missing_ok=True)


def is_elsewhere(folder: Path, host: str = "") -> bool:
    """Whether another host has it now, as far as can be told. Raises `OSError`."""
    path = folder / NAME
    try:
        owner = _read(path).partition("\n")[0]
        return owner != (host or this_host()) and _age(path) < STALE_SECONDS
    except (Missing, FileNotFoundError):
        return False
    except LeaseTaken:
        return True


def _age(path: Path) -> float:
    """By the file system's own clock."""
    temporary = path.with_name(f".{NAME}.tmp.{secrets.token_hex(6)}")
    _is_made(temporary, "")
    try:
        return temporary.stat().st_mtime - path.stat().st_mtime
    finally:
        temporary.unlink(missing_ok=True)


def _is_made(path: Path, mine: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as made:
        made.write(mine)
    return True


async def _take_over(path: Path, mine: str, host: str) -> None:
    """Raises `LeaseTaken`."""
    if _replaced(path, mine, host) == host:
        return
    await asyncio.sleep(SETTLE_SECONDS)
    if not _is(path, mine):
        raise LeaseTaken(f"another host has taken the login in {path.parent}")


def _replaced(path: Path, mine: str, host: str) -> str:
    """Whose it was. Raises `LeaseTaken`."""
    temporary = path.with_name(f".{NAME}.tmp.{secrets.token_hex(6)}")
    _is_made(temporary, mine)
    try:
        owner = _read(path).partition("\n")[0]
        age = temporary.stat().st_mtime - path.stat().st_mtime
        if owner != host and age < STALE_SECONDS:
            raise LeaseTaken(f"{owner.partition(' ')[0]!r} is refreshing the login in {path.parent}")
        temporary.rename(path)
    except (Missing, FileNotFoundError) as error:
        raise LeaseTaken(f"another host has just refreshed the login in {path.parent}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return owner


def _is(path: Path, mine: str) -> bool:
    try:
        return _read(path) == mine
    except (LeaseTaken, Missing, OSError):
        return False


def _read(path: Path) -> str:
    """Raises `Missing`; `LeaseTaken` where that is no lease: nobody but us should be able to put anything there."""
    with atomic.opened(path.parent) as folder:
        try:
            return guarded.read(folder, path.name).raw.decode("utf-8", "replace")
        except Missing:
            raise
        except Refused as error:
            raise LeaseTaken(f"{path} {error}") from error


async def _beat(path: Path) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        with contextlib.suppress(OSError):
            os.utime(path)
