"""The homes: the private folders in which official CLIs keep one login each. Only the CLI writes the login."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from auth import atomic, guarded
from auth.refusal import LoginNeeded, Refused
from auth.store import HOMES

_NAME = re.compile(r"[a-z][a-z0-9-]{2,60}-[0-9a-f]{12}", re.ASCII)


def is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


class Busy(Refused):
    """Another process has the home."""


class Homes:
    """A home is never renamed: a CLI may keep its secrets in the system's keychain under the path of its home. A login
    that is renewed gets a new home, the account's file changes over to it at one instant, and the old one is removed.
    """

    def __init__(self, data: Path) -> None:
        """`data`: the auth-dir. Nothing is made yet."""
        self._data = data
        self._folder = data / HOMES

    @property
    def folder(self) -> Path:
        return self._folder

    def new_name(self, kind: str) -> str:
        name = f"{kind}-{secrets.token_hex(6)}"
        assert is_name(name)
        return name

    def make(self, kind: str, name: str = "") -> Path:
        """A new one, empty, 0700. `name`: a new one, too. Raises `Refused`, with a whole sentence."""
        name = name or self.new_name(kind)
        try:
            self._data.mkdir(mode=guarded.FOLDER_MODE, parents=True, exist_ok=True)
            self._folder.mkdir(mode=guarded.FOLDER_MODE, exist_ok=True)
            for folder in (self._data, self._folder):
                with atomic.opened(folder) as descriptor:
                    guarded.check_folder(descriptor)
            (self._folder / name).mkdir(mode=guarded.FOLDER_MODE)
        except Refused as error:
            raise Refused(f"{self._folder} {error}") from error
        except OSError as error:
            raise Refused(f"{self._folder} cannot be used: {error.strerror}") from error
        return self._folder / name

    def path_of(self, name: str) -> Path:
        """Of a home that is there. Raises `LoginNeeded`, with a whole sentence."""
        path = self._folder / name
        if not is_name(name) or path.is_symlink() or not path.is_dir():
            raise LoginNeeded(f"there is no login in {self._folder / name[:80]}; log in again")
        return path

    def is_named(self, name: str) -> bool:
        """Whether an account's file speaks of it, also one that is refused. One that cannot be read may."""
        return any(_speaks_of(path, name.encode()) for path in self._data.iterdir() if guarded.is_ours(path.name))

    def strays(self) -> list[str]:
        """Those that no account's file speaks of, and no process has."""
        found = []
        with contextlib.suppress(OSError):
            for path in sorted(self._folder.iterdir()):
                if is_name(path.name) and path.is_dir() and not path.is_symlink() and not self.is_named(path.name):
                    with contextlib.suppress(Refused), self.owned(path.name):
                        found.append(path.name)
        return found

    def are_told(self) -> bool:
        """Whether each account's file can be read: one that is torn may be about to speak of any home."""
        return all(_is_whole(path) for path in self._data.iterdir() if guarded.is_ours(path.name))

    def remove(self, name: str) -> None:
        """What is not there is no fault. Raises `Refused` where something is left."""
        path = self._folder / name
        if not is_name(name) or path.is_symlink():
            raise Refused(f"{name[:80]!r} is no name of a home")
        if not path.exists():
            return
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise Refused(f"{path} cannot be removed: {error.strerror}") from error

    @contextlib.contextmanager
    def owned(self, name: str) -> Iterator[Path]:
        """One owner at a time, in all processes. Raises `Busy`; `Refused` where there is no home."""
        path = self.path_of(name)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield path
        except BlockingIOError as error:
            raise Busy(f"another process is using the login in {path}; try again in a moment") from error
        finally:
            os.close(descriptor)


def _speaks_of(path: Path, name: bytes) -> bool:
    try:
        raw = _content(path)
    except OSError:
        return True
    return raw is not None and (name in raw or len(raw) > guarded.BYTES_MAX)


def _is_whole(path: Path) -> bool:
    try:
        raw = _content(path)
        return raw is None or isinstance(msgspec.json.decode(raw), dict)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False


def _content(path: Path) -> bytes | None:
    """None: no account. What is no file is none, and a pipe might never end. Raises `OSError`."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            return file.read(guarded.BYTES_MAX + 1)
    except FileNotFoundError:
        return None
