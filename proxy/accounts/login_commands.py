"""The flags that log in, ``proxy accounts logout`` and ``proxy cli``: what they are called, and printing."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import click

from auth.cli.install import CLI_TABLE, Cli, CliMissing, find, install, pinned, version_of
from auth.logins.table import CLAUDE_CODE, CODEX_CLI, COPILOT_CLI, GEMINI_CLI, GROK_CLI, KIMI_CODE, LoginKind
from auth.refusal import Refused
from proxy.accounts import logout
from proxy.accounts.desk import Desk
from proxy.accounts.egress import with_egress
from proxy.accounts.login_terminal import Place, Terminal
from proxy.accounts.logins import LoginWish

OpenDesk: TypeAlias = Callable[[Path | None], Desk]

LOGINS: Mapping[str, LoginKind] = {
    "--login": GEMINI_CLI,
    "--codex-login": CODEX_CLI,
    "--claude-login": CLAUDE_CODE,
    "--kimi-login": KIMI_CODE,
    "--grok-login": GROK_CLI,
    "--copilot-login": COPILOT_CLI,
}
QWEN_LOGIN = "--qwen-login"
QWEN_PLACES = {
    "coding-plan": "https://coding.dashscope.aliyuncs.com/v1",
    "coding-plan-intl": "https://coding-intl.dashscope.aliyuncs.com/v1",
    "dashscope": "https://dashscope.aliyuncs.com/compatible-mode/v1",
    "dashscope-intl": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
}
"""As Qwen Code itself names them."""
_OPTIONS = ("device", "qr", "no_browser", "project_id", "account")


def login_options() -> list[click.Parameter]:
    flags: list[click.Parameter] = [
        click.Option([flag], is_flag=True, help=f"Log in to {kind.cli.whose} through its official CLI.")
        for flag, kind in LOGINS.items()
    ]
    flags.append(click.Option([QWEN_LOGIN], is_flag=True, help="Add a key for Qwen; its vendor has ended logins."))
    flags += [
        click.Option(["--device"], is_flag=True, help="Log in by device code; for --codex-login."),
        click.Option(["--qr"], is_flag=True, help="Show the login page's address as a QR code, too."),
        click.Option(["--no-browser"], is_flag=True, help="Print the login page's address; open nothing."),
        click.Option(["--project-id"], help="The Google Cloud project, for --login."),
        click.Option(["--account"], help="The account that it must be (its e-mail address); another is refused."),
    ]
    return flags


def log_in_if_asked(context: click.Context, given: Mapping[str, object], open_desk: OpenDesk) -> None:
    """Ends the program if a login was asked for."""
    asked = [flag for flag in (*LOGINS, QWEN_LOGIN) if given.get(_name(flag))]
    if len(asked) > 1:
        raise click.UsageError(f"{' and '.join(asked)}: one login at a time")
    if not asked:
        for option in _OPTIONS:
            if given[option] and context.invoked_subcommand is None:
                flag = f"--{option.replace('_', '-')}"
                raise click.UsageError(f"{flag} belongs to a login: name which, for instance --codex-login {flag}")
        return
    flag = asked[0]
    if context.invoked_subcommand is not None:
        raise click.UsageError(f"{flag} stands alone, without {context.invoked_subcommand}")
    config = given["config"]
    desk = open_desk(config if isinstance(config, Path) else None)
    context.exit(_add_qwen(desk) if flag == QWEN_LOGIN else _log_in(desk, LOGINS[flag], given))


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _log_in(desk: Desk, kind: LoginKind, given: Mapping[str, object]) -> int:
    project, expected = given["project_id"], given["account"]
    if given["device"] and not kind.has_device:
        raise click.UsageError(
            f"--device: {kind.cli.whose} offers no login by device code; --no-browser works anywhere"
        )
    if project and kind is not GEMINI_CLI:
        raise click.UsageError("--project-id belongs to --login")
    place = Place.of(os.environ)
    wish = LoginWish(
        kind=kind,
        is_device=bool(given["device"]) or not kind.has_browser,
        has_browser=place.has_browser and not given["no_browser"],
        project=project if isinstance(project, str) else "",
        expected=expected if isinstance(expected, str) else "",
    )
    terminal = Terminal(desk=desk, environment=os.environ, place=place, tell=_tell, has_qr=bool(given["qr"]))
    return terminal.log_in(wish)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _add_qwen(desk: Desk) -> int:
    _tell(
        "Qwen ended its free OAuth login on 2026-04-15, and its CLI refuses it. A Coding Plan or DashScope key works."
    )
    place = click.prompt("Where is the key from", type=click.Choice(list(QWEN_PLACES)), err=True)
    key = click.prompt("The key", hide_input=True, err=True).strip()
    try:
        added = desk.add(
            {"type": "openai-compatibility", "name": "qwen", "base-url": QWEN_PLACES[place], "api-key": key}
        )
    except Refused as error:
        raise click.ClickException(str(error)) from error
    done = "added" if added.is_new else "was there, and is renewed"
    _tell(f"{added.file}: {done}. Try it: proxy accounts test {added.file.removesuffix('.json')}")
    return 0


def logout_command() -> click.Command:
    @click.command("logout")
    @click.argument("account")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.pass_obj
    def log_out(desk: Desk, account: str, yes: bool) -> None:
        """End the login of ACCOUNT at its provider, as far as its CLI can, and delete it here."""
        try:
            name = desk.file_of(account)
            desk.login_of(name)
            if not yes:
                click.confirm(f"Log {name.removesuffix('.json')} out?", abort=True)
            told = asyncio.run(logout.log_out(desk, name, os.environ))
        except (Refused, CliMissing) as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{name}: {told}")

    return log_out


def cli_group(open_desk: OpenDesk) -> click.Group:
    @click.group("cli")
    @click.pass_context
    def group(context: click.Context) -> None:
        """The official CLIs that logins are driven through."""
        context.obj = open_desk(context.obj)

    @group.command("list")
    @click.pass_obj
    def list_(desk: Desk) -> None:
        """Say which are there, in which version, and what is missing."""
        for cli in CLI_TABLE.values():
            click.echo(asyncio.run(_described(cli, desk)))

    @group.command("install")
    @click.argument("names", nargs=-1, required=True, type=click.Choice(list(CLI_TABLE)))
    @click.pass_obj
    def install_(desk: Desk, names: Sequence[str]) -> None:
        """Get them from npm, in the versions that the logins are tested with, into the data folder."""
        for name in dict.fromkeys(names):
            cli = CLI_TABLE[name]
            click.echo(f"installing {cli.whose} {pinned(cli)} …", err=True)
            try:
                asyncio.run(install(cli, desk.folder, with_egress(os.environ, desk.proxy_url)))
            except CliMissing as error:
                raise click.ClickException(str(error)) from error
            click.echo(asyncio.run(_described(cli, desk)))

    return group


async def _described(cli: Cli, desk: Desk) -> str:
    ours = with_egress(os.environ, desk.proxy_url)
    try:
        installed = find(cli, desk.folder, ours)
        with tempfile.TemporaryDirectory(prefix="cli-version-") as scratch:
            version = await version_of(installed, Path(scratch), ours)
    except CliMissing as error:
        return f"{cli.name}: {error}"
    remark = "" if version == pinned(cli) else f"; logins are tested with {pinned(cli)}"
    return f"{cli.name}: {version}{remark}; {installed.command[-1]}"
