"""A login serves and is refreshed at the same time, and several servers have it: the CLIs that serve hold nothing that
could renew it, and one process at a time has its home. So nobody can use a refresh token twice, and nobody who is
killed while serving loses one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from auth.homes import Busy, Homes
from auth.refresh import Kept, run_child
from auth.refusal import Refused
from auth.tokens import Token
from tests.folders import contents
from tests.logins.conftest import House
from tests.logins.stage import MODELS, SECONDS_MAX, Server, asks, served
from tests.logins.test_campaign import refresh_token, shorten
from tests.logins.test_refresh import age, logged_in, token_of
from tests.logins.vendor import GOOGLE_S, Vendor

SERVERS = 2
ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "3"))
T = TypeVar("T")


async def replaced(house: House, login: Kept, before: Token) -> None:
    """By a server that saw its time come. Claude Code and Gemini CLI refresh none that is fresh: without this, whoever
    asks next would ask in vain.
    """
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            with contextlib.suppress(Refused):  # it is being written
                if token_of(house, login).access != before.access:
                    return
            await asyncio.sleep(0.05)


async def alone(house: House, login: Kept, act: Callable[[Path], T]) -> T:
    """With its home, while nobody refreshes it: a CLI that does writes its file in pieces."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            with contextlib.suppress(Busy), Homes(house.folder).owned(login.home) as home:
                return act(home)
            await asyncio.sleep(0.05)


async def aged(house: House, login: Kept) -> str:
    """The digest of the token whose time comes by that: the server sees it, too, and may replace it at any moment."""

    def act(home: Path) -> str:
        if login.kind != "codex":
            age(login.kind, home)
        return token_of(house, login).access.digest

    return await alone(house, login, act)


def in_reach(house: House) -> str:
    """Of the CLIs that serve: all that stands in their folders."""
    found = contents(house.folder / "state" / "clis", bytes_max=1_000_000)
    return b"\n".join(raw for _, raw in found).decode(errors="replace")


@pytest.mark.parametrize("kind", MODELS)
async def test_F1_a_refresh_while_a_turn_runs_loses_nothing(
    house: House, server: Server, vendor: Vendor, kind: str
) -> None:
    login = await logged_in(house, kind)
    before = token_of(house, login)
    await server.start()
    if kind != "codex":  # whose token says itself how long it lasts
        await replaced(house, login, before)
    for number in range(ROUNDS):
        digest = await aged(house, login)
        vendor.thinking, vendor.is_thinking = asyncio.Event(), asyncio.Event()
        vendor.asked.clear()
        turn = asyncio.create_task(asks(server, kind, number))
        thinking = asyncio.create_task(vendor.is_thinking.wait())
        await asyncio.wait({turn, thinking}, timeout=SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        assert thinking.done(), f"round {number}: {turn.result() if turn.done() else turn}"
        renewing = await alone(house, login, lambda _home: refresh_token(house, login))
        assert renewing not in in_reach(house), f"round {number}"
        told = await run_child(house.folder, login, digest)
        assert told.outcome in {"refreshed", "fresh"}, f"round {number}: {told}"
        vendor.thinking.set()
        assert "Ahoy from the quay." in await turn, f"round {number}"
        assert vendor.reused == [], f"round {number}"
        assert refresh_token(house, login) == (vendor.newest or GOOGLE_S), f"round {number}: the login is lost"


async def served_with(servers: list[Server], kind: str, vendor: Vendor) -> set[str]:
    """The tokens with which each of them has answered one more request."""
    seen = len(served(vendor))
    answers = await asyncio.gather(*(asks(each, kind, number) for number, each in enumerate(servers)))
    assert all("Ahoy from the quay." in answer for answer in answers), answers
    return {*served(vendor)[seen:]}


@pytest.mark.parametrize("kind", MODELS)
async def test_several_servers_with_one_login_refresh_it_once(house: House, vendor: Vendor, kind: str) -> None:
    """Each sees that its time has come, and others ask besides."""
    login = await logged_in(house, kind)
    shorten(kind, house.folder / "homes" / login.home)
    before = token_of(house, login)
    vendor.asked.clear()
    servers = [Server(house) for _ in range(SERVERS)]
    try:
        await asyncio.gather(*(each.start() for each in servers))
        askers = [run_child(house.folder, login, before.access.digest) for _ in servers]
        assert {told.outcome for told in await asyncio.gather(*askers)} <= {"refreshed", "fresh"}
        tokens = await served_with(servers, kind, vendor)
        while tokens != {token_of(house, login).access.reveal()}:  # until each has seen that the file is another
            assert tokens <= {before.access.reveal(), token_of(house, login).access.reveal()}
            tokens = await served_with(servers, kind, vendor)
    finally:
        await asyncio.gather(*(each.close() for each in servers))
    assert sum(asked.body.get("grant_type") == "refresh_token" for asked in vendor.asked) == 1
    assert vendor.reused == []
    assert refresh_token(house, login) == (vendor.newest or GOOGLE_S)


@pytest.mark.parametrize("kind", ["claude-code", "codex"])
async def test_a_refused_token_is_refreshed_while_its_cli_serves_others(
    house: House, server: Server, vendor: Vendor, kind: str
) -> None:
    login = await logged_in(house, kind)
    if kind == "claude-code":
        await run_child(house.folder, login, token_of(house, login).access.digest)
    await server.start()
    assert "Ahoy" in await asks(server, kind, 0)
    vendor.expelled.add(token_of(house, login).access.reveal())
    vendor.asked.clear()
    answers = await asyncio.gather(*(asks(server, kind, number) for number in range(3)))
    assert all("Ahoy" in answer for answer in answers), answers
    assert sum(asked.body.get("grant_type") == "refresh_token" for asked in vendor.asked) == 1
    assert vendor.reused == []
    assert refresh_token(house, login) == vendor.newest
