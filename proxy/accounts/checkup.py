"""The facts that ``proxy doctor`` judges by: files, ports, programs and the kernel, looked at and left as they are."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import resource
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from auth.cli import confine
from auth.cli.install import CLI_TABLE, CLIS, Cli, CliMissing, find, pinned, version_of
from auth.cli.process import CliProcess, Ended
from auth.homes import Homes
from auth.logins.table import LOGIN_KINDS
from auth.ports import is_free, owner_of
from auth.store import HOMES
from management.key_ring import UNPROVED, is_hashed
from management.masking import Masked
from management.sieve import SieveFile
from proxy.accounts.desk import Desk, Row
from proxy.accounts.diagnosis import CliFact, Facts
from proxy.accounts.egress import with_egress
from proxy.accounts.known import resting
from proxy.config.schema import Config
from proxy.upstream import claude_code, claude_process, codex_settings
from proxy.upstream.acp import PROFILES
from proxy.upstream.acp_process import outdated
from proxy.upstream.cli_traces import memory_bytes

ASK_SECONDS_MAX = 2.0
HELP_SECONDS_MAX = 30.0
_OTHERS = 0o077
_STATE = "state"
"""In the auth-dir; what stands in there is not for others either."""
_PRIVATE = (HOMES, _STATE)
_OURS = "proxy"
"""How the server calls itself in its answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """Of a CLI that asks for others: which switches, of which of its commands."""

    switches: tuple[str, ...]
    command: tuple[str, ...]


_NEEDS: Mapping[str, _Needs] = {
    "claude": _Needs(switches=tuple(each for each in claude_process.FLAGS if each.startswith("--")), command=()),
    "codex": _Needs(switches=("--strict-config",), command=("app-server",)),
    **{
        profile.cli.name: _Needs(
            switches=tuple(each for each in profile.arguments if each.startswith("--")),
            command=tuple(each for each in profile.arguments[:1] if not each.startswith("--")),
        )
        for profile in PROFILES
    },
}


def _outdated(cli: Cli, version: str) -> str:
    """Why this version does not ask for others; empty: it does."""
    if cli.name == "claude":
        return claude_code.outdated(version) or ""
    if cli.name == "codex":
        return codex_settings.refusal(f"/{version}") or ""
    profile = next((each for each in PROFILES if each.cli.name == cli.name), None)
    return "" if profile is None else outdated(profile, version) or ""


def needed(rows: Collection[Row]) -> frozenset[str]:
    """The CLIs of the accounts that are in use."""
    logins = {row.provider: LOGIN_KINDS[row.provider].cli.name for row in rows if row.provider in LOGIN_KINDS}
    return frozenset({*logins.values(), *(row.cli for row in rows if row.cli)})


async def gathered(desk: Desk, config: Config, where: str, warnings: tuple[str, ...], ours: Mapping[str, str]) -> Facts:
    """`where`: the config's file. `ours`: the environment."""
    folder, now = desk.folder, time.time()
    rows = desk.rows()
    egress = with_egress(ours, desk.proxy_url)
    is_needed = needed([row for row in rows if row.state == "ready"])
    clis = await asyncio.gather(*(_cli(cli, folder, egress, cli.name in is_needed) for cli in CLI_TABLE.values()))
    ports = sorted({kind.port for kind in LOGIN_KINDS.values() if kind.port})
    is_serving = await asyncio.to_thread(_answers, config)
    return Facts(
        config=where,
        warnings=warnings,
        port=config.port,
        port_owner="" if is_serving or not config.port or is_free(config.port) else owner_of(config.port),
        is_serving=is_serving,
        folder=str(folder),
        folder_mode=_mode(folder),
        folder_fault=desk.fault or "",
        remarks=tuple(desk.remarks()),
        loose=tuple(map(str, _loose(folder))),
        unwritable=_unwritable(folder),
        free_bytes=_free_bytes(folder),
        strays=Homes(folder).strays(),
        rows=rows,
        resting=resting(folder, unix=now),
        clis=clis,
        landlock=(landlock := confine.version()),
        bubblewrap="" if landlock else confine.bubblewrap(),
        doors={port: "" if is_free(port) else owner_of(port) for port in ports},
        memory_bytes=memory_bytes(),
        files_max=_files_max(),
        now=now,
        management_key=_management_key(config, folder),
        is_config_open=_is_open(Path(where), config),
        workers=config.workers,
        idle=_idle(config),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        can_share=hasattr(socket, "SO_REUSEPORT") and hasattr(socket, "send_fds"),
        newest=max((path.stat().st_mtime for path in _top(folder)), default=0.0),
    )


