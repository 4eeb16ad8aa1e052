"""``proxy accounts seal`` and ``unseal``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from auth.refusal import Refused
from auth.seal import VARIABLE, Seal, new_key, of_environment
from proxy.accounts import sealing
from proxy.accounts.desk import Desk

_HINT = f"set {VARIABLE} (proxy accounts seal --new-key prints one), here and where the server runs"


def seal_command() -> click.Command:
    @click.command("seal")
    @click.option("--new-key", "is_new", is_flag=True, help="Print a new key, and do nothing.")
    @click.pass_obj
    def seal(desk: Desk, is_new: bool) -> None:
        """Seal the secrets in the accounts' files with the key in PROXY_SEAL_KEY. What is written later is sealed, too.

        Logins of official CLIs cannot be sealed: their CLIs read them.
        """
        if is_new:
            click.echo(new_key())
            return
        if not of_environment(os.environ).is_on:
            raise click.ClickException(f"there is no key: {_HINT}")
        _run(desk, sealing.seal)

    return seal


def unseal_command() -> click.Command:
    @click.command("unseal")
    @click.pass_obj
    def unseal(desk: Desk) -> None:
        """Put the secrets back in plain text, with the key in PROXY_SEAL_KEY. Take the key away afterwards."""
        _run(desk, sealing.unseal)

    return unseal


def _run(desk: Desk, act: Callable[[Path, Seal], Iterator[tuple[str, str]]]) -> None:
    try:
        for name, what in act(desk.folder, of_environment(os.environ)):
            click.echo(f"{name}: {what}")
    except Refused as error:
        raise click.ClickException(str(error)) from error
