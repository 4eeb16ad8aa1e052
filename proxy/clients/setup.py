"""Setting a client up: what would change, changing it with a backup beside, and putting it back."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from auth.atomic import opened, put
from auth.secret import Secret
from proxy.clients.base import KEYLESS, Edit
from proxy.clients.documents import Value, changed, parse, value_at
from proxy.clients.journal import Journal, Touched, digest_of
from proxy.errors import ConfigError

MASK = "•••"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file. `before`: None when there is none; `after`: None when it goes. `like`: whose mode it gets back."""

    path: Path
    before: bytes | None
    after: bytes | None
    like: Path | None = None


def planned(edit: Edit) -> Change:
    """Raises `ConfigError`, with the file and what to put into it by hand."""
    path = Path(os.path.realpath(edit.path))
    before = _read(path)
    try:
        after = changed(edit.format, _decoded(before), edit.values)
    except ConfigError as error:
        wanted = ", ".join(".".join(keys) for keys in edit.values)
        raise ConfigError(f"{path}: {error.message}; set these by hand: {wanted}") from None
    return Change(path=path, before=before, after=after.encode())


def difference(change: Change, keys: Iterable[Secret]) -> str:
    """For the terminal; without the keys. Nothing when nothing changes."""
    hidden = [key.reveal() for key in keys if key and key.reveal() != KEYLESS]
    before, after = (_masked(_decoded(raw), hidden) for raw in (change.before, change.after))
    lines = unified_diff(
        before.splitlines(), after.splitlines(), _name(change.path, change.before), _name(change.path, change.after),
        lineterm="", n=2,
    )  # fmt: skip
    return "\n".join(lines)


def _masked(text: str, hidden: Iterable[str]) -> str:
    for word in hidden:
        text = text.replace(word, MASK)
    return text


def _name(path: Path, raw: bytes | None) -> str:
    return str(path) if raw is not None else f"{path} (no file)"


def apply(edits: Iterable[Edit], journal: Journal, moment: str, key: Secret) -> list[Path]:
    """Writes what differs; gives the backups. `key` stands in the edits and is never shown.

    A second setup keeps the first one's backups: undoing leads back to the start, but for what others have changed in
    between. A file that a key is put into is its owner's alone from then on.
    """
    touched = journal.read()
    backups = []
    for edit in edits:
        change = planned(edit)
        assert change.after is not None
        if change.before == change.after:
            continue
        known = touched.get(str(change.path))
        backup = known.backup if known else None
        if known is None and change.before is not None:
            kept = change.path.with_name(f"{change.path.name}.before-proxy-{moment}")
            write(kept, change.before, like=change.path)
            backup = str(kept)
            backups.append(kept)
        is_ours = known is None or (change.before is not None and digest_of(change.before) == known.digest)
        keys = dict.fromkeys((*(known.keys if known else ()), *edit.values))
        touched[str(change.path)] = Touched(
            path=str(change.path),
            format=edit.format,
            keys=tuple(keys),
            backup=backup,
            digest=digest_of(change.after) if is_ours else "",
            hidden=key.reveal(),
        )
        journal.write(touched)
        write(change.path, change.after, like=change.path, is_private=key.reveal() != KEYLESS)
    return backups


def undone(touched: Touched) -> Change:
    """Byte for byte, where nobody has changed it since; else our values alone go back. Raises `ConfigError`."""
    path = Path(touched.path)
    current = _read(path)
    before = _read(Path(touched.backup)) if touched.backup is not None else None
    if touched.backup is not None and before is None:
        raise ConfigError(f"{path}: its backup {touched.backup} is gone")
    if current is None:
        return Change(path=path, before=None, after=None)
    like = None if touched.backup is None else Path(touched.backup)
    if digest_of(current) == touched.digest:
        return Change(path=path, before=current, after=before, like=like)
    document = parse(touched.format, _decoded(before))
    values: dict[tuple[str, ...], Value] = {keys: value_at(document, keys) for keys in touched.keys}
    after = changed(touched.format, _decoded(current), values)
    is_empty = before is None and not parse(touched.format, after)
    return Change(path=path, before=current, after=None if is_empty else after.encode(), like=like)


def put_back(change: Change) -> None:
    if change.after is None:
        change.path.unlink(missing_ok=True)
    elif change.after != change.before:
        write(change.path, change.after, like=change.like or change.path)


def write(path: Path, raw: bytes, *, like: Path, is_private: bool = False) -> None:
    """As a whole or not at all. `like`: whose mode it has, where that exists; a new file is its owner's alone, and one
    that `is_private` becomes so before it is there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        status = like.stat()
    except FileNotFoundError:
        status = None
    if status is not None and is_private:
        status = os.stat_result((status.st_mode & ~0o077, *status[1:]))
    with opened(path.parent) as folder:
        put(folder, path.name, raw, like=status)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _decoded(raw: bytes | None) -> str:
    """Raises `ConfigError`."""
    try:
        return "" if raw is None else raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("it is no UTF-8") from None
