"""Logins by device code, as some official CLIs do them on a terminal: the CLI says where to go and which code to type,
waits, and ends. All that differs is what it is called with, what it says, and where it writes who is logged in.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from auth.callback import Door
from auth.cli.process import CliProcess, Ended
from auth.document import JsonValue
from auth.flow import Deliver, Reason, ShowCode
from auth.identity import Identity
from auth.logins.base import LoginFailed, Offer, Setting, text_of

OFFER_SECONDS_MAX = 60.0
_STEP_SECONDS = 0.05
_ADDRESS = re.compile(r"https://[^\s\"'<>]+")
_CODE = re.compile(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OPENERS = ("xdg-open", "open", "wslview")

WhoIs: TypeAlias = Callable[[Path], Identity | None]
"""Who the CLI says is logged in at home; None: nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """`settings`: files below the home that the CLI must find, by their paths."""

    arguments: tuple[str, ...]
    who_is: WhoIs
    settings: Mapping[str, bytes]
    page: str
    """What a human calls the vendor's page."""


class DeviceLogin:
    door: Door | None = None
    is_door_needed = False

    def __init__(self, setting: Setting, dialect: Dialect) -> None:
        self._setting = setting
        self._dialect = dialect
        self._process: CliProcess | None = None
        self._reading: asyncio.Task[None] | None = None
        self._said: list[bytes] = []
        self._shims = tempfile.TemporaryDirectory(prefix="no-opener-")

    async def open(self) -> Offer:
        await asyncio.to_thread(self._prepare)
        path = f"{self._shims.name}:{self._setting.ours.get('PATH', '/usr/bin:/bin')}"
        variables = {"PATH": path, "BROWSER": "true"}  # the page is opened by whoever drives the login, if at all
        self._process = await self._setting.start(*self._dialect.arguments, variables=variables)
        self._reading = asyncio.create_task(self._read(self._process))
        try:
            async with asyncio.timeout(OFFER_SECONDS_MAX):
                while (offer := offered(self._told)) is None:
                    if self._reading.done():
                        raise self._failure()
                    await asyncio.sleep(_STEP_SECONDS)
        except TimeoutError as error:
            raise LoginFailed("failed", "the official CLI gave no code; this version of it is not known") from error
        return Offer(step=offer)

    async def deliver(self, answer: Deliver) -> None:
        """Nothing comes back to us."""

    async def completed(self) -> None:
        assert self._process is not None
        assert self._reading is not None
        await asyncio.shield(self._reading)
        if await self._process.finished() != 0:
            raise self._failure()

    async def identity(self) -> Identity:
        who = self._dialect.who_is(self._setting.home)
        if who is None:
            raise LoginFailed("failed", "the official CLI kept no login; start it again")
        return who

    async def close(self) -> None:
        if self._process is not None:
            await self._process.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        self._shims.cleanup()

    def _prepare(self) -> None:
        for name in _OPENERS:
            shim = Path(self._shims.name) / name
            shim.write_text("#!/bin/sh\n")
            shim.chmod(0o700)
        for name, content in self._dialect.settings.items():
            path = self._setting.home / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(content)

    async def _read(self, process: CliProcess) -> None:
        with contextlib.suppress(Ended):
            while True:
                self._said.append(await process.line())

    @property
    def _told(self) -> str:
        """On either of its outputs."""
        assert self._process is not None
        said = b"\n".join(self._said).decode("utf-8", "replace")
        return _COLOURS.sub("", f"{said}\n{self._process.told}")

    def _failure(self) -> LoginFailed:
        for words, reason, why in _FAILURES:
            if words in self._told.lower():
                return LoginFailed(reason, why.replace("PAGE", self._dialect.page))
        lines = [line.strip() for line in self._told.splitlines() if line.strip()]
        return LoginFailed("failed", f"the official CLI ended the login: {lines[-1][:300] if lines else 'no reason'}")


_FAILURES: tuple[tuple[str, Reason, str], ...] = (
    ("denied", "declined", "the code was declined on PAGE; nothing was changed"),
    ("expired", "timed_out", "nobody has typed the code in time; start the login again"),
)
"""What the CLI says → what that means."""


def offered(told: str) -> ShowCode | None:
    """The last address before the code, so that no address of a notice is taken for it."""
    code = _CODE.search(told)
    if code is None:
        return None
    line_end = told.find("\n", code.end())
    addresses = _ADDRESS.findall(told[: code.end() if line_end < 0 else line_end])
    whole = _CODE.findall(told[: code.end() if line_end < 0 else line_end])
    return ShowCode(addresses[-1].rstrip(".,"), whole[-1]) if addresses else None


# Who is logged in


def _kimi(home: Path) -> Identity | None:
    """It writes nobody's name: the token's own, or else the device's."""
    folder = home / ".kimi-code"
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        saved = msgspec.json.decode((folder / "credentials" / "kimi-code.json").read_bytes(), type=_KimiFile)
        claims = _claims(saved.access_token)
        account = text_of(claims.get("user_id")) or text_of(claims.get("sub"))
        if saved.refresh_token:
            return Identity(account=account or f"device {(folder / 'device_id').read_text().strip()}")
    return None


def _grok(home: Path) -> Identity | None:
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        saved = msgspec.json.decode((home / ".grok" / "auth.json").read_bytes(), type=dict[str, _GrokLogin])
        for login in saved.values():
            if login.refresh_token and (login.user_id or login.email):
                return Identity(account=login.user_id or login.email, email=login.email)
    return None


def _copilot(home: Path) -> Identity | None:
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        lines = (home / ".copilot" / "config.json").read_text().splitlines()
        text = "\n".join(line for line in lines if not line.lstrip().startswith("//"))
        who = msgspec.json.decode(text, type=_CopilotFile).last
        if who is not None and who.login:
            host = who.host.removeprefix("https://")
            return Identity(account=f"{who.login}@{host}", organization="" if host == "github.com" else host)
    return None


def _claims(token: str) -> Mapping[str, JsonValue]:
    """Of a token that is ours to read, if it is one that can be."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, ValueError, IndexError):
        body = token.split(".")[1]
        found = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return found if isinstance(found, dict) else {}
    return {}


class _KimiFile(msgspec.Struct):
    access_token: str = ""
    refresh_token: str = ""


class _GrokLogin(msgspec.Struct):
    refresh_token: str = ""
    user_id: str = ""
    email: str = ""


class _CopilotUser(msgspec.Struct):
    host: str = ""
    login: str = ""


class _CopilotFile(msgspec.Struct):
    last: _CopilotUser | None = msgspec.field(name="lastLoggedInUser", default=None)


KIMI = Dialect(arguments=("login",), who_is=_kimi, settings={}, page="Kimi's page")
GROK = Dialect(arguments=("login", "--device-auth"), who_is=_grok, settings={}, page="Grok's page")
COPILOT = Dialect(
    arguments=("login", "--device-code"),
    who_is=_copilot,
    settings={".copilot/settings.json": b'{"storeTokenPlaintext": true}\n'},
    page="GitHub's page",
)
"""Where there is no keychain it asks, on a terminal, before it keeps a token in a file. Its home is private."""
