"""``proxy doctor``: flags and printing. What is looked at is `checkup`'s, what it means `diagnosis`'s."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import click
import msgspec

from proxy.accounts.checkup import bare, gathered
from proxy.accounts.desk import Desk
from proxy.accounts.diagnosis import Finding, diagnosed, is_well
from proxy.config.load import Loaded
from proxy.errors import ConfigError

Open: TypeAlias = Callable[[Path | None], tuple[Path, Loaded, Desk]]
"""The config that is meant, what it says, and the desk of its accounts. Raises `ConfigError`."""
_COLOURS: Mapping[str, str] = {"good": "green", "note": "yellow", "bad": "red"}


def doctor_command(open_all: Open) -> click.Command:
    @click.command("doctor")
    @click.option("--json", "is_json", is_flag=True, help="For programs.")
    @click.pass_context
    def doctor(context: click.Context, is_json: bool) -> None:
        """Say what works here and what does not: config, files, accounts, official CLIs, sandbox, ports, clock.

        Changes nothing and asks no provider. Ends with 1 if something that is set up does not work.
        """
        findings = _findings(context.obj, open_all)
        if is_json:
            told = {"is_well": is_well(findings), "findings": [asdict(each) for each in findings]}
            click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
        else:
            _show(findings)
        context.exit(0 if is_well(findings) else 1)

    return doctor


def _findings(path: Path | None, open_all: Open) -> list[Finding]:
    try:
        where, loaded, desk = open_all(path)
    except ConfigError as error:
        return diagnosed(bare(str(path or ""), error.message))
    return diagnosed(asyncio.run(gathered(desk, loaded.config, str(where), loaded.warnings, os.environ)))


def _show(findings: Sequence[Finding]) -> None:
    for each in findings:
        state = click.style(f"{each.state:4}", fg=_COLOURS[each.state])
        click.echo(f"{state}  {each.check:9} {each.says}")
        if each.remedy:
            click.echo(f"{'':16}→ {each.remedy}")
    bad = sum(each.state == "bad" for each in findings)
    click.echo(f"\n{bad} of {len(findings)} are bad" if bad else "\nall is well")
