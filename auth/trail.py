"""Tells when a path may lead to other content: in-place writes, renames, symlink swaps, folders that come and go.

Watched are the folders, never the file: a watch on a file follows the inode, and an editor's rename leaves it behind.
The path is one of a file, or of a folder whose files matter.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

LINKS_MAX = 40
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
"""Not opening and closing without a write: our own reading would wake us."""

Identity: TypeAlias = tuple[int, int]
"""Device and inode of a folder."""


def names_of(path: Path) -> frozenset[Path]:
    """The directory entries that decide what `path` leads to: each symlink on the way, and the file at the end; or the
    first entry that is missing. Each is given in its real folder.
    """
    return frozenset(_names(path.absolute()))


def _names(path: Path) -> Iterator[Path]:
    current, ahead = Path(path.anchor), list(path.parts[:0:-1])
    links = 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            current = current.parent
            continue
        current /= part
        try:
            is_link = stat.S_ISLNK(current.lstat().st_mode)
        except OSError:
            yield current
            return
        if is_link:
            yield current
            links += 1
            if links > LINKS_MAX:
                return
            target = current.readlink()
            current = Path(target.anchor) if target.is_absolute() else current.parent
            ahead += [step for step in target.parts[::-1] if step != target.anchor]
    yield current


Signature: TypeAlias = tuple[tuple[Path, int, int, int] | None, ...]


def signature_of(path: Path) -> Signature:
    """Differs when `path` may lead to other content. Cheap: nothing is read."""
    return tuple(_state(name) for name in sorted(names_of(path)))


def _state(name: Path) -> tuple[Path, int, int, int] | None:
    try:
        found = name.lstat()
    except OSError:
        return None
    return name, found.st_ino, found.st_mtime_ns, found.st_size


class Watch(FileSystemEventHandler):
    """Calls `stir` from a thread of its own when something may have changed. Where the system has no watches left it
    keeps silent: whoever uses it also looks from time to time.
    """

    def __init__(self, path: Path, stir: Callable[[], None], *, inside: Callable[[str], bool] | None = None) -> None:
        """`inside`: `path` is a folder, and this says which names in it matter."""
        self._path = path
        self._stir = stir
        self._inside = inside
        self._whole = ""
        self._lock = threading.Lock()
        self._observer: BaseObserver | None = None
        self._armed: dict[Path, tuple[Identity, ObservedWatch]] = {}
        self._names: frozenset[str] = frozenset()
        self._folders: frozenset[str] = frozenset()
        self._gone: set[str] = set()
        """Folders that were deleted since they were armed. A new one may get the old one's inode."""

    def on_any_event(self, event: FileSystemEvent) -> None:
        """In the observer's thread, which never takes the lock: `close` waits for it."""
        touched = {os.fsdecode(event.src_path), os.fsdecode(event.dest_path)}
        if isinstance(event, DirDeletedEvent):
            self._gone |= touched & self._folders
        if touched & (self._names | self._folders) or any(self._is_inside(each) for each in touched):
            self._stir()

    def _is_inside(self, touched: str) -> bool:
        folder, name = os.path.split(touched)
        return self._inside is not None and folder == self._whole and self._inside(name)

    def open(self) -> None:
        with contextlib.suppress(OSError):
            observer = Observer()
            observer.start()
            self._observer = observer
        self.follow()

    def follow(self) -> None:
        """Watch what the path leads through now. Call it after each change."""
        with self._lock:
            if self._observer is not None:
                self._follow(self._observer)

    def _follow(self, observer: BaseObserver) -> None:
        names = names_of(self._path)
        folders = {name.parent for name in names}
        if self._inside is not None:
            self._whole = os.path.realpath(self._path)
            folders.add(Path(self._whole))
        wanted = {folder: identity for folder in folders if (identity := _identity(folder))}
        for folder, (identity, watch) in list(self._armed.items()):
            if wanted.get(folder) != identity or str(folder) in self._gone:
                self._gone.discard(str(folder))
                del self._armed[folder]
                observer.unschedule(watch)
        self._names = frozenset(str(name) for name in names)
        self._folders = frozenset(str(folder) for folder in wanted)
        for folder, identity in wanted.items():
            if folder not in self._armed:
                self._arm(observer, folder, identity)

    def _arm(self, observer: BaseObserver, folder: Path, identity: Identity) -> None:
        with contextlib.suppress(OSError):  # it went away again, or the system has no watches left
            self._armed[folder] = (identity, observer.schedule(self, str(folder), event_filter=_EVENTS))

    def close(self) -> None:
        with self._lock:
            observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()


def _identity(folder: Path) -> Identity | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None
