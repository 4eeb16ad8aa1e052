"""Bad luck, many times over: whoever asked for a refresh, the server too, is killed outright, at any moment of it. No
login may be lost.

The vendor has forgotten the old token as soon as it was asked for a new one, and ends a login whose old one comes back.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from auth.refresh import Keeper, Kept
from auth.tokens import TOKEN_FILES
from tests.logins.conftest import House
from tests.logins.stage import Server, asks
from tests.logins.test_refresh import age, logged_in, token_of
from tests.logins.vendor import Vendor

ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "6"))
CLIENTS = 1000
SECONDS = {"codex": 0.9, "claude-code": 2.0}
"""As long as a refresh takes, all in all."""
ASKER = (
    "import asyncio, sys, msgspec\nfrom pathlib import Path\nfrom auth.refresh import Kept, run_child\n"
    "told = msgspec.json.decode(sys.stdin.buffer.read())\n"
    "asyncio.run(run_child(Path(told['data']), Kept(**told['login']), told['digest']))\n"
)


def start(house: House, login: Kept) -> subprocess.Popen[bytes]:
    """Somebody who asks, in a process group of its own."""
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    fields = {name: getattr(login, name) for name in ("id", "kind", "home", "command", "variables", "environment")}
    digest = token_of(house, login).access.digest
    assert asker.stdin is not None
    asker.stdin.write(msgspec.json.encode({"data": str(house.folder), "login": fields, "digest": digest}))
    asker.stdin.close()
    return asker


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
    async with asyncio.timeout(60):
        while looks < 3:
            looks = 0 if await asyncio.to_thread(is_busy) else looks + 1
            await asyncio.sleep(0.02)


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


@pytest.mark.parametrize("kind", SECONDS)
async def test_F1_killed_at_any_moment_no_login_is_lost(house: House, vendor: Vendor, kind: str) -> None:
    login = await logged_in(house, kind)
    chance = random.Random(4711)  # noqa: S311 - moments, no secrets
    refreshed = 0
    for number in range(ROUNDS):
        age(kind, house.folder / "homes" / login.home)
        before = vendor.newest
        asker = start(house, login)
        await asyncio.sleep(SECONDS[kind] * chance.random())  # the moment is what is tested
        with contextlib.suppress(ProcessLookupError):
            os.killpg(asker.pid, signal.SIGKILL)
        await asyncio.to_thread(asker.wait)
        await quiet(vendor)
        refreshed += vendor.newest != before
        assert vendor.reused == [], f"round {number}"
        assert refresh_token(house, login) == vendor.newest, f"round {number}: the login is lost"
    assert refreshed, "no round came as far as the vendor"


@pytest.mark.parametrize("kind", SECONDS)
async def test_F1_the_server_is_killed_at_any_moment_of_its_refresh(
    house: House, server: Server, vendor: Vendor, kind: str
) -> None:
    """It refreshes as soon as it is there; in every other round the account's CLI is answering somebody meanwhile."""
    login = await logged_in(house, kind)
    chance = random.Random(1147)  # noqa: S311 - moments, no secrets
    refreshed = 0
    for number in range(ROUNDS):
        shorten(kind, house.folder / "homes" / login.home)
        before = vendor.newest
        await server.start()
        turn = asyncio.create_task(asks(server, kind, number)) if number % 2 else None
        await asyncio.sleep(SECONDS[kind] * chance.random())  # the moment is what is tested
        await server.kill()
        if turn is not None:
            await asyncio.wait({turn})
            turn.exception()
        await quiet(vendor)
        refreshed += vendor.newest != before
        assert vendor.reused == [], f"round {number}"
        assert refresh_token(house, login) == vendor.newest, f"round {number}: the login is lost"
    assert refreshed, "no round came as far as the vendor"


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
