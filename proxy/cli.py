"""The command line: flags and subcommands, no logic. What they do is passed in (`Actions`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click
from click.shell_completion import get_completion_class

from auth.secret import Secret
from proxy import __version__
from proxy.accounts.commands import accounts_group, import_command
from proxy.accounts.desk import Desk
from proxy.accounts.doctor_command import doctor_command
from proxy.accounts.login_commands import cli_group, log_in_if_asked, login_options, logout_command
from proxy.accounts.oidc_commands import login_command
from proxy.accounts.seal_commands import seal_command, unseal_command
from proxy.bundle_commands import bundle_group
from proxy.clients.base import Client
from proxy.clients.commands import SetupOptions, Wish
from proxy.clients.table import CLIENTS, client_named
from proxy.config.load import Loaded
from proxy.key_commands import keys_group


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What the flags say; None: not given, the config decides."""

    config: Path | None = None
    host: str | None = None
    port: int | None = None
    is_sandbox: bool = False
    replay: Path | None = None
    is_debug: bool = False


class Actions(Protocol):
    """What the commands do; `proxy.__main__` provides it."""

    def serve(self, options: ServeOptions) -> None: ...

    def check(self, path: Path | None) -> str:
        """One line that says that the config is good, with its warnings after it. Raises `ConfigError`."""
        ...

    def json_schema(self) -> str: ...

    def show(self, path: Path | None) -> str:
        """The effective config as YAML, secrets masked. Raises `ConfigError`."""
        ...

    def desk(self, path: Path | None) -> Desk:
        """Where accounts are changed by hand. Raises `ConfigError`."""
        ...

    def opened(self, path: Path | None) -> tuple[Path, Loaded, Desk]:
        """The config's file, what it says, and the desk. Raises `ConfigError`."""
        ...

    def models(self, path: Path | None, wish: Wish) -> str:
        """What the running server offers, one a line. Raises `ProxyError`."""
        ...

    def run_client(self, path: Path | None, client: Client, wish: Wish, arguments: Sequence[str]) -> None:
        """Does not come back. Raises `ProxyError`."""
        ...

    def set_up_client(self, path: Path | None, client: Client, options: SetupOptions) -> bool:
        """Whether all went well. Raises `ProxyError`."""
        ...


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(dir_okay=False, path_type=Path),
        help="The config file. Default: config.yaml in the current folder, else built-in defaults.",
    )


def _serve_command(actions: Actions) -> click.Group:
    def serve(context: click.Context, /, **given: object) -> None:
        log_in_if_asked(context, given, actions.desk)
        if context.invoked_subcommand is not None:
            context.obj = given["config"]
            return
        actions.serve(
            ServeOptions(
                config=_path(given["config"]),
                host=given["host"] if isinstance(given["host"], str) else None,
                port=given["port"] if isinstance(given["port"], int) else None,
                is_sandbox=bool(given["sandbox"]),
                replay=_path(given["replay"]),
                is_debug=bool(given["debug"]),
            )
        )

    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    return click.Group(
        "proxy",
        callback=click.pass_context(serve),
        invoke_without_command=True,
        no_args_is_help=False,
        help="One pool for all your AI accounts, in front of every client. Without a subcommand it serves.",
        epilog="Documentation: README.md and docs/. Shell completion: proxy completion --help",
        params=[
            _config_option(),
            click.Option(["--host"], help="Listen here instead of the config's host."),
            click.Option(["--port"], type=click.IntRange(0, 65535), help="… and on this port; 0 takes a free one."),
            click.Option(
                ["--sandbox"], is_flag=True, help="Serve simulated accounts, beside your own if there are any."
            ),
            click.Option(["--replay"], type=folder, help="Serve recorded exchanges from this folder."),
            click.Option(["--debug"], is_flag=True, help="Log more. Never bodies or secrets."),
            *login_options(),
            click.version_option(__version__, prog_name="proxy")(click.Command("_")).params[0],
        ],
    )


def _path(value: object) -> Path | None:
    return value if isinstance(value, Path) else None


