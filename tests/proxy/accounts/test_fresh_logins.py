"""The logins of a running server, with a CLI that does what the test says."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
import structlog

from auth import refresh
from auth.credential import Credential
from auth.homes import Homes
from auth.refresh import Kept
from auth.refresh_child import Told
from auth.secret import Secret
from proxy.accounts import fresh_logins
from proxy.accounts.enrolment import Enrolment
from proxy.config.load import parse
from tests.pace import SECONDS_MAX

CONFIG = parse(b"").config


class Place:
    """One login of Claude Code, and what its CLI was asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = Homes(folder).make("claude-code")
        self.write("old")
        file = folder / "a.json"
        file.touch(mode=0o600)
        file.write_bytes(msgspec.json.encode({"type": "claude-code", "home": self.home.name, "account": "ada"}))
        self.asked = 0
        self.is_able = True
        self.may = asyncio.Event()
        self.may.set()
        monkeypatch.setattr(refresh, "run_child", self._child)
        self.enrolment = Enrolment(folder, log=structlog.get_logger(), on_change=self.look)
        self.look()

    def look(self) -> None:
        self.credentials = self.enrolment.snapshot(CONFIG).credentials

    def write(self, access: str) -> None:
        saved = {"claudeAiOauth": {"accessToken": access, "expiresAt": (time.time() + 8 * 3600) * 1000}}
        (self.home / ".credentials.json").write_bytes(msgspec.json.encode(saved))

    async def _child(self, _data: Path, _login: Kept, _digest: str) -> Told:
        self.asked += 1
        await self.may.wait()
        if self.is_able:
            self.write("new")
        return Told("refreshed" if self.is_able else "failed")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return Place(tmp_path / "auth", monkeypatch)


async def test_whoever_was_refused_gets_the_new_token_and_is_the_same_account(place: Place) -> None:
    (refused,) = place.credentials
    renewed = await place.enrolment.renew(refused)
    assert renewed is not None
    assert (renewed.id, renewed.secret) == (refused.id, Secret("new"))
    assert place.credentials == (renewed,), "it is in force for everybody"
    assert await place.enrolment.renew(refused) == renewed, "a straggler's answer to the old token"
    assert await place.enrolment.renew(renewed) is None, "it was refreshed a moment ago"
    assert place.asked == 1
    await place.enrolment.close()


async def test_without_a_new_token_there_is_nothing_to_retry_with(place: Place) -> None:
    place.is_able = False
    assert await place.enrolment.renew(place.credentials[0]) is None
    assert await place.enrolment.renew(Credential(id="other", provider="p", label="l", secret=Secret("key"))) is None
    await place.enrolment.close()


async def test_a_refresh_that_takes_too_long_goes_on_without_those_who_wait(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_logins, "RENEW_SECONDS_MAX", 0.01)
    place.may.clear()
    (refused,) = place.credentials
    assert await place.enrolment.renew(refused) is None
    place.may.set()
    async with asyncio.timeout(SECONDS_MAX):
        while (renewed := await place.enrolment.renew(refused)) is None:
            pass
    assert (renewed.secret, place.asked) == (Secret("new"), 1)
    await place.enrolment.close()


async def test_a_thousand_cancelled_clients_cost_one_exchange(place: Place) -> None:
    place.may.clear()
    (refused,) = place.credentials
    clients = [asyncio.create_task(place.enrolment.renew(refused)) for _ in range(1000)]
    await asyncio.sleep(0)
    for each in clients:
        each.cancel()
    await asyncio.wait(clients)
    place.may.set()
    assert await place.enrolment.renew(refused) is not None
    assert place.asked == 1
    await place.enrolment.close()
