"""The auth-dir: one JSON file per credential. Every look at it and every change of it passes here.

What the files mean is not known here: `interpret` says it, or why a file means nothing. A file that is torn, invalid or
not to be trusted is in quarantine: it is listed with the reason, and what it said before stays in force. It is never
taken for a logout. Only a file that is gone, in a folder that is there, is a removal.

Beside the files stand folders that are none of the store's business: ``homes/`` (logins of official CLIs), ``logs/``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar

from auth import atomic, guarded
from auth.document import Document, JsonValue
from auth.refusal import Changed, Missing, Refused
from auth.seal import PLAIN, Seal

T = TypeVar("T")

HOMES = "homes"
"""``homes/<id>/``: where an official CLI keeps the login of the account of that id. Only that CLI writes there."""
NEW = ""
"""Expected of a file that is to be made: that there is none."""
_COARSE_SECONDS = 0.1
"""Two writes within a tick of the file system's clock look alike."""

Signature: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[T]):
    """One file. `document` and `value`: its content and what that means, as they were when it was last good; None: they
    never were. What is sealed is open in the document's fields, and sealed in its parts.
    """

    name: str
    digest: str = ""
    """SHA-256 of its bytes as they are now, hex; empty when they cannot be read."""
    document: Document | None = None
    value: T | None = None
    fault: str | None = None
    """Why the file as it is now is not in force; the end of a sentence that begins with its name."""
    remarks: tuple[str, ...] = ()
    """What was mended."""
    signature: Signature | None = field(default=None, compare=False)


Entries: TypeAlias = Mapping[str, Entry[T]]


