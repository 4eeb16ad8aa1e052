"""Getting a native CLI without npm: the one package that holds its program, from the person's registry, checked against
the hash of the lock that npm would have checked it against.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import tarfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import aiohttp
import msgspec

BYTES_MAX = 1024**3
SILENCE_SECONDS_MAX = 60.0
_VARIABLES = ("npm_config_registry", "NPM_CONFIG_REGISTRY")
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


class NotFetched(Exception):
    """The end of a sentence that begins with the CLI's name."""


class Locked(msgspec.Struct):
    """A package, as a lock pins it. `name`: where it is not called as the folder that it is put into."""

    version: str
    integrity: str
    name: str = ""


class _Lock(msgspec.Struct):
    packages: dict[str, dict[str, object]]


def locked(cli: str, package: str) -> Locked | None:
    """`package`: below ``node_modules``. None: the lock has none for this platform."""
    raw = (resources.files("auth.cli.pins") / f"{cli}.package-lock.json").read_bytes()
    found = msgspec.json.decode(raw, type=_Lock).packages.get(f"node_modules/{package}")
    return None if found is None else msgspec.convert(found, Locked)


def registry_of(ours: Mapping[str, str]) -> str:
    """As npm would find it: in the environment, or in the person's ``.npmrc``. Empty: nobody has named one."""
    for name in _VARIABLES:
        if named := ours.get(name):
            return named.rstrip("/")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in (Path(ours.get("HOME", "/nonexistent")) / ".npmrc").read_text().splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "registry":
                return value.strip().strip("\"'").rstrip("/")
    return ""


async def fetch(package: str, pin: Locked, modules: Path, *, registry: str, ours: Mapping[str, str]) -> None:
    """Into ``modules/package``. Raises `NotFetched`; then nothing of it is there."""
    name = pin.name or package
    address = f"{registry}/{name}/-/{name.rpartition('/')[2]}-{pin.version}.tgz"
    archive = modules / "package.tgz"
    modules.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - once, before anything is waited for
    try:
        digest = await _download(address, archive, ours)
        wanted = base64.b64decode(pin.integrity.removeprefix("sha512-"))
        if not hmac.compare_digest(digest, wanted):
            raise NotFetched(f"is not what was pinned: {address} has another SHA-512; nothing was changed")
        await asyncio.to_thread(_unpack, archive, modules / package)
    finally:
        archive.unlink(missing_ok=True)


async def _download(address: str, archive: Path, ours: Mapping[str, str]) -> bytes:
    """Its SHA-512."""
    digest, size = hashlib.sha512(), 0
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_SECONDS_MAX, sock_read=SILENCE_SECONDS_MAX)
    proxy = next((value for each in _PROXIES if (value := ours.get(each))), None)
    is_near = address.startswith(("http://127.0.0.1:", "http://localhost:"))
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(address, proxy=None if is_near else proxy) as response,
        ):
            if response.status != 200:
                raise NotFetched(f"is not to be had: {address} answers {response.status}")
            with archive.open("wb") as file:
                async for piece in response.content.iter_chunked(1 << 20):
                    size += len(piece)
                    if size > BYTES_MAX:
                        raise NotFetched(f"is not to be had: {address} has no end")
                    digest.update(piece)
                    file.write(piece)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NotFetched(f"is not to be had: {address}: {str(error) or type(error).__name__}") from None
    return digest.digest()


def _unpack(archive: Path, place: Path) -> None:
    """An archive holds one folder. What would lead out of it is refused."""
    try:
        with tarfile.open(archive) as opened:
            opened.extractall(place, filter=_inner)  # noqa: S202 - by the filter, and by its hash
    except (tarfile.TarError, OSError) as error:
        raise NotFetched(f"cannot be unpacked: {error}") from error


def _inner(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo | None:
    _, _, inner = member.name.partition("/")
    return tarfile.data_filter(member.replace(name=inner), place) if inner else None
