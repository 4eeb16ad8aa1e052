"""The config file on disk: changed by one writer at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from auth import atomic
from auth.atomic import locked
from proxy.config.load import digest_of, read
from proxy.errors import ConfigChanged, ConfigError


@contextlib.contextmanager
def changing(path: Path, *, digest: str) -> Iterator[tuple[bytes, Callable[[bytes], None]]]:
    """Gives the file's bytes and a function that replaces them. Raises `ConfigChanged` unless it holds what `digest`
    says, at the beginning and again right before it is replaced; other writers that come through here wait meanwhile.

    A symlink stays one: the file that it leads to is replaced. One that everybody could read, which is what a umask
    leaves, is its owner's alone from then on: it holds keys, or may soon. What a group was given stays.
    """
    target = path.resolve()
    try:
        with locked(target.parent) as folder:
            raw = _unchanged(target, path, digest)
            like = _closed(target.stat()) if target.exists() else None

            def put(new: bytes) -> None:
                if new != raw:
                    atomic.put(folder, target.name, new, like=like, check=lambda: _unchanged(target, path, digest))

            yield raw, put
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}{_advice(error)}") from error


def _closed(status: os.stat_result) -> os.stat_result:
    """Not where the file is somebody else's and would become ours: he could not read it any more."""
    if not status.st_mode & stat.S_IRWXO or os.geteuid() not in {0, status.st_uid}:
        return status
    return os.stat_result((status.st_mode & ~(stat.S_IRWXG | stat.S_IRWXO), *status[1:]))


def _advice(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "; it is mounted as a single file, mount its folder instead"
    return ""


def _unchanged(target: Path, path: Path, digest: str) -> bytes:
    raw = read(target) or b""
    if digest_of(raw) != digest:
        raise ConfigChanged(f"{path}: was changed by somebody else meanwhile; nothing was written")
    return raw
