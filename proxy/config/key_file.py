"""A file of client keys: one a line, ``#`` for comments, and before a key its name, where it has one.

::

    # the team
    sk-3f9c…
    laptop: sk-77aa…             # a name, a colon, a blank
    ci: sha256:8b4fc96f…         or the key's hash
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from auth.secret import Secret
from proxy.config import checks
from proxy.config.client_keys import HASH_PREFIX, ClientKey, key_hash, key_name
from proxy.config.complaints import Complaints
from proxy.config.load import digest_of, read, text_of
from proxy.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """What stood in the file when it was read. `digest`: SHA-256 of its bytes, hex."""

    keys: tuple[ClientKey, ...]
    digest: str
    warning: str | None = None


def read_keys(path: Path) -> KeyFile:
    """Raises `ConfigError` with every complaint, each with file:line, but never a key."""
    raw = read(path)
    if raw is None:
        raise ConfigError(f"{path}: there is no such file")
    mode = stat.S_IMODE(path.stat().st_mode)
    warning = f"{path}: can be read by others (mode {mode:03o}); chmod 600 it" if mode & 0o077 else None
    return KeyFile(keys=parse_keys(raw, name=str(path)), digest=digest_of(raw), warning=warning)


def parse_keys(raw: bytes, *, name: str) -> tuple[ClientKey, ...]:
    """Raises `ConfigError`."""
    complaints = Complaints(name)
    keys: list[ClientKey] = []
    for number, line in enumerate(text_of(raw, name).splitlines(), 1):
        content = line.partition(" #")[0].partition("\t#")[0].strip()
        if not content or content.startswith("#"):
            continue
        try:
            key = _key(content)
        except ValueError as error:
            complaints.add(number, str(error))
            continue
        if any(key.hash == each.hash for each in keys):
            complaints.add(number, "this key stands there twice")
        elif key.name and any(key.name == each.name for each in keys):
            complaints.add(number, f"several keys are named {key.name}; each needs its own name")
        keys.append(key)
    complaints.raise_if_any()
    return tuple(keys)


def _key(content: str) -> ClientKey:
    """Raises ValueError."""
    name, colon, text = f"{content} ".partition(": ")
    name, text = (name.strip(), text.strip()) if colon else ("", content)
    is_hash = text.startswith(HASH_PREFIX)
    for what, fault in (
        ("hash" if is_hash else "key", key_hash(text) if is_hash else checks.api_key(Secret(text))),
        ("name", key_name(name)),
    ):
        if fault:
            raise ValueError(f"the {what} {fault}")
    return ClientKey(key_hash=text, name=name) if is_hash else ClientKey(api_key=Secret(text), name=name)
