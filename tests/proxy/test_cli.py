from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from proxy import __version__
from proxy.cli import LOGINS, ServeOptions, build


@dataclass
class Recorded:
    served: list[ServeOptions] = field(default_factory=list)
    asked: list[Path | None] = field(default_factory=list)

    def serve(self, options: ServeOptions) -> None:
        self.served.append(options)

    def check(self, path: Path | None) -> str:
        self.asked.append(path)
        return "good"

    def json_schema(self) -> str:
        return '{"type":"object"}'

    def show(self, path: Path | None) -> str:
        self.asked.append(path)
        return "port: 8317\n"


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


@pytest.mark.parametrize("flag", LOGINS)
def test_a_login_says_which_part_is_missing(actions: Recorded, flag: str) -> None:
    result = run(actions, flag, "--no-browser")
    assert result.exit_code == 1
    assert f"{flag}: logins through the official CLIs are not built yet" in result.output
    assert actions.served == []


@pytest.mark.parametrize("option", ["--device", "--no-browser", "--project-id=x"])
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
