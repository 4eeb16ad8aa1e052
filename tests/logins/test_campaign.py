"""Bad luck, many times over: whoever asked for a refresh, the server too, is killed outright, at any moment of it. No
login may be lost.

The vendor has forgotten the old token as soon as it was asked for a new one, and ends a login whose old one comes back
(Google's stays the same: there a torn file is what would lose it).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import random
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from auth.refresh import Keeper, Kept
from auth.refusal import Refused
from auth.secret import Secret
from auth.tokens import TOKEN_FILES
from tests.logins.conftest import House, until
from tests.logins.forks import Wanted
from tests.logins.stage import MODELS, SECONDS_MAX, Server, asks
from tests.logins.test_refresh import age, logged_in, token_of
from tests.logins.vendor import GOOGLE_S, Vendor

ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "4"))
AT_ONCE = 3 if ROUNDS > 50 else 1
"""Logins, each with a vendor of its own."""
CLIENTS = 1000
SLACK = 1.1
"""Of the time that a refresh took: some moments are just after it."""
CHANCE = random.Random()  # noqa: S311 - moments, no secrets
ROOT = Path(__file__).parents[2]
LOG = logging.getLogger(__name__)


class Forks:
    """Processes that are to be killed, at once there."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def start(self, wanted: Wanted) -> int:
        """Its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(msgspec.json.encode(wanted) + b"\n")
            return int(await self._process.stdout.readline())


@pytest.fixture
async def forks() -> AsyncIterator[Forks]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.logins.forks", cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    yield Forks(process)
    process.kill()
    await process.communicate()


@dataclass(slots=True)
class Victim:
    """A login, and whoever is killed while it is refreshed."""

    house: House
    vendor: Vendor
    forks: Forks
    login: Kept
    kind: str
    pid: int = 0
    refreshed: int = 0
    rounds: int = 0
    turns: list[asyncio.Task[str]] = field(default_factory=list)

    @property
    def told(self) -> Path:
        return self.house.folder.parent / "told"

    async def asks_for_it(self) -> None:
        fields = {name: getattr(self.login, name) for name in Kept.__dataclass_fields__}
        self.pid = await self.forks.start(
            Wanted(
                environment=self.house.environment, told=str(self.told), data=str(self.house.folder), login=fields,
                digest=token_of(self.house, self.login).access.digest,
            )
        )  # fmt: skip

    async def serves(self) -> None:
        """A server, which refreshes at once. In every other round its CLI is answering somebody meanwhile."""
        server = Server(self.house)
        environment = {**self.house.environment, "HOME": str(self.told.parent)}
        config = server.configured()
        self.told.unlink(missing_ok=True)
        self.pid = await self.forks.start(Wanted(environment=environment, told=str(self.told), config=str(config)))
        await until(lambda: bool(_addresses(self.told)))
        (server.url,) = _addresses(self.told)
        if self.rounds % 2:
            self.turns.append(asyncio.create_task(asks(server, self.kind, self.rounds)))

    async def killed(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        gone = Path(f"/proc/{self.pid}")
        await until(lambda: not gone.exists())
        while self.turns:
            await asyncio.wait(self.turns)
            self.turns.pop().exception()

    async def round(self, begins: Callable[[], Awaitable[None]], seconds: float) -> None:
        home = self.house.folder / "homes" / self.login.home
        shorten(self.kind, home)
        before = token_of(self.house, self.login)
        await begins()
        await asyncio.sleep(seconds * CHANCE.random())  # the moment is what is tested
        await self.killed()
        await quiet(self.vendor)
        self.rounds += 1
        self.refreshed += token_of(self.house, self.login).access != before.access
        assert self.vendor.reused == [], f"round {self.rounds}"
        newest = self.vendor.newest or GOOGLE_S
        assert refresh_token(self.house, self.login) == newest, f"round {self.rounds}: the login is lost"

    async def seconds(self, begins: Callable[[], Awaitable[None]]) -> float:
        """That a refresh takes, if nobody is killed."""
        shorten(self.kind, self.house.folder / "homes" / self.login.home)
        before = token_of(self.house, self.login).access
        await begins()
        began = time.monotonic()
        await until(lambda: self._is_replaced(before))
        took = time.monotonic() - began
        await self.killed()
        await quiet(self.vendor)
        return took

    def _is_replaced(self, before: Secret) -> bool:
        with contextlib.suppress(Refused):  # it is being written
            return token_of(self.house, self.login).access != before
        return False


@asynccontextmanager
async def victims(folder: Path, forks: Forks, kind: str) -> AsyncIterator[list[Victim]]:
    """They log in one after the other: the ports are the same."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(AT_ONCE):
            place = folder / str(number)
            place.mkdir()
            vendor = await stack.enter_async_context(Vendor(place))
            house = House(place / "auth", vendor)
            found.append(Victim(house, vendor, forks, await logged_in(house, kind), kind))
        yield found


