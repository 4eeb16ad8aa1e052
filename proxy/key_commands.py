"""``proxy keys``: makes and hashes keys of clients. None is ever taken from the command line, which others can see."""

from __future__ import annotations

import sys

import click

from proxy.config.client_keys import hash_of, key_name, new_key
from proxy.server.access import weakness


def keys_group() -> click.Group:
    group = click.Group("keys", help="Make keys for clients, and hash them for config.yaml.")

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
        said = click.prompt("Key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
        key = said.strip()
        if fault := weakness(key):
            raise click.ClickException(f"this is no good key: {fault}")
        if fault := key_name(name):
            raise click.ClickException(f"the name {fault}")
        click.echo(_entry(key, name))

    return group


def _entry(key: str, name: str) -> str:
    lines = [f"- key-hash: {hash_of(key)}"]
    if name:
        quoted = name.replace("'", "''")
        lines.append(f"  name: '{quoted}'")
    return "\n".join(lines)
