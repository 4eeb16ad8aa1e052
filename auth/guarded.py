"""Reading a file of the auth-dir without trusting anything about it: its name, its kind, its owner, its size."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from auth.atomic import FILE_MODE
from auth.refusal import Missing, Refused

BYTES_MAX = 1024 * 1024
FOLDER_MODE = 0o700
SUFFIX = ".json"
_NAME = re.compile(r"[A-Za-z0-9@_+-][A-Za-z0-9@._+-]{0,199}\.json", re.ASCII)
_OTHERS = 0o077
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""Not following a symlink, and not waiting for the writer of a FIFO."""
_KINDS = (
    (stat.S_ISLNK, "is a symbolic link: put the file itself here"),
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISCHR, "is a device"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """`remarks`: what was mended, as ends of sentences that begin with the file's name."""

    raw: bytes
    remarks: tuple[str, ...] = ()


def check_name(name: str) -> None:
    """Raises `Refused`: names come from clients of the management API and from whoever can write into the folder."""
    if not _NAME.fullmatch(name):
        raise Refused(
            "is no name of an account's file: at most 200 letters, digits and @ . _ + -, then .json, no dot first"
        )


def is_ours(name: str) -> bool:
    """Whether a directory entry is meant as an account, good name or not. Hidden ones are unfinished writes."""
    return name.lower().endswith(SUFFIX) and not name.startswith(".")


def check_folder(descriptor: int) -> str | None:
    """What was mended. Raises `Refused` when others may change what is in it."""
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        raise Refused(f"belongs to another user (uid {found.st_uid}, not {os.geteuid()})")
    if not found.st_mode & _OTHERS:
        return None
    return _tightened(descriptor, found, FOLDER_MODE)


def read(folder: int, name: str) -> Found:
    """Raises `Refused`, `Missing`. What is checked is what is read: one descriptor, opened once."""
    check_name(name)
    try:
        descriptor = os.open(name, _READ_FLAGS, dir_fd=folder)
    except FileNotFoundError as error:
        raise Missing("is not there") from error
    except OSError as error:
        raise Refused(_kind(folder, name) or f"cannot be read: {error.strerror}") from error
    try:
        return _read(descriptor)
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Found:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise Refused(_kind_of(found.st_mode) or "is no regular file")
    if found.st_uid != os.geteuid():
        raise Refused(f"belongs to another user (uid {found.st_uid}, not {os.geteuid()})")
    if found.st_nlink == 0:
        raise Missing("is not there")
    if found.st_nlink > 1:
        raise Refused(f"has {found.st_nlink} names (hard links): copy it instead")
    if found.st_size > BYTES_MAX:
        raise Refused(f"is larger than {BYTES_MAX} bytes")
    remark = _tightened(descriptor, found, FILE_MODE) if found.st_mode & _OTHERS else None
    raw = _bytes(descriptor)
    return Found(raw, () if remark is None else (remark,))


def _bytes(descriptor: int) -> bytes:
    """It may grow while it is read: no more than the limit is taken."""
    pieces, left = [], BYTES_MAX + 1
    while left > 0 and (piece := os.read(descriptor, left)):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise Refused(f"is larger than {BYTES_MAX} bytes")
    return b"".join(pieces)


def _tightened(descriptor: int, found: os.stat_result, mode: int) -> str:
    before = stat.S_IMODE(found.st_mode)
    try:
        os.fchmod(descriptor, mode)
    except OSError as error:
        raise Refused(
            f"is open to other users (mode {before:04o}), and that cannot be changed: {error.strerror}"
        ) from error
    return f"was open to other users (mode {before:04o}); now it is {mode:04o}"


def _kind(folder: int, name: str) -> str | None:
    try:
        return _kind_of(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return None


def _kind_of(mode: int) -> str | None:
    return next((words for is_such, words in _KINDS if is_such(mode)), None)
