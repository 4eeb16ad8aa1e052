"""One upstream, one server and one client of each SDK for all tests of a worker; they share one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from proxy.upstream.replay import Deck
from proxy.upstream.replay_server import ReplayServer
from tests.contract.clients import Clients
from tests.contract.house import ACCOUNTS, CLIENT_KEY, LANES, STRICT_KEY, Account, House, Lane, account, settings
from tests.contract.stage import FORMATS, Stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[ReplayServer]:
    async with ReplayServer(Deck(), pace=0) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(server: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The server under test."""
    house = House(folder=tmp_path_factory.mktemp("house"))
    keys = [{"api-key": CLIENT_KEY, "name": "master"}, {"api-key": STRICT_KEY, "name": "pilot", "strict": True}]
    house.configure(settings(server.url, ACCOUNTS, **{"api-keys": keys}))
    await house.start()
    yield house
    assert await house.stop() == 0
    house.check_log()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def clients(house: House) -> AsyncIterator[Clients]:
    async with Clients(house.url, CLIENT_KEY) as clients:
        yield clients


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def raw(house: House) -> AsyncIterator[aiohttp.ClientSession]:
    """Whoever has no SDK."""
    headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
    async with aiohttp.ClientSession(house.url, headers=headers, auto_decompress=False) as session:
        yield session


@pytest.fixture
def stage(server: ReplayServer) -> Iterator[Stage]:
    stage = Stage(server)
    stage.plays()
    yield stage
    stage.plays()


@pytest.fixture(scope="session")
def lane() -> Lane:
    """Of two keys."""
    numbers = {wire: count() for wire in FORMATS}

    def take(wire: str) -> Account:
        number = next(numbers[wire])
        assert number < LANES, "raise LANES"
        return account(wire, f"lane{number}", keys=2)

    return take


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