async def campaign(victim: Victim, begins: Callable[[], Awaitable[None]]) -> None:
    seconds = SLACK * await victim.seconds(begins)
    for number in range(-(-ROUNDS // AT_ONCE)):
        await victim.round(begins, seconds)
        LOG.info("%s: %d killed within %.1f s, %d refreshed", victim.kind, number + 1, seconds, victim.refreshed)
    while not victim.refreshed:  # none came as far as the vendor: the machine has become slower since
        seconds *= 2
        await victim.round(begins, seconds)


@pytest.mark.parametrize("kind", MODELS)
async def test_F1_killed_at_any_moment_no_login_is_lost(tmp_path: Path, forks: Forks, kind: str) -> None:
    async with victims(tmp_path, forks, kind) as them:
        await asyncio.gather(*(campaign(each, each.asks_for_it) for each in them))


@pytest.mark.parametrize("kind", MODELS)
async def test_F1_the_server_is_killed_at_any_moment_of_its_refresh(tmp_path: Path, forks: Forks, kind: str) -> None:
    async with victims(tmp_path, forks, kind) as them:
        await asyncio.gather(*(campaign(each, each.serves) for each in them))


async def test_a_thousand_clients_who_leave_cost_one_exchange(house: House, vendor: Vendor) -> None:
    login = await logged_in(house, "codex")
    vendor.asked.clear()
    keeper = Keeper(house.folder, on_change=lambda _: None)
    keeper.keep([login])
    clients = [asyncio.create_task(keeper.refresh("one")) for _ in range(CLIENTS)]
    await asyncio.sleep(0)
    for each in clients:
        each.cancel()
    await asyncio.wait(clients)
    assert (await keeper.refresh("one")).outcome == "refreshed"
    assert sum(asked.body.get("grant_type") == "refresh_token" for asked in vendor.asked) == 1
    await keeper.close()


async def quiet(vendor: Vendor) -> None:
    """Nothing that knows of this vendor runs any more."""
    mark = str(vendor.authority).encode()

    def is_busy() -> bool:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes():
                    return True
        return False

    looks = 0  # one look may miss a process that is replaced by its child meanwhile
    async with asyncio.timeout(SECONDS_MAX):
        while looks < 3:
            looks = 0 if await asyncio.to_thread(is_busy) else looks + 1
            await asyncio.sleep(0.03)


def shorten(kind: str, home: Path) -> None:
    """So that it is due: also Codex's, whose token says itself how long it lasts."""
    age(kind, home)
    if kind == "codex":
        path = home / TOKEN_FILES[kind].path
        saved = msgspec.json.decode(path.read_bytes())
        head, body, signature = saved["tokens"]["access_token"].split(".")
        claims = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        body = base64.urlsafe_b64encode(msgspec.json.encode({**claims, "exp": int(time.time()) + 900}))
        saved["tokens"]["access_token"] = ".".join((head, body.rstrip(b"=").decode(), signature))
        path.write_bytes(msgspec.json.encode(saved))


def refresh_token(house: House, login: Kept) -> str:
    saved = msgspec.json.decode((house.folder / "homes" / login.home / TOKEN_FILES[login.kind].path).read_bytes())
    if login.kind == "codex":
        return str(saved["tokens"]["refresh_token"])
    if login.kind == "gemini-cli":
        return str(saved["refresh_token"])
    return str(saved["claudeAiOauth"]["refreshToken"])


def _addresses(told: Path) -> list[str]:
    """That a server has printed."""
    return re.findall(r"http://127\.0\.0\.1:\d+", told.read_text())[:1] if told.exists() else []
