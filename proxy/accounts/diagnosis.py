"""What works here and what does not: findings from facts, for ``proxy doctor``. Pure; the facts are gathered in
`proxy.accounts.checkup`.

A finding is *good*, a *note* (it works, or will not be missed by everybody), or *bad* (something that somebody has set
up does not work).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from proxy.accounts.desk import Row
from proxy.upstream.cli_choice import Room, room_for
from proxy.upstream.cli_health import BOX_VERSION, box

State: TypeAlias = Literal["good", "note", "bad"]
RELEASED = dt.datetime(2026, 11, 20, tzinfo=dt.UTC).timestamp()
"""No clock that is right says less."""
CLOCK_SECONDS_MAX = 120.0
"""By which a file's time may lie ahead: file systems of other machines have clocks of their own."""
FREE_BYTES_MIN = 200 * 1024**2
FILES_MIN = 4096
"""Descriptors: two for each request under way, and some."""
MEGABYTE = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class CliFact:
    """One official CLI. `missing`: why it cannot be started. `outdated`: why its version does not serve. `lacking`:
    switches that it must have to serve other clients, and does not know. `is_backend`: it can ask for others.
    `pinned`: the version that logins are tested with.
    """

    name: str
    whose: str
    is_needed: bool
    is_backend: bool
    pinned: str
    version: str = ""
    place: str = ""
    missing: str = ""
    outdated: str = ""
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`config`: which file, and `config_error`: why it is not in force. `port_owner`: who has the server's port; empty:
    nobody. `is_serving`: the server itself answers there. `folder_mode`: None: there is no folder. `loose`: what others
    of this machine may read. `unwritable`: why nothing can be written there. `doors`: ports that a browser comes back
    to after a login → who has them. `strays`: homes that no account's file leads to. `resting`: by account's id, why it
    is not asked, and until when. `now`, `newest`: Unix seconds, the latter of the newest file. `management_key`: what
    is to be said of it; empty: nothing. `is_config_open`: it holds secrets, and others of this machine may read it.
    `workers`: processes that are to serve; `idle`: why the first one serves everything all the same.
    """

    config: str
    config_error: str = ""
    warnings: tuple[str, ...] = ()
    port: int = 0
    port_owner: str = ""
    is_serving: bool = False
    folder: str = ""
    folder_mode: int | None = None
    folder_fault: str = ""
    remarks: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()
    unwritable: str = ""
    free_bytes: int | None = None
    strays: Sequence[str] = ()
    rows: Sequence[Row] = ()
    resting: Mapping[str, str] = field(default_factory=dict)
    clis: Sequence[CliFact] = ()
    landlock: int = 0
    bubblewrap: str = ""
    """The program, where it works and is needed."""
    doors: Mapping[int, str] = field(default_factory=dict)
    memory_bytes: int = 0
    files_max: int = 0
    now: float = RELEASED
    newest: float = 0.0
    management_key: str = ""
    is_config_open: bool = False
    workers: int = 1
    idle: str = ""
    cores: int = 1
    can_share: bool = True
    """Of the system: a port between processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`remedy`: what to do about it, where something can be done."""

    check: str
    state: State
    says: str
    remedy: str = ""


def diagnosed(facts: Facts) -> list[Finding]:
    return [finding for check in _CHECKS for finding in check(facts)]


def is_well(findings: Iterable[Finding]) -> bool:
    return all(finding.state != "bad" for finding in findings)


def _config(facts: Facts) -> Iterator[Finding]:
    if facts.config_error:
        yield Finding(check="config", state="bad", says=facts.config_error, remedy="proxy config check")
        return
    yield Finding(check="config", state="good", says=f"{facts.config} is good")
    if facts.is_config_open:
        says = f"{facts.config} holds keys, and others of this machine may read it"
        yield Finding(check="config", state="note", says=says, remedy=f"chmod go= {facts.config}")
    for warning in facts.warnings:
        yield Finding(check="config", state="note", says=warning)


def _port(facts: Facts) -> Iterator[Finding]:
    if facts.config_error or not facts.port:
        return
    if facts.is_serving:
        yield Finding(check="port", state="good", says=f"the server answers on port {facts.port}")
    elif facts.port_owner:
        yield Finding(
            check="port",
            state="bad",
            says=f"port {facts.port} is taken by {facts.port_owner}",
            remedy="end that, or name another port in the config",
        )
    else:
        yield Finding(check="port", state="good", says=f"port {facts.port} is free; no server runs there")


def _key(facts: Facts) -> Iterator[Finding]:
    if facts.management_key:
        yield Finding(check="key", state="note", says=f"the management key: {facts.management_key}")


def _folder(facts: Facts) -> Iterator[Finding]:
    if not facts.folder:
        return
    if facts.folder_fault:
        yield Finding(check="auth-dir", state="bad", says=facts.folder_fault)
    elif facts.folder_mode is None:
        yield Finding(check="auth-dir", state="note", says=f"{facts.folder} is not there yet: nobody has an account")
    elif not facts.loose:
        yield Finding(check="auth-dir", state="good", says=f"{facts.folder}: nobody else may look into it")
    for path in facts.loose:
        yield Finding(check="auth-dir", state="bad", says=f"{path} can be read by others", remedy=f"chmod go= {path}")
    for remark in facts.remarks:
        yield Finding(check="auth-dir", state="note", says=remark)


def _disk(facts: Facts) -> Iterator[Finding]:
    if facts.unwritable:
        says = f"nothing can be written into {facts.folder}: {facts.unwritable}"
        yield Finding(check="disk", state="bad", says=f"{says}; renewed logins would be lost")
    elif facts.free_bytes is not None:
        enough = facts.free_bytes >= FREE_BYTES_MIN
        yield Finding(
            check="disk",
            state="good" if enough else "bad",
            says=f"{facts.free_bytes // MEGABYTE} MB are free in {facts.folder}",
            remedy="" if enough else f"make room: {FREE_BYTES_MIN // MEGABYTE} MB at least",
        )


_ACCOUNTS: Mapping[str, tuple[State, str]] = {
    "ready": ("good", ""),
    "disabled": ("note", "proxy accounts enable"),
    "unused": ("note", ""),
    "quarantined": ("bad", ""),
}


def _accounts(facts: Facts) -> Iterator[Finding]:
    for row in facts.rows:
        state, remedy = _ACCOUNTS.get(row.state, ("note", ""))
        rests = facts.resting.get(row.id, "") if row.state == "ready" else ""
        if rests:
            state = "bad" if rests.startswith("broken") else "note"
        more = " · ".join(filter(None, (row.why, rests, row.who, *map(str, row.windows))))
        says = f"{row.label} ({row.provider or 'unknown'}) is {row.state}{more and ': '}{more}"
        yield Finding(check="account", state=state, says=says, remedy=remedy and f"{remedy} {row.label}")
    if not facts.config_error and not any(row.state == "ready" for row in facts.rows):
        yield Finding(
            check="account",
            state="note" if not facts.rows else "bad",
            says="no account is ready" if facts.rows else "there is no account: simulated ones are served",
            remedy="proxy accounts add, proxy import, or proxy --claude-login and its like",
        )


def _strays(facts: Facts) -> Iterator[Finding]:
    for home in facts.strays:
        yield Finding(
            check="home",
            state="note",
            says=f"homes/{home} may hold a login, and no account's file leads to it",
            remedy="put its file back, or delete the folder",
        )


def _clis(facts: Facts) -> Iterator[Finding]:
    for cli in facts.clis:
        state, says = _of_cli(cli)
        is_wrong = state != "good"
        if is_wrong and not cli.is_needed:
            state, says = "note", f"{says}; no account needs it"
        repair = f"proxy cli install {cli.name}" if is_wrong and cli.is_needed else ""
        yield Finding(check="cli", state=state, says=f"{cli.whose}: {says}", remedy=repair)


def _of_cli(cli: CliFact) -> tuple[State, str]:
    if cli.missing:
        return "bad", cli.missing.partition(";")[0]
    if cli.outdated:
        return "bad", f"{cli.version} in {cli.place} serves its own clients only: {cli.outdated.partition(';')[0]}"
    if cli.lacking:
        return "bad", f"{cli.version} in {cli.place} does not know {', '.join(cli.lacking)}, so it is not to be trusted"
    serves = "asks for all clients" if cli.is_backend else "keeps its login; it asks for nobody else"
    tested = "" if cli.version == cli.pinned else f" (tested with {cli.pinned})"
    return "good", f"{cli.version}{tested} in {cli.place}, {serves}"


def _box(facts: Facts) -> Iterator[Finding]:
    is_whole = facts.landlock >= BOX_VERSION or bool(facts.bubblewrap)
    says = box(facts.landlock, bubblewrap=facts.bubblewrap)
    yield Finding(check="sandbox", state="good" if is_whole else "note", says=says)


def _doors(facts: Facts) -> Iterator[Finding]:
    for port, owner in facts.doors.items():
        if owner:
            yield Finding(
                check="login",
                state="note",
                says=f"port {port}, to which a browser comes back after a login, is taken by {owner}",
                remedy="end that before you log in, or paste the address that the browser shows",
            )
    if facts.doors and not any(facts.doors.values()):
        ports = ", ".join(map(str, facts.doors))
        yield Finding(check="login", state="good", says=f"the ports to which a browser comes back are free: {ports}")


def _machine(facts: Facts) -> Iterator[Finding]:
    if facts.memory_bytes:
        room = room_for(facts.memory_bytes)
        is_small = room.processes_max < Room().processes_max
        yield Finding(
            check="memory",
            state="note" if is_small else "good",
            says=f"{facts.memory_bytes // MEGABYTE} MB: up to {room.processes_max} processes of official CLIs at once",
        )
    if facts.files_max and facts.files_max < FILES_MIN:
        yield Finding(
            check="limits",
            state="note",
            says=f"{facts.files_max} files and connections may be open at once",
            remedy=f"ulimit -n {FILES_MIN}, or LimitNOFILE= of the service",
        )


def _workers(facts: Facts) -> Iterator[Finding]:
    if facts.workers == 1 and facts.cores > 1 and facts.can_share and not facts.config_error:
        says = f"one process serves, from one of {facts.cores} cores"
        yield Finding(check="workers", state="good", says=f"{says}; that is enough for thousands of requests a second")
    if facts.workers == 1:
        return
    says = f"{facts.workers} processes serve, from {facts.cores} {'core' if facts.cores == 1 else 'cores'}"
    if not facts.can_share:
        says = f"{facts.workers} processes are to serve, and this system cannot share a port between them"
        yield Finding(check="workers", state="bad", says=says, remedy="workers: 1")
    elif facts.idle:
        says = f"{facts.workers} processes are there, and the first one serves everything: {facts.idle}"
        yield Finding(check="workers", state="note", says=says, remedy="docs/workers.md says what the others serve")
    elif facts.workers > facts.cores:
        yield Finding(check="workers", state="note", says=says, remedy=f"workers: {facts.cores}; more bring nothing")
    else:
        yield Finding(check="workers", state="good", says=says)


def _clock(facts: Facts) -> Iterator[Finding]:
    told = dt.datetime.fromtimestamp(facts.now, tz=dt.UTC).isoformat(timespec="seconds")
    ahead = facts.newest - facts.now
    wrong = ""
    if facts.now < RELEASED:
        wrong = "earlier than this version was made"
    elif ahead > CLOCK_SECONDS_MAX:
        wrong = f"{ahead:.0f} seconds behind the newest file in {facts.folder}"
    yield Finding(
        check="clock",
        state="bad" if wrong else "good",
        says=f"{told} is {wrong}" if wrong else told,
        remedy="set it: logins and reset times are told by it" if wrong else "",
    )


_CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _config, _port, _key, _folder, _disk, _accounts, _strays, _clis, _box, _doors, _machine, _workers, _clock,
)  # fmt: skip
