"""A file is replaced as a whole: old or new at any instant, also when the power goes, and never readable by others."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700
TEMPORARY = ".tmp."
"""In the name of a file that nobody finished."""
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A folder's descriptor: what is done through it is done there, whatever its path leads to meanwhile."""
    descriptor = os.open(folder, _FOLDER_FLAGS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """One writer at a time, in all processes. The lock is on the folder: a file is replaced, and a lock on it would go
    with it.
    """
    with opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor


def put(
    folder: int, name: str, raw: bytes, *, like: os.stat_result | None = None, check: Callable[[], object] | None = None
) -> None:
    """`like`: the file whose mode and, where allowed, owner it takes over; None: 0600, ours. `check` may raise right
    before the new file gets its name; then, and after an `OSError`, the old one stands as it was.

    The recipe: a new file that only we can open, written and synced, then renamed, then the folder synced: without
    either sync a power cut may leave an empty file under the name.
    """
    with room(folder, name, like=like) as become:
        become(raw, check)


def replace(path: Path, raw: bytes) -> None:
    """A file of a folder that is ours alone, and is made where it is not. Raises OSError; then the old file stands."""
    for folder in (path.parent.parent, path.parent):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=FOLDER_MODE, parents=folder is not path.parent)
    with locked(path.parent) as descriptor:
        sweep(descriptor)
        put(descriptor, path.name, raw)


@contextlib.contextmanager
def room(
    folder: int, name: str, *, like: os.stat_result | None = None, bytes_min: int = 0
) -> Iterator[Callable[[bytes, Callable[[], object] | None], None]]:
    """A new file, on its way to its name; what it is called with is what it becomes. `bytes_min`: for so much the disk
    has room from now on, whatever fills up meanwhile.
    """
    temporary = f".{name[:100]}{TEMPORARY}{secrets.token_hex(6)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, FILE_MODE, dir_fd=folder)
    is_open = True

    def become(raw: bytes, check: Callable[[], object] | None = None) -> None:
        nonlocal is_open
        try:
            _write_all(descriptor, raw)
            if len(raw) < bytes_min:
                os.ftruncate(descriptor, len(raw))
            os.fsync(descriptor)
        finally:
            is_open = False
            os.close(descriptor)
        if check is not None:
            check()
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)

    try:
        _dress(descriptor, like)
        if bytes_min:
            _reserve(descriptor, bytes_min)
        yield become
    finally:
        if is_open:
            os.close(descriptor)
        with contextlib.suppress(OSError):  # it has become the file, unless something failed
            os.unlink(temporary, dir_fd=folder)


def sweep(folder: int) -> None:
    """Removes what killed writers left. To be called with the lock: then nobody is at work on them."""
    for name in os.listdir(folder):
        if name.startswith(".") and TEMPORARY in name:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)


def _dress(descriptor: int, like: os.stat_result | None) -> None:
    if like is not None:
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, like.st_uid, like.st_gid)
    os.fchmod(descriptor, FILE_MODE if like is None else stat.S_IMODE(like.st_mode))  # whatever the umask is


def _reserve(descriptor: int, count: int) -> None:
    if os.pwrite(descriptor, bytes(count), 0) < count:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)


def _write_all(descriptor: int, raw: bytes) -> None:
    left = memoryview(raw)
    while left:
        left = left[os.write(descriptor, left) :]
