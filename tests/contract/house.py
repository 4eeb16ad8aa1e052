"""The server under test as a process of its own, with a real config file."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

import msgspec
import yaml

from proxy.hub.residue import JsonObject
from tests.contract.stage import FORMATS, VENDORS

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
LANES = 70
CLIENT_KEY = "client-key-of-the-harbour-master"
STRICT_KEY = "client-key-of-the-strict-pilot"
PREFIX = "harbour"

_URL = re.compile(rb"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True, slots=True)
class Account:
    """Under which name it is asked, what the upstream calls the model, and the keys that take turns."""

    alias: str
    model: str
    keys: tuple[str, ...]


IMPATIENT: JsonObject = {"timeouts": {"head": 2, "silence": 3}}
"""Settings of a server that waits for an upstream no longer than a test does."""

Lane: TypeAlias = Callable[[str], Account]
"""Gives an account of that wire that no other test has cooled."""


def account(wire: str, name: str, keys: int = 1) -> Account:
    """Each has an upstream model of its own: what cools one leaves the others alone."""
    model = VENDORS[wire].model
    upstream_model = model if name == "home" else f"{model}-{name}"
    secrets = tuple(f"sk-{wire}-{name}-key-{number}" for number in range(1, keys + 1))
    return Account(f"{wire}-{name}", upstream_model, secrets)


ACCOUNTS = {
    wire: [
        account(wire, "home"),
        account(wire, "trio", keys=3),
        *(account(wire, f"lane{number}", keys=2) for number in range(LANES)),
    ]
    for wire in FORMATS
}
ACCOUNTS["gemini"].append(Account("gemini-soundings", "gemini-embedding-001", ("sk-gemini-soundings-key-1",)))
ACCOUNTS["openai_responses"].append(
    Account("openai_responses-soundings", "text-embedding-3-small", ("sk-openai_responses-soundings-key-1",))
)


def settings(upstream: str, accounts: Mapping[str, Sequence[Account]], **more: object) -> JsonObject:
    """`upstream`: the URL below which all providers are, each under its wire's name."""
    told: JsonObject = {
        "request-retry": 0,
        "max-retry-interval": 0,
        "log-format": "json",
        **more,
    }
    for wire, each in accounts.items():
        told[VENDORS[wire].setting] = [item for one in each for item in entries(wire, one, f"{upstream}/{wire}")]
    return told


def entries(wire: str, one: Account, base_url: str) -> list[JsonObject]:
    """Of `Vendor.setting`."""
    return (_compatible if wire == "openai_chat" else _keys)(wire, one, base_url)


def _models(wire: str, one: Account) -> list[JsonObject]:
    """By its alias; the one at home also by its own name."""
    models: list[JsonObject] = [{"name": one.model, "alias": one.alias}]
    if one.model == VENDORS[wire].model:
        models.append({"name": one.model})
    return models


def _keys(wire: str, one: Account, base_url: str) -> list[JsonObject]:
    prefix: JsonObject = {"prefix": PREFIX} if one.alias == f"{wire}-home" else {}
    return [{"api-key": key, "base-url": base_url, "models": _models(wire, one), **prefix} for key in one.keys]


def _compatible(wire: str, one: Account, base_url: str) -> list[JsonObject]:
    (entry,) = _keys(wire, Account(one.alias, one.model, ("",)), base_url)
    del entry["api-key"]
    return [{"name": one.alias, "api-key-entries": [{"api-key": key} for key in one.keys], **entry}]


@dataclass(slots=True, kw_only=True)
class House:
    """``async with house: … house.url …``. At the end it must go in peace: exit code 0, and nothing bad in its log."""

    folder: Path
    launcher: Sequence[str] = (sys.executable, "-m", "proxy")
    url: str = ""
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def log(self) -> list[JsonObject]:
        lines = (self.folder / "log").read_bytes().splitlines()
        return [msgspec.json.decode(line) for line in lines]

    def configure(self, told: JsonObject) -> None:
        """Written as an editor does: beside, then in its place."""
        told = {**told, "auth-dir": str(self.folder / "auth")}
        draft = self.folder / "config.draft"
        draft.write_text(yaml.safe_dump(told))
        draft.replace(self.config)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert await self.stop() == 0
        self.check_log()

    async def start(self) -> None:
        with (self.folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.launcher, "--config", str(self.config), "--port", "0",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS_MAX):
            while not self.url:
                line = await self._process.stdout.readline()
                assert line, (self.folder / "log").read_text()
                if found := _URL.search(line):
                    self.url = found[0].decode()

    async def stop(self) -> int:
        """Its exit code."""
        process = self._process
        assert process is not None
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await process.communicate()
        assert process.returncode is not None
        return process.returncode

    def check_log(self) -> None:
        """No fault of ours, and no secret. A refused reload is an error of whoever wrote it."""
        text = (self.folder / "log").read_text()
        assert "Traceback" not in text
        bad = [line for line in self.log if line["level"] not in {"debug", "info", "warning"}]
        assert [line for line in bad if line["event"] != "config.refused"] == []
        assert not re.search(r"sk-[a-z_]+-\w+-key-\d|client-key-of", text)
