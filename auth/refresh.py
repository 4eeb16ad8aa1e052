"""When a login is refreshed, and having it done: by the official CLI, in a process of its own (`auth.refresh_child`).

::

    fresh ──due──▶ refreshing ──▶ fresh
                     ├── failed: again later and later; the token is used as long as it lasts
                     └── login needed: not tried again until the CLI's file is another one

Every login is kept, the disabled and the exhausted too: what is not refreshed is lost one day.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from auth.cli.process import INHERITED
from auth.homes import Homes
from auth.refresh_child import Task
from auth.refusal import LoginNeeded, Refused
from auth.tokens import Token, read_token
from auth.told import Told

LEAD_SECONDS: Mapping[str, float] = {"claude-code": 240.0, "codex": 6 * 3600.0, "gemini-cli": 240.0}
"""Before the expiry. Claude Code and Gemini CLI do nothing earlier than five minutes before it."""
JITTER_SECONDS: Mapping[str, float] = {"claude-code": 90.0, "codex": 3600.0, "gemini-cli": 90.0}
"""So much earlier or, for those that refuse to be early, later at random: a clock that jumps is no stampede."""
OWN_LEAD_SECONDS_MIN = 300.0
OWN_LEAD_SHARE = 0.1
"""Of a token's life: so long before its end those are refreshed that we refresh ourselves; a fifth more or less."""
HAD_AT_ANY_TIME = frozenset({"vertex"})
"""Kinds that need no token to get one."""
AT_ONCE_MAX = 2
RETRY_SECONDS = 60.0
RETRY_SECONDS_MAX = 1800.0
CHILD_SECONDS_MAX = 300.0
"""So long a child is waited for; then it goes on alone, and others have its turn."""
UNCERTAIN_RETRY_SECONDS = 10.0
"""Where an answer was lost: providers that forgive a second use of a refresh token do so for half a minute."""
_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Which certificates to believe, where the system's own are not meant."""
talks: set[asyncio.Task[tuple[bytes, bytes]]] = set()
"""With children that are at work, waited for or not."""
LOOK_SECONDS = 1.0
"""A token that somebody else has replaced is seen this soon."""


class Source(Protocol):
    """Whatever has a token that is to be kept fresh. `data`: the auth-dir."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...

    def read(self, data: Path) -> Token | None:
        """The token as it is now; None: there is none yet. Raises `LoginNeeded`, `Refused`."""
        ...

    async def renew(self, data: Path, digest: str) -> Told:
        """Another token than the one of this digest. Once begun it may not be cut short."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A login in a home. `command` and `variables`: of its CLI."""

    id: str
    kind: str
    home: str
    command: Sequence[str]
    variables: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False)

    def read(self, data: Path) -> Token:
        return read_token(self.kind, Homes(data).path_of(self.home))

    async def renew(self, data: Path, digest: str) -> Told:
        if not self.command:
            return Told("failed", "its CLI is not there")
        return await run_child(data, self, digest)


@dataclass(slots=True)
class Status:
    """`token`: the last that was good. `why`: what is wrong now; empty: nothing."""

    token: Token | None = None
    why: str = ""
    is_login_needed: bool = False
    failures: int = 0
    is_uncertain: bool = False
    """An answer was lost: what the provider holds for good is not known."""
    tried_at: float = float("-inf")
    chance: float = 0.5
    """Where in its jitter this token is refreshed; drawn anew for each."""
    refused_digest: str = ""
    """Of the token that the provider has refused to refresh."""


_NOTHING = Status()


def due_at(kind: str, status: Status) -> float | None:
    """In Unix seconds; None: not before something changes."""
    token = status.token
    if token is None:
        due = float("-inf")
        if kind not in HAD_AT_ANY_TIME:
            return None
    elif token.expires_at is None or status.refused_digest == token.access.digest:
        return None
    else:
        due = token.expires_at - lead_seconds(kind, token, status.chance)
    return max(due, status.tried_at + pause_seconds(status))


def pause_seconds(status: Status) -> float:
    """From one try to the next. Also after one that has brought a token: where that seems to be due already, our clock
    differs from the provider's, and another one would be no fresher.
    """
    if not status.failures:
        if status.token is None:
            return 0.0
        life = status.token.life_seconds or 2 * RETRY_SECONDS_MAX
        return min(life / 2, RETRY_SECONDS_MAX)
    if status.is_uncertain and status.failures == 1:
        return UNCERTAIN_RETRY_SECONDS
    return retry_seconds(status.failures)


def lead_seconds(kind: str, token: Token, chance: float) -> float:
    """`chance`: between 0 and 1."""
    if kind in LEAD_SECONDS:
        return LEAD_SECONDS[kind] - JITTER_SECONDS[kind] * chance
    life = token.life_seconds or 2 * OWN_LEAD_SECONDS_MIN
    lead = min(max(OWN_LEAD_SECONDS_MIN, OWN_LEAD_SHARE * life), life / 2)
    return lead * (0.8 + 0.4 * chance)


def retry_seconds(failures: int) -> float:
    return min(RETRY_SECONDS * 2.0 ** (failures - 1), RETRY_SECONDS_MAX)


