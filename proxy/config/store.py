"""The config file on disk: changed by one writer at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from proxy.config.load import digest_of, read
from proxy.errors import ConfigChanged, ConfigError


@contextlib.contextmanager
def changing(path: Path, *, digest: str) -> Iterator[tuple[bytes, Callable[[bytes], None]]]:
    """Gives the file's bytes and a function that replaces them. Raises `ConfigChanged` unless it holds what `digest`
    says, at the beginning and again right before it is replaced; other writers that come through here wait meanwhile.

    A symlink stays one: the file that it leads to is replaced.
    """
    target = path.resolve()
    try:
        with _locked(target.parent):
            raw = _unchanged(target, path, digest)

            def put(new: bytes) -> None:
                if new != raw:
                    _replace(target, new, lambda: _unchanged(target, path, digest))

            yield raw, put
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}{_advice(error)}") from error


def _advice(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "; it is mounted as a single file, mount its folder instead"
    return ""


def _unchanged(target: Path, path: Path, digest: str) -> bytes:
    raw = read(target) or b""
    if digest_of(raw) != digest:
        raise ConfigChanged(f"{path}: was changed by somebody else meanwhile; nothing was written")
    return raw


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The lock is on the folder: the file itself is replaced, and a lock on it would go with it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(target: Path, raw: bytes, check: Callable[[], object]) -> None:
    """Old or new at any instant, even when the power goes. Keeps the mode and, where allowed, the owner."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _take_after(target, descriptor)
            file.write(raw)
            file.flush()
            os.fsync(descriptor)
        check()
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # it has become the target, unless something failed
    _sync_folder(target.parent)


def _take_after(target: Path, descriptor: int) -> None:
    """A new file keeps mkstemp's 0600."""
    with contextlib.suppress(FileNotFoundError):
        found = target.stat()
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, found.st_uid, found.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
