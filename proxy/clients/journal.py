"""What a setup changed: kept per client, so that it can be undone whatever has happened to the files since."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec

from auth.atomic import opened, put
from proxy.clients.base import Format, Keys
from proxy.errors import ConfigError


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `backup`: where it is as it was; None: there was none. `digest`: of what we wrote; empty
    when somebody else had written meanwhile.
    """

    path: str
    format: Format
    keys: tuple[Keys, ...]
    backup: str | None
    digest: str
    hidden: str = ""
    """The key that stands in the file, so that it is not shown."""


class Journal:
    """One file in `folder` for each client; only its owner can read it."""

    def __init__(self, folder: Path, client: str) -> None:
        self._folder = folder
        self._name = f"{client}.json"

    def read(self) -> dict[str, Touched]:
        """By path. Raises `ConfigError`."""
        try:
            raw = (self._folder / self._name).read_bytes()
            return {each.path: each for each in msgspec.json.decode(raw, type=list[Touched])}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._folder / self._name} cannot be read: {error}") from None

    def write(self, touched: dict[str, Touched]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with opened(self._folder) as folder:
            put(folder, self._name, msgspec.json.encode(list(touched.values())))

    def remove(self) -> None:
        (self._folder / self._name).unlink(missing_ok=True)


def digest_of(raw: bytes) -> str:
    return sha256(raw).hexdigest()