class Keeper:
    """`on_change` is called on the loop, after a token or a status has changed."""

    def __init__(
        self,
        data: Path,
        *,
        on_change: Callable[[str], None],
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._data = data
        self._on_change = on_change
        self._now = now
        self._chance = chance
        self._kept: dict[str, Source] = {}
        self._statuses: dict[str, Status] = {}
        self._under_way: dict[str, asyncio.Task[Told]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(AT_ONCE_MAX)

    def keep(self, logins: Sequence[Source]) -> None:
        """These, and no others."""
        self._kept = {each.id: each for each in logins}
        self._statuses = {each.id: self._statuses.get(each.id, Status()) for each in logins}
        for each in logins:
            self._read(each)

    def status(self, login_id: str) -> Status:
        return self._statuses.get(login_id, Status())

    def start(self) -> None:
        self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """What is being refreshed goes on without us."""
        for each in (self._looking, *self._under_way.values()):
            if each is not None:
                each.cancel()
                await asyncio.wait({each})

    async def refresh(self, login_id: str) -> Told:
        """Now. Whoever asks meanwhile gets the same; whoever no longer waits does not end it."""
        return await asyncio.shield(self._begin(self._kept[login_id]))

    async def renew(self, login_id: str, digest: str) -> None:
        """The provider has refused the token of this digest before its time. Nothing is done where there is another one
        already, where a human has to act, and where it was tried a moment ago.
        """
        login = self._kept.get(login_id)
        if login is None:
            return
        if self._read(login):
            self._on_change(login_id)
        status = self.status(login_id)
        if status.token is None or status.is_login_needed or status.token.access.digest != digest:
            return
        if login_id in self._under_way or self._now() >= status.tried_at + RETRY_SECONDS:
            await self.refresh(login_id)

    def _begin(self, login: Source) -> asyncio.Task[Told]:
        running = self._under_way.get(login.id)
        if running is None:
            running = self._under_way[login.id] = asyncio.create_task(self._refresh(login))
            running.add_done_callback(functools.partial(self._forget, login.id))
        return running

    def _forget(self, login_id: str, _running: asyncio.Task[Told]) -> None:
        self._under_way.pop(login_id, None)

    async def _look(self) -> None:
        while True:
            for login in list(self._kept.values()):
                if login.id in self._statuses and self._read(login):
                    self._on_change(login.id)  # after which it may no longer be kept
                due = due_at(login.kind, self._statuses.get(login.id, _NOTHING))
                if due is not None and due <= self._now():
                    self._begin(login)
            await asyncio.sleep(LOOK_SECONDS)

    def _read(self, login: Source) -> bool:
        """Whether there is another token, or another fault."""
        status = self._statuses[login.id]
        status.tried_at = min(status.tried_at, self._now())  # where the clock was set back since
        was = (status.token, status.why)
        try:
            token = login.read(self._data)
        except LoginNeeded as error:
            status.why, status.is_login_needed = str(error), True
        except Refused as error:
            if not status.is_login_needed:
                status.why = str(error)  # what was read before stays in force
        else:
            if token is None:
                status.token = None  # and nothing is wrong
            elif status.token is None or token.access != status.token.access:
                status.failures, status.chance, status.is_login_needed, status.why = 0, self._chance(), False, ""
            elif status.refused_digest != token.access.digest and not status.failures:
                status.is_login_needed, status.why = False, ""
            status.token = token
        return was != (status.token, status.why)

    async def _refresh(self, login: Source) -> Told:
        status = self._statuses[login.id]
        digest = "" if status.token is None else status.token.access.digest
        async with self._room:
            told = await login.renew(self._data, digest)
        status.tried_at = self._now()
        status.is_uncertain = told.outcome == "uncertain"
        match told.outcome:
            case "refreshed" | "fresh":
                status.failures, status.why = 0, ""
            case "login_needed":
                status.why, status.is_login_needed, status.refused_digest = told.why, True, digest
            case "failed" | "uncertain":
                status.failures += 1
                status.why = f"could not be refreshed: {told.why}"
        if self._statuses.get(login.id) is status:
            self._read(login)
            self._on_change(login.id)
        return told


async def run_child(data: Path, login: Kept, digest: str, *, is_survey: bool = False) -> Told:
    task = Task(
        kind=login.kind,
        data=str(data),
        home=login.home,
        command=list(login.command),
        variables=dict(login.variables),
        environment={name: login.environment[name] for name in INHERITED if name in login.environment},
        digest=digest,
        is_survey=is_survey,
    )
    return await run(task, login.environment)


async def run(task: Task, environment: Mapping[str, str]) -> Told:
    """In a child. A cancelled wait leaves it to its work."""
    sources = str(Path(__file__).parents[1])
    trust = {name: environment[name] for name in _TRUST if name in environment}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth.refresh_child",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd="/", start_new_session=True, env={"PATH": os.defpath, "PYTHONPATH": sources, **trust},
    )  # fmt: skip
    talk = asyncio.create_task(child.communicate(msgspec.json.encode(task)))
    talks.add(talk)
    talk.add_done_callback(talks.discard)
    await asyncio.wait({talk}, timeout=CHILD_SECONDS_MAX)
    if not talk.done():
        return Told("failed", "the refresh is still under way; what it brings is used as soon as it is there")
    out, _ = talk.result()
    try:
        return msgspec.json.decode(out, type=Told)
    except msgspec.DecodeError:
        return Told("failed", f"the refresh ended with code {child.returncode}")
