"""Which guesses at the management key can be right at all, known at once: bcrypt takes a quarter of a second for each.

Once the key has proved right, ten bits of its HMAC are kept in ``auth-dir/state/management-key.json`` (0600), by a salt
of this installation. Of a thousand wrong guesses one has the same ten bits and is weighed by bcrypt; the right key has
them always, and passes a crowd that this process has seen before it. The bits let nobody in. Why ten, and not all:
docs/decisions/2026-11-20-management-key.md.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from auth import atomic

FOLDER, NAME = "state", "management-key.json"
BITS = 10
BYTES_MAX = 4096
_SALT_BYTES = 32
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Sieve(msgspec.Struct, frozen=True, kw_only=True):
    """`bits`: of the key that `stored` is the hash of, where `mark` says that they are."""

    salt: bytes
    bits: int
    mark: bytes

    @classmethod
    def of(cls, key: str, stored: str) -> Sieve:
        salt = secrets.token_bytes(_SALT_BYTES)
        bits = _bits(salt, key)
        return cls(salt=salt, bits=bits, mark=_mark(salt, bits, stored))

    def is_of(self, stored: str) -> bool:
        return hmac.compare_digest(self.mark, _mark(self.salt, self.bits, stored))

    def lets_pass(self, key: str) -> bool:
        return _bits(self.salt, key) == self.bits


def _bits(salt: bytes, key: str) -> int:
    digest = hmac.digest(salt, b"key\0" + key.encode("utf-8", "surrogatepass"), "sha256")
    return int.from_bytes(digest[:4], "big") >> (32 - BITS)


def _mark(salt: bytes, bits: int, stored: str) -> bytes:
    """Of another hash, or damaged, the bits would keep the right key out."""
    return hmac.digest(salt, f"hash\0{bits}\0{stored}".encode(), "sha256")


class SieveFile:
    """`tell`: gets a sentence about what went wrong, each once: the file is looked at again and again. A failing disk
    costs the owner his place in a crowd, no more.
    """

    def __init__(self, auth_dir: Path, tell: Callable[[str], object]) -> None:
        self.path = auth_dir / FOLDER / NAME
        self._to = tell
        self._told: set[str] = set()

    def read(self) -> Sieve | None:
        try:
            with open(os.open(self.path, _READ_FLAGS), "rb") as file:  # noqa: PTH123 - it is open already
                return msgspec.json.decode(file.read(BYTES_MAX), type=Sieve)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._tell(f"{self.path} is ignored: {error.strerror}")
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._tell(f"{self.path} is ignored: it is damaged")
        return None

    def keep(self, sieve: Sieve) -> None:
        """Blocks."""
        try:
            atomic.replace(self.path, msgspec.json.encode(sieve))
        except OSError as error:
            self._tell(f"{self.path} cannot be written: {error.strerror}")

    def _tell(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            self._to(why)
