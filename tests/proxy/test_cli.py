from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from auth.secret import Secret
from proxy import __version__
from proxy.accounts.desk import Desk
from proxy.cli import ServeOptions, build
from proxy.clients.base import Client
from proxy.clients.commands import SetupOptions, Wish
from proxy.config.load import Loaded
from proxy.config.schema import Config


@dataclass
class Recorded:
    served: list[ServeOptions] = field(default_factory=list)
    asked: list[Path | None] = field(default_factory=list)
    ran: list[tuple[Path | None, str, Wish, tuple[str, ...]]] = field(default_factory=list)
    set_up: list[tuple[Path | None, str, SetupOptions]] = field(default_factory=list)

    def serve(self, options: ServeOptions) -> None:
        self.served.append(options)

    def check(self, path: Path | None) -> str:
        self.asked.append(path)
        return "good"

    def desk(self, path: Path | None) -> Desk:
        assert path is not None
        return Desk(path.parent / "accounts", Config())

    def opened(self, path: Path | None) -> tuple[Path, Loaded, Desk]:
        assert path is not None
        loaded = Loaded(config=replace(Config(), port=0), warnings=("an old name",), digest="")
        return path, loaded, self.desk(path)

    def json_schema(self) -> str:
        return '{"type":"object"}'

    def show(self, path: Path | None) -> str:
        self.asked.append(path)
        return "port: 8317\n"

    def models(self, path: Path | None, wish: Wish) -> str:
        self.asked.append(path)
        return f"{wish.url} has big"

    def run_client(self, path: Path | None, client: Client, wish: Wish, arguments: Sequence[str]) -> None:
        self.ran.append((path, client.name, wish, tuple(arguments)))

    def set_up_client(self, path: Path | None, client: Client, options: SetupOptions) -> bool:
        self.set_up.append((path, client.name, options))
        return not options.is_undone


@pytest.fixture
def actions() -> Recorded:
    return Recorded()


def run(actions: Recorded, *arguments: str) -> Result:
    return CliRunner().invoke(build(actions), arguments, prog_name="proxy")


def test_without_a_subcommand_it_serves(actions: Recorded) -> None:
    assert run(actions).exit_code == 0
    assert actions.served == [ServeOptions()]


def test_flags_reach_the_server(actions: Recorded, tmp_path: Path) -> None:
    result = run(
        actions, "--config", "c.yaml", "--host", "::1", "--port", "0", "--sandbox", "--debug", "--replay", str(tmp_path)
    )
    assert result.exit_code == 0, result.output
    assert actions.served == [
        ServeOptions(config=Path("c.yaml"), host="::1", port=0, is_sandbox=True, is_debug=True, replay=tmp_path)
    ]


def test_version(actions: Recorded) -> None:
    assert run(actions, "--version").output == f"proxy, version {__version__}\n"


@pytest.mark.parametrize("option", ["--device", "--qr", "--no-browser", "--project-id=x", "--account=x"])
def test_a_login_option_without_a_login_is_refused(actions: Recorded, option: str) -> None:
    result = run(actions, option)
    assert result.exit_code == 2
    assert "belongs to a login" in result.output
    assert actions.served == []


def test_a_port_out_of_range_is_refused(actions: Recorded) -> None:
    result = run(actions, "--port", "65536")
    assert result.exit_code == 2
    assert "65536 is not in the range" in result.output


def test_config_check_takes_either_path(actions: Recorded) -> None:
    assert run(actions, "--config", "a.yaml", "config", "check").output == "good\n"
    assert run(actions, "--config", "a.yaml", "config", "check", "b.yaml").output == "good\n"
    assert run(actions, "config", "show").output == "port: 8317\n"
    assert actions.asked == [Path("a.yaml"), Path("b.yaml"), None]
    assert actions.served == []


def test_config_schema(actions: Recorded) -> None:
    assert run(actions, "config", "schema").output == '{"type":"object"}\n'


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(actions: Recorded, shell: str) -> None:
    result = run(actions, "completion", shell)
    assert result.exit_code == 0
    assert "_PROXY_COMPLETE" in result.output


def test_every_option_says_what_it_does(actions: Recorded) -> None:
    for parameter in build(actions).params:
        assert isinstance(parameter, click.Option)
        assert parameter.help, parameter.name


def test_a_clients_own_arguments_are_its_own(actions: Recorded) -> None:
    result = run(actions, "--config", "c.yaml", "run", "--model", "m", "claude", "-p", "--model", "x", "--help", "hi")
    assert result.exit_code == 0, result.output
    assert actions.ran == [(Path("c.yaml"), "claude", Wish(model="m"), ("-p", "--model", "x", "--help", "hi"))]


def test_the_key_may_come_from_the_environment(actions: Recorded) -> None:
    CliRunner(env={"PROXY_KEY": "k"}).invoke(build(actions), ["run", "--url", "http://h", "codex"])
    assert actions.ran == [(None, "codex", Wish(url="http://h", key=Secret("k")), ())]


def test_a_setup(actions: Recorded) -> None:
    assert run(actions, "setup", "--dry-run", "-y", "--no-verify", "qwen").exit_code == 0
    assert actions.set_up == [(None, "qwen", SetupOptions(is_dry=True, is_sure=True, is_verified=False))]


def test_a_setup_that_failed(actions: Recorded) -> None:
    assert run(actions, "setup", "--undo", "gemini").exit_code == 1


def test_clients_that_we_do_not_know_are_named(actions: Recorded) -> None:
    result = run(actions, "run", "emacs")
    assert result.exit_code == 2
    assert "claude, codex, gemini, qwen, opencode" in result.output.replace("'", "")


def test_the_models_of_a_server(actions: Recorded) -> None:
    result = run(actions, "--config", "c.yaml", "models", "--url", "http://h")
    assert (result.exit_code, result.output) == (0, "http://h has big\n")
    assert actions.asked == [Path("c.yaml")]
