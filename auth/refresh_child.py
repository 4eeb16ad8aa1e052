"""One refresh, in a process of its own that outlives whoever asked for it: ``python -m auth.refresh_child``.

A provider that rotates its refresh tokens has forgotten the old one before the new one is on disk. Whoever is killed in
between has lost the login (facts: security.md F1). So this process has a session of its own, takes no hint to end, and
holds the home's lock from before the CLI starts until it has ended. It reads its task from standard input and tells on
standard output how it went, if anybody still listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from auth import atomic, lease
from auth.cli.dialogue import APP_SERVER, ControlProtocol, Dialogue, Refusal
from auth.cli.process import CliProcess, Ended
from auth.homes import Busy, Homes
from auth.lease import LeaseTaken
from auth.logins.about import ABOUT
from auth.logins.claude import SPEAK
from auth.logins.codex import CLIENT, OPTIONS
from auth.oidc import OidcClient
from auth.oidc_renewal import Renewal
from auth.refusal import LoginNeeded, Refused
from auth.seal import Seal
from auth.secret import Secret
from auth.tokens import Token, mark_refused, read_token, sync_token
from auth.told import Told

CLI_SECONDS_MAX = 120.0
"""Far beyond what any of them waits for its provider: cutting it off could lose the login."""
CHANGE_SECONDS_MAX = 15.0
LOCK_SECONDS_MAX = CLI_SECONDS_MAX + 30.0
"""Whoever has it may take as long as its CLI."""
ROOM_BYTES_MIN = 1024 * 1024
_ROOM = "room"
_LOCK_STEP_SECONDS = 0.1


class OwnClient(msgspec.Struct):
    """`auth.oidc.OidcClient`, on its way through a pipe. `seal_key`: as in the environment; empty: none."""

    issuer: str
    client_id: str
    secret: str
    scopes: tuple[str, ...]
    proxy_url: str
    seal_key: str = ""


class Task(msgspec.Struct):
    kind: str
    data: str
    """The auth-dir."""
    home: str
    """Its name."""
    command: list[str]
    variables: dict[str, str]
    environment: dict[str, str]
    digest: str
    """Of the token that is to be replaced: another one has been refreshed meanwhile."""
    is_survey: bool = False
    """Nothing is to be refreshed: the CLI is asked what it knows of the account."""
    client: OwnClient | None = None
    """Of an own OIDC login: no CLI is asked, but its provider."""


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)  # cut off: whoever asked is gone, nothing was begun
    if os.fork():
        os._exit(0)  # an event loop that closes kills its children, but not theirs
    os.setsid()
    told = asyncio.run(_refresh(task))
    with contextlib.suppress(OSError):
        sys.stdout.buffer.write(msgspec.json.encode(told))
        sys.stdout.buffer.flush()


async def _refresh(task: Task) -> Told:
    """Once it has the lock nothing cuts it short but the CLI's own time."""
    homes = Homes(Path(task.data))
    loop = asyncio.get_running_loop()
    latest = loop.time() + LOCK_SECONDS_MAX
    while True:
        try:
            with homes.owned(task.home) as home:
                async with lease.held(home):
                    return await (_act(task, home) if task.client is None else _renew(task.client, task.digest, home))
        except (Busy, LeaseTaken) as error:
            if loop.time() > latest:
                return Told("failed", str(error))
        except Refused as error:
            return Told("login_needed", str(error))
        await asyncio.sleep(_LOCK_STEP_SECONDS)


async def _renew(client: OwnClient, digest: str, home: Path) -> Told:
    own = OidcClient(
        issuer=client.issuer,
        client_id=client.client_id,
        secret=Secret(client.secret),
        scopes=client.scopes,
        proxy_url=client.proxy_url,
    )
    return await Renewal(home=home, client=own, digest=digest, seal=Seal.of(client.seal_key)).run()


async def _act(task: Task, home: Path) -> Told:
    """Look again, act, look."""
    try:
        if read_token(task.kind, home).access.digest != task.digest and not task.is_survey:
            return Told("fresh")
    except LoginNeeded as error:
        return Told("login_needed", str(error))
    except Refused as error:
        return Told("failed", str(error))
    if fault := _no_room(home):
        return Told("failed", f"what the CLI wrote would be lost, so it was not asked: {home} has no room: {fault}")
    why, survey = "", None
    try:
        async with asyncio.timeout(CLI_SECONDS_MAX):
            if task.is_survey:
                survey = await ABOUT[task.kind](functools.partial(_start, task, home), home)
            else:
                why = await _ASKING[task.kind](task, home)
    except TimeoutError:
        why = "the CLI did not answer in time"
    except (Ended, Refusal) as error:
        why = str(error)
    if task.is_survey:
        return Told("failed", why) if survey is None else Told("fresh", survey=survey)
    return _judged(task, home, why)


