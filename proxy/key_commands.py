"""``proxy keys``: makes and hashes keys of clients, and hears the management key. None is ever taken from the command
line, which others can see.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from management.key_ring import is_hashed, matches
from management.sieve import Sieve, SieveFile
from proxy.accounts.doctor_command import Open
from proxy.config.client_keys import hash_of, key_name, new_key
from proxy.server.access import weakness


def keys_group(open_all: Open) -> click.Group:
    group = click.Group("keys", help="Make keys for clients, hash them for config.yaml; prove the management key.")

    @group.command("new")
    @click.argument("name", default="")
    def new(name: str) -> None:
        """Make a random key, show it once, and print the entry with its hash for api-keys."""
        fault = key_name(name)
        if fault:
            raise click.ClickException(f"the name {fault}")
        key = new_key()
        click.echo("For the client; it is kept nowhere:", err=True)
        click.echo(key)
        click.echo("\nFor config.yaml, under api-keys:", err=True)
        click.echo(_entry(key, name))

    @group.command("hash")
    @click.argument("name", default="")
    def hashed(name: str) -> None:
        """Read a key, from a prompt or standard input, and print the entry with its hash for api-keys."""
        key = _said("Key")
        if fault := weakness(key):
            raise click.ClickException(f"this is no good key: {fault}")
        if fault := key_name(name):
            raise click.ClickException(f"the name {fault}")
        click.echo(_entry(key, name))

    @group.command("prove")
    @click.pass_obj
    def prove(outer: Path | None) -> None:
        """Read the management key, from a prompt or standard input, and note that it is the one: where its hash was
        made elsewhere, no crowd of guessers keeps its first use waiting from then on. A running server sees it at once.
        """
        where, loaded, desk = open_all(outer)
        stored = loaded.config.remote_management.secret_key.reveal()
        if not is_hashed(stored):
            raise click.ClickException(f"secret-key in {where} is no hash: there is nothing to prove")
        key = _said("Management key")
        if not matches(key, stored):
            raise click.ClickException("that is not the management key")
        faults: list[str] = []
        SieveFile(desk.folder, faults.append).keep(Sieve.of(key, stored))
        if faults:
            raise click.ClickException(faults[0])
        click.echo("it is the management key; noted")

    return group


def _said(what: str) -> str:
    said = click.prompt(what, hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    return str(said).strip()


def _entry(key: str, name: str) -> str:
    lines = [f"- key-hash: {hash_of(key)}"]
    if name:
        quoted = name.replace("'", "''")
        lines.append(f"  name: '{quoted}'")
    return "\n".join(lines)
