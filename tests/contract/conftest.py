"""One upstream, one server and one client of each SDK for all tests of a worker; they share one event loop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from proxy.upstream.replay import Deck
from proxy.upstream.replay_server import ReplayServer
from tests.contract.clients import Clients
from tests.contract.house import (
    ACCOUNTS,
    CLIENT_KEY,
    IMPATIENT,
    LANES,
    STRICT_KEY,
    Account,
    House,
    Lane,
    account,
    entries,
    settings,
)
from tests.contract.stage import FORMATS, VENDORS, Stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[ReplayServer]:
    async with ReplayServer(Deck(), pace=0) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(server: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The server under test."""
    house = House(folder=tmp_path_factory.mktemp("house"))
    keys = [{"api-key": CLIENT_KEY, "name": "master"}, {"api-key": STRICT_KEY, "name": "pilot", "strict": True}]
    told = settings(server.url, ACCOUNTS, **{"api-keys": keys})
    with socket.socket() as nobody:  # has a port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        for wire in FORMATS:
            pier = account(wire, "pier")
            (dead,) = entries(wire, pier, f"http://127.0.0.1:{nobody.getsockname()[1]}")
            (living,) = entries(wire, replace(pier, keys=(f"{pier.keys[0]}-living",)), f"{server.url}/{wire}")
            told[VENDORS[wire].setting] += [{**dead, "priority": 1}, {**living, **_named(wire)}]
        house.configure(told)
        async with house:
            yield house


def _named(wire: str) -> dict[str, str]:
    """Each entry of `openai-compatibility` has a name of its own."""
    return {"name": "living"} if wire == "openai_chat" else {}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def impatient(server: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clients]:
    """The clients of a server that waits for upstreams no longer than a test does."""
    house = House(folder=tmp_path_factory.mktemp("impatient"))
    accounts = {
        wire: [account(wire, "home"), *(account(wire, f"lane{n}", keys=2) for n in range(7))] for wire in FORMATS
    }
    house.configure(settings(server.url, accounts, streaming={"keepalive-seconds": 1}, **IMPATIENT))
    async with house, Clients(house.url, "any-word") as clients:
        yield clients


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