def _no_room(home: Path) -> str:
    """Why; empty: there is. A CLI finds the disk full when its file is empty already, and its refresh token used up."""
    try:
        for left in home.glob(f".{_ROOM}{atomic.TEMPORARY}*"):
            left.unlink(missing_ok=True)
        with atomic.opened(home) as folder, atomic.room(folder, _ROOM, bytes_min=ROOM_BYTES_MIN):
            return ""
    except OSError as error:
        return error.strerror or "it cannot be written"


def _judged(task: Task, home: Path, why: str) -> Told:
    try:
        token: Token = read_token(task.kind, home)
    except LoginNeeded as error:
        return Told("login_needed", str(error))
    except Refused as error:
        return Told("failed", str(error))
    if token.access.digest != task.digest:
        sync_token(task.kind, home)
        return Told("refreshed")
    if any(mark in why for mark in _GONE):
        mark_refused(home, token)
        return Told("login_needed", "the provider has refused the login; log in again")
    if _MANUAL in why:
        return Told("failed", "the CLI could not refresh it; if that stays so, log in again")
    return Told("failed", " ".join(why.split())[:300] or "the CLI has not refreshed it")


_MANUAL = "Manual authorization is required"
"""Gemini CLI's word for a revoked login and for a provider in trouble alike."""
_GONE = ("invalid_grant", "refresh_token_reused", "refresh_token_expired", "no account")


async def _ask_claude(task: Task, home: Path) -> str:
    """Acts within five minutes of the expiry, and after it; beside its answers, so it must not end before the file has
    changed. Its status command does not wait for that.
    """
    dialogue = Dialogue(await _start(task, home, *SPEAK), ControlProtocol())
    loop = asyncio.get_running_loop()
    try:
        await dialogue.ask("initialize")
        with contextlib.suppress(Refusal, TimeoutError):
            await dialogue.ask("get_usage", {"skip_behaviors": True})  # needs a good token
        latest = loop.time() + CHANGE_SECONDS_MAX
        while loop.time() < latest and not _is_changed(task, home):  # noqa: ASYNC110 - the CLI tells nobody
            await asyncio.sleep(_LOCK_STEP_SECONDS)
    finally:
        await dialogue.close()
    return ""


def _is_changed(task: Task, home: Path) -> bool:
    try:
        return read_token(task.kind, home).access.digest != task.digest
    except LoginNeeded:
        return True
    except Refused:
        return False


async def _ask_gemini(task: Task, home: Path) -> str:
    """Acts within five minutes of the expiry, and after it. The working folder is empty: nothing to summarize."""
    return await _run(task, home, "--list-sessions", NO_BROWSER="true")


async def _run(task: Task, home: Path, *arguments: str, **variables: str) -> str:
    process = await _start(task, home, *arguments, **variables)
    try:
        await process.read()
        await process.finished()
        return process.told
    finally:
        await process.close()


async def _ask_codex(task: Task, home: Path) -> str:
    """At any time. There is one process per home: the lock says so. It looks at the account as it starts, and where the
    provider refuses the token there it refreshes by itself: then it is not told to once more.
    """
    dialogue = Dialogue(await _start(task, home, *OPTIONS), APP_SERVER)
    try:
        await dialogue.ask("initialize", {"clientInfo": dict(CLIENT), "capabilities": {"experimentalApi": True}})
        await dialogue.tell({"method": "initialized"})
        with contextlib.suppress(Refusal):
            read = await dialogue.ask("account/read", {})
            if _is_changed(task, home):
                return "" if read.get("account") else "no account"
        read = await dialogue.ask("account/read", {"refreshToken": True})
        return "" if read.get("account") else "no account"
    finally:
        await dialogue.close()


async def _start(task: Task, home: Path, *arguments: str, **variables: str) -> CliProcess:
    return await CliProcess.start(
        [*task.command, *arguments], home=home, variables={**task.variables, **variables}, ours=task.environment
    )


_ASKING: Mapping[str, Callable[[Task, Path], Awaitable[str]]] = {
    "claude-code": _ask_claude,
    "codex": _ask_codex,
    "gemini-cli": _ask_gemini,
}

if __name__ == "__main__":
    main()
