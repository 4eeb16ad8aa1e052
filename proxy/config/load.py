"""YAML → Config, or every complaint at once, each with file:line."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from proxy.config.complaints import Complaints
from proxy.config.nodes import Node, Scalar, compose
from proxy.config.reader import Reader
from proxy.config.schema import Config
from proxy.errors import ConfigError

BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A config and what is known of its file. `warnings`: lines like complaints, of keys that are ignored.

    `digest`: SHA-256 of the file's bytes, hex. A missing file has the digest of an empty one.
    """

    config: Config
    warnings: tuple[str, ...]
    digest: str
    raw: bytes = field(default=b"", repr=False)


def digest_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def load(path: Path, *, is_optional: bool = False) -> Loaded:
    """Raises `ConfigError`. `is_optional`: a missing file stands for the defaults."""
    raw = read(path)
    if raw is None:
        if not is_optional:
            raise ConfigError(f"{path}: there is no such file")
        raw = b""
    return parse(raw, name=str(path))


def read(path: Path) -> bytes | None:
    """The file's bytes, None when there is no file. Raises `ConfigError` when it is none that can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a FIFO would wait for its writer
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        folder = "is a folder; a container mount of a file that does not exist makes one"
        raise ConfigError(f"{path}: {folder if stat.S_ISDIR(mode) else 'is no regular file'}")
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read(BYTES_MAX + 1)
    if len(raw) > BYTES_MAX:
        raise ConfigError(f"{path}: is larger than {BYTES_MAX} bytes")
    return raw


def text_of(raw: bytes, name: str) -> str:
    """Raises `ConfigError` when it is no UTF-8."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: is no UTF-8") from error


def parse(raw: bytes, *, name: str = "config.yaml") -> Loaded:
    """`name`: what complaints call the file. Raises `ConfigError`."""
    complaints = Complaints(name)
    root = compose(text_of(raw, name), complaints)
    # A tree with an alias or a key written twice is not what was meant: judging its settings would mislead.
    complaints.raise_if_any()
    config = _config(root, complaints)
    complaints.raise_if_any()
    return Loaded(config=config, warnings=complaints.warnings(), digest=digest_of(raw), raw=raw)


def _config(root: Node | None, complaints: Complaints) -> Config:
    if root is None or (isinstance(root, Scalar) and root.is_null):
        return Config()
    return Reader(complaints).config(root)