def _is_open(path: Path, config: Config) -> bool:
    """It holds secrets, and others may read it."""
    mode = _mode(path)
    return mode is not None and bool(mode & _OTHERS) and bool(Masked(config).secrets)


def _idle(config: Config) -> str:
    """Why only the first of several workers serves (`proxy.workers.scope`)."""
    reasons = (
        (config.request_log, "request-log is on"),
        (any(budget.quota_percent for key in config.api_keys for budget in key.budgets), "a budget is in quotas"),
        (config.limits.ip or config.limits.session, "limits hold for everybody"),
    )
    return next((why for holds, why in reasons if holds), "")


def _management_key(config: Config, folder: Path) -> str:
    stored = config.remote_management.secret_key.reveal()
    if not is_hashed(stored):
        return ""
    sieve = SieveFile(folder, lambda _why: None).read()
    return "" if sieve is not None and sieve.is_of(stored) else UNPROVED


def bare(where: str, error: str) -> Facts:
    """Without a config there is only the machine."""
    return Facts(
        config=where,
        config_error=error,
        landlock=(landlock := confine.version()),
        bubblewrap="" if landlock else confine.bubblewrap(),
        memory_bytes=memory_bytes(),
        files_max=_files_max(),
        now=time.time(),
    )


async def _cli(cli: Cli, folder: Path, ours: Mapping[str, str], is_needed: bool) -> CliFact:
    needs = _NEEDS.get(cli.name)
    version = place = missing = ""
    lacking: tuple[str, ...] = ()
    try:
        installed = find(cli, folder, ours)
        place = installed.command[-1]
        with tempfile.TemporaryDirectory(prefix="cli-version-") as scratch:
            version = await version_of(installed, Path(scratch), ours)
            if needs is not None and is_needed:
                told = await _help([*installed.command, *needs.command, "--help"], Path(scratch), ours)
                lacking = tuple(each for each in needs.switches if each.encode() not in told)
    except CliMissing as error:
        missing = str(error)
    return CliFact(
        name=cli.name,
        whose=cli.whose,
        pinned=pinned(cli),
        is_needed=is_needed,
        is_backend=needs is not None,
        version=version,
        place=place,
        missing=missing,
        outdated=_outdated(cli, version) if version and needs is not None else "",
        lacking=lacking,
    )


async def _help(command: list[str], home: Path, ours: Mapping[str, str]) -> bytes:
    """Wherever it says it; nothing, where it says nothing."""
    with contextlib.suppress(Ended, TimeoutError):
        process = await CliProcess.start(command, home=home, ours=ours)
        try:
            async with asyncio.timeout(HELP_SECONDS_MAX):
                return await process.read() + process.told.encode()
        finally:
            await process.close()
    return b""


def _answers(config: Config) -> bool:
    """Whether the server is there, as far as it is asked without TLS."""
    host = "127.0.0.1" if config.host in {"", "0.0.0.0", "::", "localhost"} else config.host  # noqa: S104 - not bound
    asking = http.client.HTTPConnection(host, config.port or 1, timeout=ASK_SECONDS_MAX)
    try:
        asking.request("GET", "/healthz")
        return asking.getresponse().headers.get("server", "").startswith(_OURS)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()


def _mode(folder: Path) -> int | None:
    with contextlib.suppress(OSError):
        return stat.S_IMODE(folder.stat().st_mode)
    return None


def _top(folder: Path) -> Iterator[Path]:
    """What stands in the auth-dir itself."""
    with contextlib.suppress(OSError):
        yield from folder.iterdir()


def _loose(folder: Path) -> Iterator[Path]:
    """What others could read: the auth-dir keeps them out of all that is in it, so that only counts where it does not,
    and for what it says itself.
    """
    mode = _mode(folder)
    if mode is None or not mode & _OTHERS:
        return
    yield folder
    for path in (*_top(folder), *(each for name in _PRIVATE for each in _top(folder / name))):
        with contextlib.suppress(OSError):
            if path.name != CLIS and path.lstat().st_mode & _OTHERS and not path.is_symlink():
                yield path


def _unwritable(folder: Path) -> str:
    """In the folder, or where it would be made."""
    place = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        descriptor, name = tempfile.mkstemp(prefix=".proxy-doctor-", dir=place)
        os.write(descriptor, b"1")
        os.fsync(descriptor)
        os.close(descriptor)
        Path(name).unlink()
    except OSError as error:
        return error.strerror or "it does not say why"
    return ""


def _free_bytes(folder: Path) -> int | None:
    place = next(each for each in (folder, *folder.parents) if each.exists())
    with contextlib.suppress(OSError):
        return shutil.disk_usage(place).free
    return None


def _files_max() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
