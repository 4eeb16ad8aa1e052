"""Takes accounts over from where they already are, and says of each what it did."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from auth.cli.install import CliMissing
from auth.refusal import Refused
from proxy.accounts.desk import CONFIG_FILE, Desk
from proxy.accounts.held_logins import HeldLogin
from proxy.accounts.sources import Finding
from proxy.accounts.takeover import take_over
from proxy.config.account_files import interpret
from proxy.providers.enrolled import account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    source: str
    is_taken: bool
    what: str
    """The end of a sentence that begins with the source."""


def take(
    desk: Desk, findings: Iterable[Finding], *, is_dry: bool, ours: Mapping[str, str] | None = None
) -> Iterator[Outcome]:
    """`ours`: the environment, for the CLIs of logins that are to be taken over, too; None: they stay."""
    seen: set[str] = set()
    for finding in findings:
        if finding.login is not None and ours is not None:
            yield _taken_over(desk, finding.source, finding.login, ours, is_dry=is_dry)
            continue
        if finding.fields is None:
            yield Outcome(source=finding.source, is_taken=False, what=finding.why)
            continue
        file = interpret(finding.fields)
        if isinstance(file, str):
            yield Outcome(source=finding.source, is_taken=False, what=f"is not imported: it {file}")
        elif account_id(file) in seen:
            yield Outcome(source=finding.source, is_taken=False, what="is the same account as one above")
        elif (there := desk.place_of(file)) is not None:
            where = "the config file" if there == CONFIG_FILE else there
            yield Outcome(source=finding.source, is_taken=False, what=f"is there already, in {where}")
        else:
            seen.add(account_id(file))
            yield _taken(desk, finding, is_dry=is_dry)


def _taken(desk: Desk, finding: Finding, *, is_dry: bool) -> Outcome:
    assert finding.fields is not None
    what = "would be imported"
    if not is_dry:
        try:
            what = f"imported as {desk.add(finding.fields, name=finding.name).file}"
        except Refused as error:
            return Outcome(source=finding.source, is_taken=False, what=f"is not imported: {error}")
    if finding.dropped:
        what += f"; without an equivalent here: {', '.join(finding.dropped)}"
    return Outcome(source=finding.source, is_taken=True, what=what)


def _taken_over(desk: Desk, source: str, login: HeldLogin, ours: Mapping[str, str], *, is_dry: bool) -> Outcome:
    rest = f"a login should have one holder: {login.instead}, as each refresh may end what another program holds"
    if is_dry:
        return Outcome(source=source, is_taken=True, what=f"would be taken over; {rest}")
    try:
        name, is_new = asyncio.run(take_over(desk, login, ours))
    except (Refused, CliMissing) as error:
        return Outcome(source=source, is_taken=False, what=f"is not taken over: {error}")
    if not is_new:
        return Outcome(source=source, is_taken=False, what=f"is there already, in {name}")
    return Outcome(source=source, is_taken=True, what=f"taken over as {name}; {rest}")
