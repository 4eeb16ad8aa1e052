from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import msgspec
from click.testing import CliRunner, Result

from proxy.accounts.desk import Desk
from proxy.accounts.doctor_command import doctor_command
from proxy.config.load import Loaded
from proxy.config.schema import Config
from proxy.errors import ConfigError


def asked(tmp_path: Path, *arguments: str) -> Result:
    def opened(_path: Path | None) -> tuple[Path, Loaded, Desk]:
        config = replace(Config(), port=0)
        return Path("config.yaml"), Loaded(config=config, warnings=(), digest=""), Desk(tmp_path / "accounts", config)

    return CliRunner().invoke(doctor_command(opened), arguments, env={"PATH": "/nonexistent"})


def refused(_path: Path | None) -> tuple[Path, Loaded, Desk]:
    raise ConfigError("config.yaml:1: prot: there is no such setting")


def test_a_new_machine_is_well(tmp_path: Path) -> None:
    result = asked(tmp_path)
    assert result.exit_code == 0, result.output
    assert "good  config    config.yaml is good\n" in result.output
    assert "note  account   there is no account" in result.output
    assert result.output.endswith("\nall is well\n")


def test_what_is_wrong_is_an_exit_code_too(tmp_path: Path) -> None:
    folder = tmp_path / "accounts"
    folder.mkdir(mode=0o700)
    (folder / "torn.json").touch(mode=0o600)
    result = asked(tmp_path)
    assert result.exit_code == 1
    assert "bad   account   torn" in result.output


def test_for_programs(tmp_path: Path) -> None:
    told = msgspec.json.decode(asked(tmp_path, "--json").output)
    assert told["is_well"] is True
    assert {"check": "config", "state": "good", "says": "config.yaml is good", "remedy": ""} in told["findings"]


def test_a_config_that_is_refused() -> None:
    command: click.Command = doctor_command(refused)
    result = CliRunner().invoke(command, ["--json"])
    assert result.exit_code == 1
    found = msgspec.json.decode(result.output)["findings"]
    assert [each["says"] for each in found if each["state"] == "bad"] == [
        "config.yaml:1: prot: there is no such setting"
    ]
