"""Where a server's files are, and where its log goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO, cast

from auth.secret import Secret
from proxy.config.schema import Config
from proxy.errors import ConfigError
from proxy.observe.database import Database, Unfit
from proxy.observe.log_file import LogFile
from proxy.observe.postgres import PostgresDatabase


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


def log_stream(config: Config) -> BinaryIO:
    """Raises `ConfigError`."""
    if not config.logging_to_file:
        return sys.stderr.buffer
    path = logs_folder(config) / "proxy.log"
    try:
        return cast("BinaryIO", LogFile(path))
    except OSError as error:
        raise ConfigError(f"logging-to-file: {path}: {error.strerror}") from error


def is_json(config: Config) -> bool:
    if config.log_format != "auto":
        return config.log_format == "json"
    return config.logging_to_file or not sys.stderr.isatty()