class Store(Generic[T]):
    """Safe to use from several threads; what it says is as new as the last look."""

    def __init__(self, folder: Path, interpret: Callable[[str, Document], T], seal: Seal = PLAIN) -> None:
        """`interpret`: a file's name and content → what it means. Raises `Refused`."""
        self.folder = folder
        self.seal = seal
        self._interpret = interpret
        self._lock = threading.Lock()
        self.entries: Entries[T] = MappingProxyType({})
        """By name, sorted. Replaced as a whole."""
        self.fault: str | None = None
        """Why the folder cannot be looked into; what was read before stays in force."""
        self.remarks: tuple[str, ...] = ()

    def look(self) -> tuple[Entries[T], Entries[T]]:
        """Compare with the disk, now. What was known before, own changes included, and what is known now."""
        with self._lock:
            before = self.entries
            try:
                with atomic.opened(self.folder) as folder:
                    remark = guarded.check_folder(folder)
                    self.remarks = () if remark is None else (f"{self.folder} {remark}",)
                    names = sorted(os.listdir(folder))  # noqa: PTH208 - of a descriptor, which no Path takes
                    found = [self._entry(folder, name) for name in names if guarded.is_ours(name)]
            except FileNotFoundError:
                self.fault = f"{self.folder} is gone; what was read before stays in force" if before else None
            except OSError as error:
                self.fault = f"{self.folder} cannot be read: {error.strerror}; what was read before stays in force"
            except Refused as error:
                self.fault = f"{self.folder} {error}; what was read before stays in force"
            else:
                self.fault = None
                self.entries = MappingProxyType({entry.name: entry for entry in found if entry is not None})
            return before, self.entries

    def _entry(self, folder: int, name: str) -> Entry[T] | None:
        shown = _printable(name)
        was: Entry[T] = self.entries.get(shown) or Entry(name=shown)
        signature = _signature(folder, name)
        if signature is not None and was.signature == signature:
            return was
        digest = ""
        try:
            found = guarded.read(folder, name)
            digest = _digest(found.raw)
            if digest == was.digest and was.fault is None:
                return replace(was, signature=signature, remarks=found.remarks or was.remarks)
            document = self.seal.opened(Document.parse(found.raw))
            value = self._interpret(name, document)
        except Missing:
            return None
        except Refused as error:
            return replace(was, digest=digest, fault=str(error), remarks=(), signature=signature)
        return Entry(
            name=name, digest=digest, document=document, value=value, remarks=found.remarks, signature=signature
        )

    def put(self, name: str, document: Document, *, expecting: str | None = None) -> Entry[T]:
        """Makes or replaces a file. `expecting`: the digest that it must have now, or `NEW`; None: whatever it is.
        Raises `Refused`, `Changed`; then nothing was written.
        """
        with self._told(name), self._lock, self._writing() as folder:
            return self._put(folder, name, document, expecting)

    def change(self, name: str, edits: Mapping[str, JsonValue], *, expecting: str | None = None) -> Entry[T]:
        """Puts members, or takes out those that are None; all else stays byte for byte. Raises `Refused`, `Missing`,
        `Changed`; then nothing was written.
        """
        with self._told(name), self._lock, self._writing() as folder:
            raw = guarded.read(folder, name).raw
            if expecting is not None and _digest(raw) != expecting:
                raise Changed("was changed by somebody else meanwhile; nothing was written")
            return self._put(folder, name, Document.parse(raw).changed(edits), _digest(raw))

    def delete(self, name: str, *, into: Path | None = None) -> None:
        """`into`: instead it gets this name, in a folder that is none of the store's. Raises `Refused`, `Missing`."""
        with self._told(name), self._lock, self._writing() as folder:
            guarded.check_name(name)
            try:
                _remove(folder, name, into)
            except FileNotFoundError as error:
                raise Missing("is not there") from error
            os.fsync(folder)
            self.entries = MappingProxyType({key: entry for key, entry in self.entries.items() if key != name})

    def _put(self, folder: int, name: str, document: Document, expecting: str | None) -> Entry[T]:
        guarded.check_name(name)
        raw = self.seal.closed(document).render()
        if len(raw) > guarded.BYTES_MAX:
            raise Refused(f"would be larger than {guarded.BYTES_MAX} bytes")
        document = self.seal.opened(Document.parse(raw))
        value = self._interpret(name, document)
        atomic.put(folder, name, raw, check=lambda: _check_expected(folder, name, expecting))
        entry = Entry(name=name, digest=_digest(raw), document=document, value=value)
        self.entries = MappingProxyType(dict(sorted({**self.entries, name: entry}.items())))
        return entry

    @contextlib.contextmanager
    def _writing(self) -> Iterator[int]:
        """The folder, made where there is none, with everybody else's writing held off."""
        self.folder.mkdir(mode=guarded.FOLDER_MODE, parents=True, exist_ok=True)
        with atomic.locked(self.folder) as folder:
            try:
                guarded.check_folder(folder)
            except Refused as error:
                raise Refused(f"is not written: {self.folder} {error}") from error
            atomic.sweep(folder)
            yield folder

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Refusals become whole sentences."""
        try:
            yield
        except Refused as error:
            raise type(error)(f"{name[:220]!r} {error}") from error
        except OSError as error:
            raise Refused(f"{self.folder / name[:220]} cannot be written: {error.strerror}") from error


def _remove(folder: int, name: str, into: Path | None) -> None:
    if into is None:
        os.unlink(name, dir_fd=folder)
        return
    try:
        os.rename(name, into, src_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        into.touch(mode=atomic.FILE_MODE)  # on another disk it cannot be the same file
        os.unlink(name, dir_fd=folder)
    with atomic.opened(into.parent) as there:
        os.fsync(there)


def _check_expected(folder: int, name: str, expecting: str | None) -> None:
    if expecting is None:
        return
    try:
        digest = _digest(guarded.read(folder, name).raw)
    except Missing:
        digest = NEW
    if digest != expecting:
        raise Changed("was changed by somebody else meanwhile; nothing was written")


def _printable(name: str) -> str:
    """A name that is refused is shown all the same, in the log and in JSON."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else ascii(text)


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _signature(folder: int, name: str) -> Signature | None:
    """The same as long as the file is; None where that cannot be told from outside."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    if time.time() - found.st_ctime < _COARSE_SECONDS:
        return None
    return (
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_nlink,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def signature_of(folder: Path) -> frozenset[tuple[str, Signature]]:
    """Differs when there is something to look at. Cheap: nothing is read."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(_state(entry) for entry in entries if guarded.is_ours(entry.name))
    except OSError:
        return frozenset()


def _state(entry: os.DirEntry[str]) -> tuple[str, Signature]:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return entry.name, ()
    return entry.name, (found.st_ino, found.st_mode, found.st_uid, found.st_nlink, found.st_size, found.st_mtime_ns)


def is_whole(folder: Path) -> bool:
    """Whether nobody is half-way through writing, as far as that can be seen."""
    try:
        with os.scandir(folder) as entries:
            return all(
                entry.stat(follow_symlinks=False).st_size > 0 for entry in entries if guarded.is_ours(entry.name)
            )
    except OSError:
        return False
