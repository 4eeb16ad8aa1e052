"""Where a server's files are, where its log goes, and who may reach it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from auth.credential import Credential
from auth.secret import Secret
from proxy.config.schema import Config
from proxy.errors import ConfigError
from proxy.observe.database import Database, Unfit
from proxy.observe.log_file import LogFile
from proxy.observe.postgres import PostgresDatabase
from proxy.server.access import is_loopback

SECRET_CHARACTERS_MIN = 8
"""Shorter words stand in too many texts to be hidden in all of them."""


def auth_folder(config: Config) -> Path:
    return Path(config.auth_dir).expanduser().absolute()


def logs_folder(config: Config) -> Path:
    return auth_folder(config) / "logs"


def usage_place(config: Config) -> Path | Database:
    """Raises `ConfigError`."""
    if not config.usage_database:
        return auth_folder(config) / "state" / "usage.sqlite"
    try:
        return PostgresDatabase(Secret(config.usage_database))
    except Unfit as error:
        raise ConfigError(f"usage-database: {error}") from error


def log_stream(config: Config, *, bytes_total: Callable[[], int] = lambda: 0) -> BinaryIO:
    """`bytes_total`: see `LogFile`. Raises `ConfigError`."""
    if not config.logging_to_file:
        return sys.stderr.buffer
    path = logs_folder(config) / "proxy.log"
    try:
        return cast("BinaryIO", LogFile(path, bytes_total=bytes_total))
    except OSError as error:
        raise ConfigError(f"logging-to-file: {path}: {error.strerror}") from error


def is_json(config: Config) -> bool:
    if config.log_format != "auto":
        return config.log_format == "json"
    return config.logging_to_file or not sys.stderr.isatty()


def secrets_beside(config: Config, credentials: Iterable[Credential]) -> Iterator[Secret]:
    """What is no key, and may hold one all the same: headers, addresses with a password or a token in them."""
    addresses = [config.proxy_url, config.usage_database, *(webhook.url for webhook in config.webhooks)]
    for credential in credentials:
        addresses.append(credential.proxy_url or "")
        yield from (Secret(value) for value in credential.headers.values() if len(value) >= SECRET_CHARACTERS_MIN)
    yield from (webhook.secret for webhook in config.webhooks)
    for address in addresses:
        yield from (Secret(word) for word in _words(address) if len(word) >= SECRET_CHARACTERS_MIN)


def _words(address: str) -> Iterator[str]:
    parts = urlsplit(address)
    yield from (word for word in (parts.password or "", unquote(parts.password or "")) if word)
    for pair in parts.query.split("&"):
        word = pair.partition("=")[2]
        yield from (word, unquote(word))


def check_exposure(config: Config) -> None:
    """Raises `ConfigError`: beyond this machine keys are needed, or anybody who finds it may use the accounts."""
    if config.api_keys or config.api_keys_file or config.host == "localhost" or is_loopback(config.host):
        return
    raise ConfigError(
        f"host: {config.host or 'all addresses'} is reachable from other machines, and api-keys is empty: "
        "add a key for your clients, or listen on 127.0.0.1"
    )
