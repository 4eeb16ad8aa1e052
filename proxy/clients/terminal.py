"""The commands of `proxy.clients.commands` in a terminal, with its environment and its user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from proxy.clients.base import Client
from proxy.clients.commands import SetupOptions, Talk, Wish, access_to, listed, run, set_up, undo, where
from proxy.clients.reception import offers
from proxy.config.schema import Config

_TERMINAL = Talk(
    tell=lambda line: click.echo(line, err=True),
    ask=lambda question: click.confirm(question, err=True),
)


def run_client(config: Config, client: Client, wish: Wish, arguments: Sequence[str]) -> NoReturn:
    """Raises `ProxyError`."""
    run(client, access_to(config, client, wish), arguments, os.environ, _TERMINAL)


def models(config: Config, wish: Wish) -> str:
    """What the running server offers. Raises `ProxyError`."""
    return listed(offers(*where(config, wish)))


def set_up_client(config: Config, client: Client, options: SetupOptions) -> bool:
    """Whether all went well. Raises `ProxyError`."""
    folder = Path(config.auth_dir).expanduser() / "setup"
    if options.is_undone:
        return undo(client, options, folder, _TERMINAL)
    return set_up(client, access_to(config, client, options.wish), options, os.environ, folder, _TERMINAL)
