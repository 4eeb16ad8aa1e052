"""The whole state as one encrypted file: to move to another machine, or to lie in a backup that others can read.

``PROXY-BUNDLE-1``, a salt, a nonce, and AES-256-GCM over the compressed files, by a key that scrypt makes of a
passphrase. Nothing of it can be read or changed without the passphrase; a wrong one and a damaged file look the same.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from auth import aesgcm, atomic, guarded
from auth.homes import is_name
from auth.refusal import Refused
from auth.secret import Secret
from auth.store import HOMES

MAGIC = b"PROXY-BUNDLE-1\n"
PASSPHRASE_CHARACTERS_MIN = 12
FILE_BYTES_MAX = 8 * 1024 * 1024
"""Of one file of a home: what is larger is some log or cache of the CLI's."""
BYTES_MAX = 256 * 1024 * 1024
"""Of all files together."""
BESIDE = ("prices.yaml",)
"""Files of the auth-dir that are no accounts, and go with them."""
_SALT, _NONCE = 16, 12
_COST, _BLOCK = 2**15, 8
_MEMORY_MAX = 128 * 1024 * 1024

Outcome: TypeAlias = Literal["added", "replaced", "unchanged", "kept", "refused"]
Files: TypeAlias = Mapping[str, bytes]
"""By path, relative to the auth-dir, with ``/``."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of a file, or of a whole home."""

    path: str
    outcome: Outcome
    why: str = ""


def check_passphrase(passphrase: Secret) -> None:
    """Raises `Refused`."""
    if len(passphrase.reveal()) < PASSPHRASE_CHARACTERS_MIN:
        raise Refused(f"the passphrase needs {PASSPHRASE_CHARACTERS_MIN} characters: all logins and keys lie behind it")


def pack(passphrase: Secret, files: Files) -> bytes:
    """Takes a tenth of a second, on purpose. Raises `Refused`."""
    check_passphrase(passphrase)
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    plain = zlib.compress(msgspec.msgpack.encode(dict(files)), 6)
    return MAGIC + salt + nonce + aesgcm.sealed(_key(passphrase, salt), nonce, plain, MAGIC + salt)


def unpack(passphrase: Secret, raw: bytes) -> dict[str, bytes]:
    """Raises `Refused`."""
    if not raw.startswith(MAGIC):
        raise Refused("this is no bundle, or one of a later version")
    body = raw[len(MAGIC) :]
    salt, nonce, sealed = body[:_SALT], body[_SALT : _SALT + _NONCE], body[_SALT + _NONCE :]
    try:
        plain = aesgcm.opened(_key(passphrase, salt), nonce, sealed, MAGIC + salt)
    except ValueError:
        raise Refused("the passphrase is wrong, or the bundle is damaged") from None
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(plain, BYTES_MAX + 1)
    if len(found) > BYTES_MAX or unpacking.unconsumed_tail:
        raise Refused(f"the bundle holds more than {BYTES_MAX} bytes")
    return msgspec.msgpack.decode(found, type=dict[str, bytes])


def _key(passphrase: Secret, salt: bytes) -> bytes:
    word = passphrase.reveal().encode("utf-8", "surrogatepass")
    return hashlib.scrypt(word, salt=salt, n=_COST, r=_BLOCK, p=1, maxmem=_MEMORY_MAX, dklen=32)


def gathered(folder: Path) -> dict[str, bytes]:
    """The accounts' files, the homes, and what else is part of the state. Raises `Refused`."""
    found: dict[str, bytes] = {}
    size = 0
    for path in _paths(folder):
        raw = _read(path)
        if raw is None:
            continue
        size += len(raw)
        if size > BYTES_MAX:
            raise Refused(f"the auth-dir holds more than {BYTES_MAX} bytes of accounts and logins")
        found[path.relative_to(folder).as_posix()] = raw
    return found


def _paths(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.glob("*.json") if guarded.is_ours(path.name))
    yield from (folder / name for name in BESIDE)
    for home in sorted((folder / HOMES).glob("*")):
        if is_name(home.name) and not home.is_symlink():
            yield from sorted(home.rglob("*"))


def _read(path: Path) -> bytes | None:
    """None: no plain file, too large, or gone meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > FILE_BYTES_MAX:
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


def restore(folder: Path, files: Files, *, is_replacing: bool) -> Iterator[Restored]:
    """First the homes, then the accounts that point to them. What is there and differs stays, unless `is_replacing`; a
    home that is there always stays: another process may be refreshing its login.
    """
    folder.mkdir(mode=guarded.FOLDER_MODE, parents=True, exist_ok=True)
    homes: dict[str, dict[str, bytes]] = {}
    for path, raw in files.items():
        parts = path.split("/")
        if len(parts) > 2 and parts[0] == HOMES and is_name(parts[1]) and _is_safe(parts):
            homes.setdefault(parts[1], {})["/".join(parts[2:])] = raw
        elif len(parts) != 1 or not _is_safe(parts):
            yield Restored(path, "refused", "such a path leads elsewhere")
    for name, inside in homes.items():
        yield _restored_home(folder, name, inside)
    with atomic.locked(folder) as descriptor:
        for path, raw in files.items():
            if "/" not in path and _is_safe([path]):
                yield _restored_file(descriptor, path, raw, is_replacing=is_replacing)


def _is_safe(parts: list[str]) -> bool:
    return all(part not in {"", ".", ".."} and "\0" not in part and "\\" not in part for part in parts)


def _restored_file(folder: int, name: str, raw: bytes, *, is_replacing: bool) -> Restored:
    try:
        if name not in BESIDE:
            guarded.check_name(name)
        there = _there(folder, name)
        if there == raw:
            return Restored(name, "unchanged")
        if there is not None and not is_replacing:
            return Restored(name, "kept", "another one of this name is there already")
        atomic.put(folder, name, raw)
    except Refused as error:
        return Restored(name, "refused", str(error))
    except OSError as error:
        return Restored(name, "refused", error.strerror or "cannot be written")
    return Restored(name, "added" if there is None else "replaced")


def _there(folder: int, name: str) -> bytes | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


def _restored_home(folder: Path, name: str, inside: Files) -> Restored:
    """Written beside, and given its name when it is whole."""
    place = folder / HOMES / name
    if place.exists() or place.is_symlink():
        return Restored(f"{HOMES}/{name}", "kept", "a login is there already")
    scratch = folder / HOMES / f".{name}.{secrets.token_hex(4)}"
    try:
        scratch.mkdir(mode=guarded.FOLDER_MODE, parents=True)
        for path, raw in inside.items():
            target = scratch / path
            target.parent.mkdir(mode=guarded.FOLDER_MODE, parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, atomic.FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(descriptor)
        scratch.rename(place)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        return Restored(f"{HOMES}/{name}", "refused", error.strerror or "cannot be written")
    return Restored(f"{HOMES}/{name}", "added")
