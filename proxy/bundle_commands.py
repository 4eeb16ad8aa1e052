"""``proxy bundle export`` and ``proxy bundle import``: the whole state as one encrypted file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import click

from auth import atomic
from auth.bundle import check_passphrase, gathered, pack, restore, unpack
from auth.refusal import Refused
from auth.secret import Secret
from proxy.accounts.desk import CONFIG_FILE, Desk
from proxy.config.load import read

OpenDesk: TypeAlias = Callable[[Path | None], Desk]
VARIABLE = "PROXY_BUNDLE_PASSPHRASE"


def bundle_group(open_desk: OpenDesk) -> click.Group:
    @click.group("bundle")
    def group() -> None:
        """The whole state as one encrypted file: to move it, or to back it up."""

    @group.command("export")
    @click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
    @click.pass_context
    def export(context: click.Context, file: Path) -> None:
        """Write accounts, logins, prices and configuration to FILE, encrypted with a passphrase."""
        desk = open_desk(context.obj)
        with _told():
            files = gathered(desk.folder)
            config = read(context.obj or Path(CONFIG_FILE))
            if config is not None:
                files[CONFIG_FILE] = config
            raw = pack(_passphrase(is_new=True), files)
            with atomic.opened(file.absolute().parent) as folder:
                atomic.put(folder, file.name, raw)
        click.echo(f"{file}: {len(files)} files, {len(raw)} bytes", err=True)
        click.echo("A login has one holder: stop this server before another one uses them.", err=True)

    @group.command("import")
    @click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
    @click.option("--replace", "is_replacing", is_flag=True, help="Replace accounts that are there and differ.")
    @click.option("--config-to", type=click.Path(path_type=Path, dir_okay=False), help="Write its configuration here.")
    @click.pass_context
    def take(context: click.Context, file: Path, is_replacing: bool, config_to: Path | None) -> None:
        """Take accounts and logins from FILE; say of each what became of it."""
        desk = open_desk(context.obj)
        with _told():
            files = unpack(_passphrase(is_new=False), file.read_bytes())
            config = files.pop(CONFIG_FILE, None)
            for each in restore(desk.folder, files, is_replacing=is_replacing):
                click.echo(f"{each.path}: {each.outcome}{f' ({each.why})' if each.why else ''}")
            if config is not None and config_to is not None:
                with atomic.opened(config_to.absolute().parent) as folder:
                    atomic.put(folder, config_to.name, config)
                click.echo(f"{config_to}: written")
            elif config is not None:
                click.echo(f"{CONFIG_FILE}: left out (--config-to FILE writes it)")

    return group


def _passphrase(*, is_new: bool) -> Secret:
    """From the environment, or asked for; never an argument. Raises `Refused`."""
    given = os.environ.get(VARIABLE)
    if given is None:
        given = click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
    passphrase = Secret(given)
    check_passphrase(passphrase)
    return passphrase


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'the file'}: {error.strerror}") from error
