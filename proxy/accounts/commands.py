"""``proxy accounts`` and ``proxy import``: flags and printing; what they do is the desk's and the importer's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import click
import msgspec

from auth.credential import Credential
from auth.document import Document, JsonValue
from auth.refusal import Refused
from auth.service_account import ServiceKey
from proxy.accounts import importing, sources
from proxy.accounts.desk import Desk, Row
from proxy.accounts.offers import COMPATIBLE_URLS, KEYS, fields_for
from proxy.accounts.probe import probe
from proxy.columns import in_columns
from proxy.config.account_files import SERVICE_ACCOUNT, account_schema
from proxy.config.adoption import adopted
from proxy.config.load import read, text_of
from proxy.providers.base import Provider
from proxy.upstream.http import HttpUpstream

OpenDesk: TypeAlias = Callable[[Path | None], Desk]
"""The desk of the auth-dir that a config file names. Raises `ConfigError`."""
_COLOURS = {"ready": "green", "quarantined": "red", "unused": "yellow", "disabled": "bright_black"}


@contextlib.contextmanager
def _told(what: str = "") -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise click.ClickException(f"{what}{error}") from error


def accounts_group(open_desk: OpenDesk) -> click.Group:
    @click.group("accounts", invoke_without_command=True)
    @click.option("--json", "is_json", is_flag=True, help="For programs.")
    @click.pass_context
    def group(context: click.Context, is_json: bool) -> None:
        """List the accounts, or change them. A running server follows within a second."""
        desk = open_desk(context.obj)
        context.obj = desk
        if context.invoked_subcommand is None:
            _list(desk, is_json=is_json)

    _add_editing(group)
    group.add_command(_add_command())

    @group.command("test")
    @click.argument("accounts", nargs=-1)
    @click.pass_obj
    def test(desk: Desk, accounts: Sequence[str]) -> None:
        """Ask the providers whether they take ACCOUNTS (default: all in use). Costs nothing."""
        with _told():
            subjects = list(desk.subjects(accounts))
        if not asyncio.run(_test(desk, subjects)):
            sys.exit(1)

    @group.command("schema")
    def schema() -> None:
        """Print the JSON Schema of an account's file, for editors."""
        click.echo(msgspec.json.format(msgspec.json.encode(account_schema()), indent=2).decode())

    return group


def _add_editing(group: click.Group) -> None:
    @group.command("rename")
    @click.argument("account")
    @click.argument("label")
    @click.pass_obj
    def rename(desk: Desk, account: str, label: str) -> None:
        """Give ACCOUNT another LABEL, by which lists and decisions call it."""
        with _told():
            click.echo(f"{desk.change(account, {'label': label})}: is called {label}")

    @group.command("disable")
    @click.argument("account")
    @click.pass_obj
    def disable(desk: Desk, account: str) -> None:
        """Keep ACCOUNT, and do not use it."""
        with _told():
            click.echo(f"{desk.change(account, {'disabled': True})}: disabled")

    @group.command("enable")
    @click.argument("account")
    @click.pass_obj
    def enable(desk: Desk, account: str) -> None:
        """Use ACCOUNT again."""
        with _told():
            click.echo(f"{desk.change(account, {'disabled': None})}: enabled")

    @group.command("remove")
    @click.argument("account")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.option("--keep-home", is_flag=True, help="Leave its login in homes/.")
    @click.pass_obj
    def remove(desk: Desk, account: str, yes: bool, keep_home: bool) -> None:
        """Delete ACCOUNT here, its login too. Its provider does not hear of it: proxy accounts logout ends a login."""
        with _told():
            name = desk.file_of(account)
            if not yes:
                what = "Its key is nowhere else"
                if desk.home_of(name):
                    what = (
                        "Its login stays" if keep_home else "Its login goes, too, and is not revoked; logout does that"
                    )
                click.confirm(f"Delete {desk.folder / name}? {what}", abort=True)
            name, login = desk.remove(name, keeps_home=keep_home)
            click.echo(f"{name}: removed{login and '; '}{login}")


def _list(desk: Desk, *, is_json: bool) -> None:
    rows = desk.rows()
    if is_json:
        click.echo(msgspec.json.format(msgspec.json.encode([asdict(row) for row in rows]), indent=2).decode())
    elif rows:
        click.echo("\n".join(_table(rows)))
    else:
        click.echo(f"No accounts in {desk.folder}. Add one: proxy accounts add claude; or take over: proxy import")
    for remark in ([desk.fault] if desk.fault else []) + list(desk.remarks()):
        click.echo(f"proxy: {remark}", err=True)


def _table(rows: Sequence[Row]) -> list[str]:
    headings = [click.style(heading, bold=True) for heading in ("account", "provider", "state", "kept in")]
    told = [
        (
            row.label,
            row.provider,
            click.style(row.state, _COLOURS.get(row.state)),
            row.file or "config file",
            "; ".join(filter(None, (row.why, row.who, ", ".join(map(str, row.windows)), row.note))),
        )
        for row in rows
    ]
    return in_columns([headings, *told])


async def _test(desk: Desk, subjects: Sequence[tuple[Provider, Credential]]) -> bool:
    """Whether all work."""
    upstream = HttpUpstream()
    all_work = True
    try:
        for provider, credential in subjects:
            try:
                if provider.own_cli and provider.channel:
                    works, why = await desk.test_login(credential, os.environ)
                else:
                    works, why = await probe(upstream, provider, await desk.with_token(credential))
            except Refused as error:
                works, why = False, str(error)
            all_work &= works
            click.echo(f"{credential.label} ({provider.name}): {why}")
    finally:
        await upstream.close()
    return all_work


