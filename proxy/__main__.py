"""The composition root: what the commands do, and how the process ends. Raises nothing: every error becomes a line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from proxy.accounts.desk import Desk
from proxy.cli import ServeOptions, build
from proxy.clients import terminal
from proxy.clients.base import Client
from proxy.clients.commands import SetupOptions, Wish
from proxy.config.json_schema import json_schema
from proxy.config.load import Loaded, load
from proxy.config.schema import Config
from proxy.config.show import as_yaml
from proxy.errors import ProxyError
from proxy.footing import auth_folder, check_exposure
from proxy.house import House
from proxy.running import new_event_loop, settle
from proxy.server.clientele import check_keys

DEFAULT_CONFIG = Path("config.yaml")


def config_path(given: Path | None) -> tuple[Path, bool]:
    """Where the config is, and whether it may be missing."""
    return (DEFAULT_CONFIG, True) if given is None else (given, False)


class Commands:
    """`proxy.cli.Actions`."""

    def serve(self, options: ServeOptions) -> None:
        path, is_optional = config_path(options.config)
        loaded = load(path, is_optional=is_optional)
        house = House(path.absolute(), options, loaded)
        for warning in loaded.warnings:
            house.log.warning("config.warned", warning=warning)
        settle()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(house.live(loaded))

    def check(self, path: Path | None) -> str:
        where, is_optional = config_path(path)
        loaded = load(where, is_optional=is_optional)
        check_exposure(loaded.config)
        told = "\n".join(loaded.warnings)
        refused = [each for each in check_keys(loaded.config).complaints if each.split()[0] not in told]
        return "\n".join([f"{where}: good", *loaded.warnings, *refused])

    def desk(self, path: Path | None) -> Desk:
        return self._opened(path)[2]

    def opened(self, path: Path | None) -> tuple[Path, Loaded, Desk]:
        where, loaded, desk = self._opened(path)
        check_exposure(loaded.config)
        return where, loaded, desk

    def _opened(self, path: Path | None) -> tuple[Path, Loaded, Desk]:
        where, is_optional = config_path(path)
        loaded = load(where, is_optional=is_optional)
        return where, loaded, Desk(auth_folder(loaded.config), loaded.config)

    def json_schema(self) -> str:
        return msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode()

    def show(self, path: Path | None) -> str:
        return as_yaml(self._config(path))

    def models(self, path: Path | None, wish: Wish) -> str:
        return terminal.models(self._config(path), wish)

    def run_client(self, path: Path | None, client: Client, wish: Wish, arguments: Sequence[str]) -> None:
        terminal.run_client(self._config(path), client, wish, arguments)

    def set_up_client(self, path: Path | None, client: Client, options: SetupOptions) -> bool:
        return terminal.set_up_client(self._config(path), client, options)

    def _config(self, path: Path | None) -> Config:
        where, is_optional = config_path(path)
        return load(where, is_optional=is_optional).config


def main() -> None:
    """The console script. Every foreseen error is a line or a few on stderr, and an exit code that is not 0."""
    try:
        code = build(Commands()).main(prog_name="proxy", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        sys.exit(tell(error.format_message(), error.exit_code))
    except ProxyError as error:
        sys.exit(tell(error.message, 1))
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except Exception as error:  # a fault of ours: one line for the user, the rest for whoever mends it
        if "--debug" in sys.argv:
            raise
        sys.exit(tell(f"this is a fault of proxy itself ({type(error).__name__}: {error}); --debug shows where", 70))
    if code:
        sys.exit(code)


def tell(message: str, code: int) -> int:
    for line in message.splitlines() or [""]:
        click.echo(f"proxy: {line}", err=True)
    return code


if __name__ == "__main__":
    main()
