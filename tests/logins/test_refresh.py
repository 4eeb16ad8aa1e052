"""The CLIs refresh their own logins, asked by us, against a vendor of our own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from auth.cli.install import find
from auth.logins.table import LOGIN_KINDS
from auth.refresh import Keeper, Kept, run_child
from auth.refresh_child import ROOM_BYTES_MIN
from auth.tokens import TOKEN_FILES, Token, read_token
from tests.logins.conftest import House
from tests.logins.person import comes_back
from tests.logins.stage import SECONDS_MAX
from tests.logins.vendor import Vendor

KINDS = ("claude-code", "codex", "gemini-cli")


async def logged_in(house: House, kind: str) -> Kept:
    """A login whose token is about to expire."""
    await house.login(kind, comes_back()).finish()
    age(kind, house.folder / "homes" / house.homes[0])
    return kept_by(house, kind)


def kept_by(house: House, kind: str) -> Kept:
    """The one login there is."""
    ((_, file),) = house.files.items()
    home = house.folder / "homes" / file["home"]
    cli = LOGIN_KINDS[kind].cli
    installed = find(cli, house.folder, house.environment)
    return Kept(
        id="one",
        kind=kind,
        home=home.name,
        command=installed.command,
        variables=cli.variables(home),
        environment=house.environment,
    )


def age(kind: str, home: Path) -> None:
    """The times that a CLI has written itself; a codex token is refreshed at any age."""
    path = home / TOKEN_FILES[kind].path
    saved = msgspec.json.decode(path.read_bytes())
    if kind == "claude-code":
        saved["claudeAiOauth"]["expiresAt"] = int((time.time() + 60) * 1000)
    elif kind == "gemini-cli":
        saved["expiry_date"] = int((time.time() + 60) * 1000)
    path.write_bytes(msgspec.json.encode(saved))


def token_of(house: House, login: Kept) -> Token:
    return read_token(login.kind, house.folder / "homes" / login.home)


@pytest.mark.parametrize("kind", KINDS)
async def test_refreshed_once_however_many_ask(house: House, vendor: Vendor, kind: str) -> None:
    login = await logged_in(house, kind)
    before = token_of(house, login)
    vendor.asked.clear()
    asks = [run_child(house.folder, login, before.access.digest) for _ in range(3)]
    outcomes = sorted([told.outcome for told in await asyncio.gather(*asks)])
    assert outcomes == ["fresh", "fresh", "refreshed"]
    assert sum(asked.body.get("grant_type") == "refresh_token" for asked in vendor.asked) == 1
    assert not any(asked.path.startswith("/v1/messages") or "responses" in asked.path for asked in vendor.asked)
    after = token_of(house, login)
    assert after.access != before.access
    assert after.expires_at is not None
    assert after.expires_at > time.time() + 1800


@pytest.mark.parametrize("kind", KINDS)
async def test_a_revoked_login_is_told(house: House, vendor: Vendor, kind: str) -> None:
    login = await logged_in(house, kind)
    vendor.is_refresh_refused = True
    told = await run_child(house.folder, login, token_of(house, login).access.digest)
    assert told.outcome == ("failed" if kind == "gemini-cli" else "login_needed"), told
    assert "log in again" in told.why
    if kind != "gemini-cli":
        (row,) = house.desk.rows()
        assert row.state == "unused", "also for whoever was not there when it was refused"
        assert "log in again" in (row.why or "")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_vendor_in_trouble_ends_no_login(house: House, vendor: Vendor, kind: str) -> None:
    login = await logged_in(house, kind)
    before = token_of(house, login)
    vendor.is_down = True
    told = await run_child(house.folder, login, before.access.digest)
    assert told.outcome == "failed", told
    vendor.is_down = False
    assert token_of(house, login).access == before.access
    assert (await run_child(house.folder, login, before.access.digest)).outcome == "refreshed"


@pytest.mark.parametrize("kind", KINDS)
async def test_on_a_full_disk_nobody_is_asked_and_no_login_is_lost(house: House, vendor: Vendor, kind: str) -> None:
    """A CLI empties its file before it writes it, and the provider has forgotten the old token by then."""
    login = await logged_in(house, kind)
    before = token_of(house, login)
    vendor.asked.clear()
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES_MIN // 2, most[1]))
    try:
        told = await run_child(house.folder, login, before.access.digest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert told.outcome == "failed"
    assert "has no room: No space left on device" in told.why
    assert vendor.asked == []
    assert token_of(house, login).access == before.access
    assert (await run_child(house.folder, login, before.access.digest)).outcome == "refreshed"


@pytest.mark.parametrize("kind", ["claude-code", "codex"])
async def test_F1_whoever_asked_is_killed_and_nothing_is_lost(house: House, vendor: Vendor, kind: str) -> None:
    """At the worst moment: the vendor has rotated the token, and has not answered yet."""
    login = await logged_in(house, kind)
    before = token_of(house, login)
    vendor.held = asyncio.Event()
    script = (
        "import asyncio, sys, msgspec\nfrom pathlib import Path\nfrom auth.refresh import Kept, run_child\n"
        "told = msgspec.json.decode(sys.stdin.buffer.read())\n"
        "print(asyncio.run(run_child(Path(told['data']), Kept(**told['login']), told['digest'])))\n"
    )
    asker = subprocess.Popen(  # noqa: ASYNC220 - it is killed, and no loop may know of it
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert asker.stdin is not None
    fields = {name: getattr(login, name) for name in ("id", "kind", "home", "command", "variables", "environment")}
    task = {"data": str(house.folder), "login": fields, "digest": before.access.digest}
    asker.stdin.write(msgspec.json.encode(task))
    asker.stdin.close()
    async with asyncio.timeout(SECONDS_MAX):
        await vendor.is_holding.wait()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(asker.pid, number)
    await asyncio.to_thread(asker.wait)
    vendor.held.set()
    after = before
    async with asyncio.timeout(SECONDS_MAX):
        while after.access == before.access:
            await asyncio.sleep(0.05)
            with contextlib.suppress(Exception):  # it is being written
                after = token_of(house, login)
    assert after.expires_at is not None


async def test_the_keeper_does_it_in_time(house: House) -> None:
    login = await logged_in(house, "claude-code")
    before = token_of(house, login)
    changed = asyncio.Event()

    def on_change(_: str) -> None:
        status = keeper.status("one")
        if status.token is not None and status.token.access != before.access:
            changed.set()

    keeper = Keeper(house.folder, on_change=on_change)
    keeper.keep([login])
    keeper.start()
    async with asyncio.timeout(SECONDS_MAX):
        await changed.wait()
    assert keeper.status("one").why == ""
    await keeper.close()