def _add_command() -> click.Command:
    known = ", ".join([*KEYS, *COMPATIBLE_URLS])

    @click.command(
        "add",
        help=f"Add a key of PROVIDER: {known}; or any other name, with --base-url, for whoever speaks OpenAI Chat "
        "Completions. The key is asked for, unless an option says where it is; it never stands on the command line.",
    )
    @click.argument("provider")
    @click.option("--key-file", type=click.File("r"), help="Read the key from this file; - for stdin.")
    @click.option("--key-env", metavar="NAME", help="Read the key from this environment variable.")
    @click.option("--no-key", is_flag=True, help="A local server that asks for none.")
    @click.option("--label", help="What lists call it.")
    @click.option("--base-url", help="Where its API is, instead of the provider's own place.")
    @click.option("--prefix", help="Its models are also offered as PREFIX/model.")
    @click.option("--priority", type=int, help="Higher is served first.")
    @click.option("--weight", type=int, help="Its share of the turns under weighted-round-robin.")
    @click.option("--project-id", help="Of a service account: the project to ask in, instead of its own.")
    @click.option("--location", help="Of a service account: where in Google's cloud. Default: us-central1.")
    @click.option("--model", "models", multiple=True, metavar="NAME[=ALIAS]", help="Offer this model; several times.")
    @click.option("--exclude", "excluded", multiple=True, metavar="PATTERN", help="Never use these models with it.")
    @click.option("--note", help="For humans only.")
    @click.pass_obj
    def add(desk: Desk, /, provider: str, models: Sequence[str], excluded: Sequence[str], **given: object) -> None:
        base_url = given.pop("base_url")
        key = _key(provider, given.pop("key_file"), given.pop("key_env"), is_keyless=bool(given.pop("no_key")))
        fields: dict[str, JsonValue] = dict(_account(provider, key, base_url if isinstance(base_url, str) else None))
        fields |= {name.replace("_", "-"): value for name, value in given.items() if isinstance(value, str | int)}
        if base_url:
            fields["base-url"] = str(base_url)
        if models:
            fields["models"] = [_model(each) for each in models]
        if excluded:
            fields["excluded-models"] = list(excluded)
        with _told():
            added = desk.add(fields)
        done = "added" if added.is_new else "was there, and is renewed"
        click.echo(f"{added.file}: {done}. Try it: proxy accounts test {added.file.removesuffix('.json')}")

    return add


def _key(provider: str, file: object, variable: object, *, is_keyless: bool) -> str:
    if sum((file is not None, variable is not None, is_keyless)) > 1:
        raise click.UsageError("--key-file, --key-env and --no-key: only one of them")
    if is_keyless:
        return ""
    if isinstance(variable, str):
        key = os.environ.get(variable, "").strip()
        if not key:
            raise click.ClickException(f"the environment variable {variable[:60]} is not set")
        return key
    read = getattr(file, "read", None)
    if read is None and not sys.stdin.isatty():
        read = sys.stdin.readline
    key = str(read()).strip() if read is not None else click.prompt(f"API key of {provider}", hide_input=True).strip()
    if not key:
        raise click.ClickException("there is no key")
    return str(key)


def _account(provider: str, key: str, base_url: str | None) -> dict[str, JsonValue]:
    """A key may be the file of a service account."""
    if key.startswith("{"):
        try:
            fields = Document.parse(key.encode()).fields
        except Refused as error:
            raise click.ClickException(f"the key {error}") from error
        with _told("the key file "):
            ServiceKey.of(fields)
        return {"type": SERVICE_ACCOUNT, "service-account": dict(fields)}
    return dict(fields_for(provider, key, base_url))


def _model(text: str) -> JsonValue:
    name, separator, alias = text.partition("=")
    return {"name": name, "alias": alias} if separator else {"name": name}


def _adopt(theirs: Path) -> None:
    found = adopted(text_of(read(theirs) or b"", str(theirs)))
    for note in found.notes:
        click.echo(str(note), err=True)
    if not found.is_good:
        raise click.ClickException("what is faulty must be mended before it is a configuration")
    click.echo(found.text, nl=False)


def import_command(open_desk: OpenDesk) -> click.Command:
    @click.command("import")
    @click.option("--from", "place", type=click.Path(path_type=Path), help="Only from this file or folder.")
    @click.option("--dry-run", "is_dry", is_flag=True, help="Say what would be done, and do nothing.")
    @click.option("--logins", "with_logins", is_flag=True, help="Logins of Claude Code, Codex and Gemini CLI, too.")
    @click.option(
        "--config", "theirs", type=click.Path(path_type=Path, dir_okay=False), help="Another system's config.yaml."
    )
    @click.pass_context
    def run(context: click.Context, place: Path | None, is_dry: bool, with_logins: bool, theirs: Path | None) -> None:
        """Take over keys that are on this machine: environment, official CLIs, another system's auth-dir.

        Nothing is taken away from where it is. Logins stay with the program that holds them, for a login should have
        one holder; --logins copies them here, and is for whoever will use them through here only. With --config another
        system's configuration is printed as one of ours, and what became of each of its keys is told beside it.
        """
        if theirs is not None:
            _adopt(theirs)
            return
        desk = open_desk(context.obj)
        with _told():
            found = sources.at(place) if place is not None else sources.everywhere(Path.home(), os.environ)
            outcomes = list(importing.take(desk, found, is_dry=is_dry, ours=os.environ if with_logins else None))
        for outcome in outcomes:
            click.echo(f"{'+' if outcome.is_taken else '-'} {outcome.source}: {outcome.what}")
        if not outcomes:
            click.echo("Nothing was found: no keys in the environment, no official CLI's folder, no auth-dir.")

    return run
