"""kill -9 at a random moment of a refresh, with a provider that ends a login whose refresh token comes twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from auth import lease
from auth.homes import Homes
from auth.oidc_source import OwnLogin
from auth.refresh import Keeper
from tests.oidc.conftest import Provider
from tests.oidc.homes import is_whole, made, refreshed, told
from tests.oidc.servers import Wanted

ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "16"))
"""``make faults`` asks for more."""
AT_ONCE = 4
PAUSE_MILLISECONDS = 30
CHANCE = random.Random()  # noqa: S311 - moments to kill at
ROOT = Path(__file__).parents[2]


class Servers:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def start(self, login: OwnLogin, data: Path) -> int:
        """One that begins to refresh at once; its process id."""
        wanted = Wanted(
            data=str(data), home=login.home, issuer=login.client.issuer, client_id=login.client.client_id,
            digest=login.read(data).access.digest,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(msgspec.json.encode(wanted) + b"\n")
            return int(await self._process.stdout.readline())


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.oidc.servers", cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Servers(process)
    finally:
        process.kill()
        await process.communicate()


async def test_a_server_that_is_killed_loses_no_login(provider: Provider, tmp_path: Path) -> None:
    """What is under way is finished by whoever outlives it; the next server finds a token, or gets one."""
    await provider.set(pause=PAUSE_MILLISECONDS)
    outcomes: Counter[str] = Counter()

    async def campaign(rounds: int) -> None:
        login = await made(provider, tmp_path)
        for _ in range(rounds):
            server = await killed_at.start(login, tmp_path)
            await asyncio.sleep(CHANCE.uniform(0.0, 1.0))
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
            assert is_whole(login, tmp_path)
            outcomes[await refreshed(login, tmp_path)] += 1

    async with servers() as killed_at:
        await asyncio.gather(*(campaign(ROUNDS // AT_ONCE) for _ in range(AT_ONCE)))
    counts = await provider.set()
    assert outcomes["login_needed"] + outcomes["failed"] + outcomes["uncertain"] == 0, (outcomes, counts)
    assert (counts["refused"], counts["revoked"]) == (0, 0)
    assert sum(outcomes.values()) == ROUNDS // AT_ONCE * AT_ONCE


async def holder(server: int, login: OwnLogin, data: Path) -> int | None:
    """The process that refreshes for that server, once there is one; None: it was done before anybody looked."""
    path = Homes(data).path_of(login.home) / lease.NAME
    while True:
        with contextlib.suppress(OSError, IndexError, ValueError):
            return int(path.read_text().splitlines()[1].split()[0])
        try:
            os.kill(server, 0)
        except ProcessLookupError:
            return None
        await asyncio.sleep(0.001)


async def kill_in_the_middle(servers: Servers, login: OwnLogin, data: Path) -> None:
    child = await holder(await servers.start(login, data), login, data)
    if child is None:
        return
    await asyncio.sleep(CHANCE.uniform(0.0, 0.12))
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


async def test_where_the_provider_forgives_even_the_refreshing_process_may_be_killed(
    provider: Provider, tmp_path: Path
) -> None:
    await provider.set(pause=PAUSE_MILLISECONDS, grace=60)
    outcomes: Counter[str] = Counter()

    async def campaign(rounds: int) -> None:
        login = await made(provider, tmp_path)
        for _ in range(rounds):
            await kill_in_the_middle(under_way, login, tmp_path)
            assert is_whole(login, tmp_path)
            outcomes[await refreshed(login, tmp_path)] += 1

    async with servers() as under_way:
        await asyncio.gather(*(campaign(ROUNDS // AT_ONCE) for _ in range(AT_ONCE)))
    counts = await provider.set()
    assert set(outcomes) <= {"refreshed", "fresh"}, (outcomes, counts)
    assert (counts["refused"], counts["revoked"]) == (0, 0)


async def test_where_it_does_not_what_is_lost_is_told_and_nothing_is_torn(provider: Provider, tmp_path: Path) -> None:
    """The answer was on its way to a process that is gone: the provider alone knows the token that it has given."""
    await provider.set(pause=PAUSE_MILLISECONDS)
    login = await made(provider, tmp_path)
    lost = 0
    async with servers() as under_way:
        for _ in range(min(ROUNDS, 100)):
            await kill_in_the_middle(under_way, login, tmp_path)
            assert is_whole(login, tmp_path)
            after = await told(login, tmp_path)
            if after.outcome == "login_needed":
                assert "was cut off before its answer came; log in again" in after.why
                lost += 1
                login = await made(provider, tmp_path)
            else:
                assert after.outcome in {"refreshed", "fresh"}, after
    assert (await provider.set())["revoked"] == lost


async def test_an_answer_that_is_lost_is_asked_for_once_more(provider: Provider, tmp_path: Path) -> None:
    await provider.set(lose=1, grace=60)
    login = await made(provider, tmp_path)
    assert (await told(login, tmp_path)).outcome == "uncertain"
    assert is_whole(login, tmp_path)
    assert (await told(login, tmp_path)).outcome == "refreshed"
    assert (await told(login, tmp_path)).outcome == "refreshed"


async def test_a_thousand_who_wait_and_leave_are_one_exchange_each_time(provider: Provider, tmp_path: Path) -> None:
    await provider.set(pause=PAUSE_MILLISECONDS)
    login = await made(provider, tmp_path)
    keeper = Keeper(tmp_path, on_change=lambda _id: None)
    keeper.keep([login])
    exchanges = max(2, ROUNDS // 25)
    for _ in range(exchanges):
        clients = [asyncio.create_task(keeper.refresh(login.id)) for _ in range(1000 // exchanges)]
        for client in CHANCE.sample(clients, len(clients) - 1):
            await asyncio.sleep(0)
            client.cancel()
        answers = await asyncio.gather(*clients, return_exceptions=True)
        assert sum(not isinstance(each, BaseException) for each in answers) == 1
    await keeper.close()
    counts = await provider.set()
    assert (counts["refresh"], counts["granted"]) == (exchanges, exchanges)


async def test_whoever_refreshes_at_the_same_time_does_it_once(provider: Provider, tmp_path: Path) -> None:
    """Several servers over one auth-dir."""
    login = await made(provider, tmp_path)
    outcomes = Counter(await asyncio.gather(*(refreshed(login, tmp_path) for _ in range(4))))
    assert outcomes == {"refreshed": 1, "fresh": 3}
    assert (await provider.set())["refresh"] == 1