def _config_group(actions: Actions) -> click.Group:
    group = click.Group("config", help="Check, describe and show the configuration.")

    @group.command("check")
    @click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
    @click.pass_obj
    def check(outer: Path | None, path: Path | None) -> None:
        """Say whether the config is good; every complaint with file and line."""
        click.echo(actions.check(path or outer))

    @group.command("schema")
    def schema() -> None:
        """Print the JSON Schema of config.yaml, for editors."""
        click.echo(actions.json_schema())

    @group.command("show")
    @click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
    @click.pass_obj
    def show(outer: Path | None, path: Path | None) -> None:
        """Print the effective config, with secrets masked."""
        click.echo(actions.show(path or outer), nl=False)

    return group


_CLIENT = click.Argument(["client"], type=click.Choice([client.name for client in CLIENTS]))


def _where_options() -> list[click.Parameter]:
    return [
        click.Option(["--url"], help="Where the server is. Default: where the config says."),
        click.Option(["--key"], envvar="PROXY_KEY", help="The client key. Default: the config's first."),
    ]


def _wish_options() -> list[click.Parameter]:
    return [
        *_where_options(),
        click.Option(["--model"], help="The model to ask for. Default: the client's own, where it is served."),
    ]


def _wish(given: Mapping[str, object]) -> Wish:
    texts = {name: value for name in ("url", "key", "model") if isinstance(value := given.get(name), str) and value}
    key = texts.pop("key", None)
    return Wish(key=None if key is None else Secret(key), **texts)


def _run_command(actions: Actions) -> click.Command:
    def run(context: click.Context, /, **given: object) -> None:
        arguments = given["arguments"]
        assert isinstance(arguments, tuple)
        actions.run_client(_path(context.obj), client_named(str(given["client"])), _wish(given), arguments)

    return click.Command(
        "run",
        callback=click.pass_context(run),
        help="Start a coding CLI against the running server. Writes nothing. Its own arguments stand behind its name.",
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
        params=[*_wish_options(), _CLIENT, click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
    )


def _models_command(actions: Actions) -> click.Command:
    def models(context: click.Context, /, **given: object) -> None:
        click.echo(actions.models(_path(context.obj), _wish(given)))

    return click.Command(
        "models",
        callback=click.pass_context(models),
        help="List the models of the running server, with what each takes in and says, in tokens.",
        params=_where_options(),
    )


def _setup_command(actions: Actions) -> click.Command:
    def set_up(context: click.Context, /, **given: object) -> None:
        options = SetupOptions(
            wish=_wish(given),
            is_undone=bool(given["undo"]),
            is_dry=bool(given["dry_run"]),
            is_sure=bool(given["yes"]),
            is_verified=not given["no_verify"],
        )
        if not actions.set_up_client(_path(context.obj), client_named(str(given["client"])), options):
            context.exit(1)

    return click.Command(
        "setup",
        callback=click.pass_context(set_up),
        help="Point a coding CLI at the server for good: shows what changes, asks, backs up, and tries it.",
        params=[
            *_wish_options(),
            click.Option(["--undo"], is_flag=True, help="Put everything back."),
            click.Option(["--dry-run"], is_flag=True, help="Show what would change, and change nothing."),
            click.Option(["--yes", "-y"], is_flag=True, help="Do not ask."),
            click.Option(["--no-verify"], is_flag=True, help="Do not try it with one request."),
            _CLIENT,
        ],
    )


def build(actions: Actions) -> click.Group:
    """The whole command line. Raises `click.ClickException` and `ProxyError`, which `proxy.__main__` prints."""
    root = _serve_command(actions)
    for command in (_config_group(actions), _models_command(actions), _run_command(actions), _setup_command(actions)):
        root.add_command(command)
    accounts = accounts_group(actions.desk)
    accounts.add_command(login_command())
    accounts.add_command(logout_command())
    accounts.add_command(seal_command())
    accounts.add_command(unseal_command())
    root.add_command(accounts)
    root.add_command(cli_group(actions.desk))
    root.add_command(import_command(actions.desk))
    root.add_command(doctor_command(actions.opened))
    root.add_command(keys_group(actions.opened))
    root.add_command(bundle_group(actions.desk))

    @root.command("completion")
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    def completion(shell: str) -> None:
        """Print a completion script: eval "$(proxy completion bash)"."""
        completer = get_completion_class(shell)
        if completer is None:
            raise click.ClickException(f"{shell} is not known; one of bash, zsh, fish")
        click.echo(completer(root, {}, "proxy", "_PROXY_COMPLETE").source())

    return root
