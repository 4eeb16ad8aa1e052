"""The command line: flags and subcommands, no logic. What they do is passed in (`Actions`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click
from click.shell_completion import get_completion_class

from proxy import __version__

LOGINS = {
    "--login": "Gemini CLI (Google)",
    "--codex-login": "Codex (ChatGPT)",
    "--claude-login": "Claude Code",
    "--qwen-login": "Qwen Code",
    "--kimi-login": "Kimi",
    "--grok-login": "Grok",
    "--copilot-login": "GitHub Copilot",
}
"""Login flag → whose official CLI drives it."""


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


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(dir_okay=False, path_type=Path),
        help="The config file. Default: config.yaml in the current folder, else built-in defaults.",
    )


def _login_options() -> list[click.Parameter]:
    flags: list[click.Parameter] = [
        click.Option([flag], is_flag=True, help=f"Log in to {whose} through its official CLI.")
        for flag, whose in LOGINS.items()
    ]
    flags += [
        click.Option(["--device"], is_flag=True, help="Log in by device code, where the CLI offers it."),
        click.Option(["--no-browser"], is_flag=True, help="Print the login URL instead of opening a browser."),
        click.Option(["--project-id"], help="The Google Cloud project for --login."),
    ]
    return flags


def _refuse_login(flag: str) -> None:
    raise click.ClickException(
        f"{flag}: logins through the official CLIs are not built yet. Until then add an API key to config.yaml "
        "(claude-api-key, codex-api-key, gemini-api-key, openai-compatibility)."
    )


def _serve_command(actions: Actions) -> click.Group:
    def serve(context: click.Context, /, **given: object) -> None:
        for flag in LOGINS:
            if given.get(flag.removeprefix("--").replace("-", "_")):
                _refuse_login(flag)
        if context.invoked_subcommand is not None:
            context.obj = given["config"]
            return
        for option in ("device", "no_browser", "project_id"):
            if given[option]:
                name = option.replace("_", "-")
                raise click.UsageError(f"--{name} belongs to a login: name which, for instance --codex-login --{name}")
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
            click.Option(["--sandbox"], is_flag=True, help="Serve simulated accounts: no login, no network."),
            click.Option(["--replay"], type=folder, help="Serve recorded exchanges from this folder."),
            click.Option(["--debug"], is_flag=True, help="Log more. Never bodies or secrets."),
            *_login_options(),
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


def build(actions: Actions) -> click.Group:
    """The whole command line. Raises `click.ClickException` and `ProxyError`, which `proxy.__main__` prints."""
    root = _serve_command(actions)
    root.add_command(_config_group(actions))

    @root.command("completion")
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    def completion(shell: str) -> None:
        """Print a completion script: eval "$(proxy completion bash)"."""
        completer = get_completion_class(shell)
        if completer is None:
            raise click.ClickException(f"{shell} is not known; one of bash, zsh, fish")
        click.echo(completer(root, {}, "proxy", "_PROXY_COMPLETE").source())

    return root
