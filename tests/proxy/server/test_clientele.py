from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auth.pool import Pool
from auth.secret import Secret
from proxy.config.client_keys import Budget, ClientKey, RateLimits, Rates, hash_of
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.errors import ConfigError
from proxy.observe.ledger import Ledger
from proxy.observe.log import make_log
from proxy.observe.prices import Prices
from proxy.server.access import ClientKeys
from proxy.server.clientele import Clientele, check_keys
from tests.pace import SECONDS_MAX

KEY, OTHER, THIRD = (f"sk-a-long-random-word-{n}" for n in (1, 2, 3))


class Hall:
    """Where clients come in: what the house does with the clientele."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys"
        self.written = io.BytesIO()
        self.config = Config()
        self.keys = ClientKeys.of(())
        self.changes = 0
        self.clientele = Clientele(
            ledger=Ledger(folder / "usage.sqlite"),
            prices=Prices(),
            pool=Pool(),
            clock=Clock(),
            log=make_log(self.written, redact=lambda _log, _method, event: event, is_json=True),
            snapshot=lambda: None,  # type: ignore[arg-type, return-value]  # no money is spent here
            on_change=self.change,
        )

    def load(self, **settings: Any) -> None:
        self.config = Config(api_keys_file=str(self.file), **settings)
        self.keys = self.clientele.keys(self.config)

    def change(self) -> None:
        self.keys = self.clientele.keys(self.config)
        self.changes += 1

    def write(self, text: str, mode: int = 0o600) -> None:
        draft = self.file.with_name("draft")
        draft.write_text(text)
        draft.chmod(mode)
        draft.replace(self.file)

    def names(self) -> list[str]:
        return [client.name for client in self.keys.clients()]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [msgspec.json.decode(line) for line in self.written.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Hall]:
        await self.clientele.start()
        try:
            yield self
        finally:
            await self.clientele.close()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while not is_so():  # noqa: ASYNC110 - a file is watched
                await asyncio.sleep(0.02)


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return Hall(tmp_path)


def test_keys_of_both_places_let_in(hall: Hall) -> None:
    hall.write(f"laptop: {KEY}\n")
    hall.load(api_keys=(ClientKey(api_key=Secret(OTHER), name="desk"),), limits=RateLimits(key=Rates(concurrency=3)))
    assert hall.names() == ["desk", "laptop"]
    assert [client.rates for client in hall.keys.clients()] == [Rates(concurrency=3)] * 2
    assert [key.shown_name for key in hall.clientele.configured(hall.config)] == ["desk", "laptop"]


@pytest.mark.parametrize("line", [KEY, f"desk: {OTHER}"])
def test_nobody_stands_in_both(hall: Hall, line: str) -> None:
    hall.write(line)
    with pytest.raises(ConfigError, match=r"(desk|key-\w+) stands in api-keys, too"):
        hall.load(api_keys=(ClientKey(api_key=Secret(KEY)), ClientKey(api_key=Secret(THIRD), name="desk")))


def test_a_file_that_is_not_there_is_refused_at_the_start(hall: Hall) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        hall.load()
    with pytest.raises(ConfigError, match="there is no such file"):
        check_keys(Config(api_keys_file=str(hall.file)))


def test_a_file_without_keys_opens_to_nobody(hall: Hall) -> None:
    hall.write("# later\n")
    hall.load()
    assert hall.keys.is_closed
    assert not check_keys(Config()).is_closed


def test_others_who_can_read_it_are_worth_a_warning(hall: Hall) -> None:
    hall.write(KEY, mode=0o644)
    hall.load()
    hall.load()
    (warning,) = hall.events("client_keys.open_to_others")
    assert "chmod 600" in warning["warning"]


def test_everybodys_tokens_are_counted_by_account_once_a_budget_is_in_quotas(hall: Hall) -> None:
    hall.write(KEY)
    hall.load()
    assert not hall.clientele.limits.is_sharing
    hall.load(api_keys=(ClientKey(api_key=Secret(OTHER), budgets=(Budget(quota_percent=5),)),))
    assert hall.clientele.limits.is_sharing


async def test_a_change_of_the_file_is_followed(hall: Hall) -> None:
    hall.write(f"laptop: {KEY}\n")
    hall.load()
    async with hall.open():
        hall.write(f"laptop: {KEY}\nci: {hash_of(OTHER)}\n")
        await hall.until(lambda: hall.names() == ["laptop", "ci"])
        assert hall.keys.find(OTHER) is not None
        hall.write("# nobody any more\n")
        await hall.until(lambda: hall.names() == [])
        assert hall.keys.is_closed
    assert [event["keys"] for event in hall.events("client_keys.reloaded")] == [2, 0]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda file: file.unlink(), "there is no such file"),
        (lambda file: file.write_text(""), "is empty"),
        (lambda file: file.write_text(f"laptop: {KEY}\nhalf a li"), "keys:2: the key holds a blank"),
        (lambda file: file.write_bytes(b"\xff\xfe\x00"), "is no UTF-8"),
    ],
    ids=["gone", "empty", "torn", "no text"],
)
async def test_what_is_no_good_file_changes_nothing_and_that_is_said(
    hall: Hall, spoil: Callable[[Path], object], fault: str
) -> None:
    hall.write(f"laptop: {KEY}\n")
    hall.load()
    async with hall.open():
        spoil(hall.file)
        await hall.until(lambda: hall.clientele.fault is not None)
        assert fault in (hall.clientele.fault or "")
        assert hall.names() == ["laptop"]
        hall.change()
        assert hall.names() == ["laptop"], "nor when accounts or the configuration change"
        await hall.clientele.look()
        hall.write(f"laptop: {KEY}\n")
        await hall.until(lambda: hall.clientele.fault is None)
    assert len(hall.events("client_keys.refused")) == 1
    assert hall.events("client_keys.refused")[0]["still"] == "the last good keys are in force"


async def test_another_file_is_followed_instead(hall: Hall, tmp_path: Path) -> None:
    hall.write(f"laptop: {KEY}\n")
    hall.load()
    async with hall.open():
        hall.file = tmp_path / "elsewhere"
        hall.write(f"desk: {OTHER}\n")
        hall.load()
        assert hall.names() == ["desk"]
        hall.write(f"desk: {OTHER}\nci: {THIRD}\n")
        await hall.until(lambda: hall.names() == ["desk", "ci"])
        hall.config = Config()
        hall.change()
        assert not hall.keys.is_closed
