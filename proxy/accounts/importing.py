"""Takes accounts over from where they already are, and says of each what it did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auth.refusal import Refused
from proxy.accounts.desk import CONFIG_FILE, Desk
from proxy.accounts.sources import Finding
from proxy.config.account_files import interpret
from proxy.providers.enrolled import account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    source: str
    is_taken: bool
    what: str
    """The end of a sentence that begins with the source."""


def take(desk: Desk, findings: Iterable[Finding], *, is_dry: bool) -> Iterator[Outcome]:
    seen: set[str] = set()
    for finding in findings:
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
