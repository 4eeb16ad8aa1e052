"""Gemini CLI, by the Agent Client Protocol's `authenticate`. What it would open in a browser, it opens with a script of
ours, which hands the address to us.

The CLI's own callback listener ends the login at the first request of any kind, also a forged one. Therefore it listens
where only we know, and the port that the browser comes back to is ours: what does not carry the state goes no further.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from auth.callback import Door
from auth.cli.dialogue import AGENT_CLIENT, Dialogue, Refusal
from auth.cli.process import Ended
from auth.document import JsonValue
from auth.flow import Deliver, Reason, Visit
from auth.identity import Identity
from auth.logins.base import LoginFailed, Offer, Setting, called_back, state_of
from auth.logins.overheard import Overheard

CALLBACK_PORT = 8085
CALLBACK_PATH = "/oauth2callback"
ISSUER = "https://accounts.google.com"
PROMPT = "Paste the address of the page that the browser could not open"
URL_SECONDS_MAX = 60.0
TIER_SECONDS_MAX = 10.0
_TIER = re.compile(r"^- Tier: (.{1,100})$", re.MULTILINE)
_OPENERS = ("xdg-open", "open")
"""What the CLI runs to open a browser, on Linux and on a Mac."""
_HAND_OVER = '#!/bin/sh\nprintf "%s\\n" "$1" > "${0%/*}/url"\n'
_SETTINGS: JsonValue = {
    "security": {"folderTrust": {"enabled": False}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
}


class _NobodyAsked(LoginFailed):
    """The login that is there is good."""


class GeminiLogin:
    door = Door(port=CALLBACK_PORT, path=CALLBACK_PATH)
    is_door_needed = True

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._dialogue: Dialogue | None = None
        self._authenticating: asyncio.Task[Mapping[str, JsonValue]] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="opener-")
        self._host = _hidden_host()
        self._said: list[str] = []
        self._overheard = Overheard(setting.ours)

    async def open(self) -> Offer:
        pipe = await asyncio.to_thread(self._prepare)
        try:
            url = await self._url(pipe, await self._authenticate())
        finally:
            os.close(pipe)
        return Offer(step=Visit(url, PROMPT), state=state_of(url), issuer=ISSUER)

    async def resume(self) -> None:
        """It asks Google whether the login is good. Where it is not, it would ask somebody to sign in."""
        pipe = await asyncio.to_thread(self._prepare)
        try:
            await self._url(pipe, await self._authenticate())
        except _NobodyAsked:
            return
        finally:
            os.close(pipe)
        raise LoginFailed("failed", "Google does not take this login any more; log in again")

    async def _authenticate(self) -> asyncio.Task[Mapping[str, JsonValue]]:
        variables = {**self._variables(), **await self._overheard.open()}
        process = await self._setting.start("--acp", variables=variables)
        self._dialogue = Dialogue(process, AGENT_CLIENT, on_event=self._heard)
        await self._dialogue.ask("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
        asked = self._dialogue.ask("authenticate", {"methodId": "oauth-personal"}, seconds=None)
        self._authenticating = asyncio.create_task(asked)
        return self._authenticating

    def _variables(self) -> dict[str, str]:
        path = self._setting.ours.get("PATH", os.defpath)
        return {
            "PATH": f"{self._folder.name}{os.pathsep}{path}",
            "DISPLAY": ":0",  # without it the CLI believes that there is no browser, and asks on its output
            "OAUTH_CALLBACK_HOST": self._host,
            "OAUTH_CALLBACK_PORT": str(CALLBACK_PORT),
            **({"GOOGLE_CLOUD_PROJECT": self._setting.project} if self._setting.project else {}),
        }

    def _prepare(self) -> int:
        """The scripts, the settings, and the reading end of the pipe that the address comes through."""
        folder = Path(self._folder.name)
        for name in _OPENERS:
            (folder / name).write_text(_HAND_OVER)
            (folder / name).chmod(0o700)
        os.mkfifo(folder / "url", 0o600)
        settings = self._setting.home / ".gemini" / "settings.json"
        settings.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.write_bytes(msgspec.json.encode(_SETTINGS))
        return os.open(
            folder / "url", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
        )  # also writing: or it would be at an end

    async def _url(self, pipe: int, authenticating: asyncio.Task[Mapping[str, JsonValue]]) -> str:
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_reader(pipe, came.set)
        coming = asyncio.create_task(came.wait())
        try:
            async with asyncio.timeout(URL_SECONDS_MAX):
                await asyncio.wait({coming, authenticating}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(pipe)
            coming.cancel()
        if not came.is_set():
            await self.completed()
            raise _NobodyAsked("failed", "the gemini CLI logged in without asking anybody; this version is not known")
        return os.read(pipe, 65536).decode("utf-8", "replace").strip()

    async def deliver(self, answer: Deliver) -> None:
        host = f"[{self._host}]" if ":" in self._host else self._host
        await called_back(f"http://{host}:{CALLBACK_PORT}{CALLBACK_PATH}", answer)

    async def completed(self) -> None:
        assert self._authenticating is not None
        try:
            await asyncio.shield(self._authenticating)
        except Refusal as error:
            raise _failure(str(error)) from error

    async def identity(self) -> Identity:
        """The e-mail address is the account: Google's other name for it is nowhere told."""
        folder = self._setting.home / ".gemini"
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            email = msgspec.json.decode((folder / "google_accounts.json").read_bytes(), type=_Accounts).active
            saved = msgspec.json.decode((folder / "oauth_creds.json").read_bytes(), type=_Saved)
            if email and saved.refresh_token:
                plan, project = await self._tier(), self._overheard.project or self._setting.project
                return Identity(account=email.casefold(), email=email, plan=plan, project=project)
        raise LoginFailed("failed", "the gemini CLI kept no login; start it again")

    async def _tier(self) -> str:
        """What the CLI's own ``/about`` says, which asks no model. Nice to have."""
        assert self._dialogue is not None
        with contextlib.suppress(Refusal, TimeoutError):
            place: dict[str, JsonValue] = {"cwd": self._folder.name, "mcpServers": []}
            conversation = await self._dialogue.ask("session/new", place, seconds=TIER_SECONDS_MAX)
            about: list[JsonValue] = [{"type": "text", "text": "/about"}]
            params = {"sessionId": conversation["sessionId"], "prompt": about}
            await self._dialogue.ask("session/prompt", params, seconds=TIER_SECONDS_MAX)
        found = _TIER.search("".join(self._said))
        return found[1].strip() if found else ""

    def _heard(self, message: Mapping[str, JsonValue]) -> None:
        with contextlib.suppress(msgspec.ValidationError):
            self._said.append(msgspec.convert(message, _Chunk).params.update.content.text)

    async def close(self) -> None:
        if self._authenticating is not None:
            self._authenticating.cancel()
            await asyncio.wait({self._authenticating})
        if self._dialogue is not None:
            with contextlib.suppress(Ended):
                await self._dialogue.close()
        await self._overheard.close()
        self._folder.cleanup()


class _Text(msgspec.Struct):
    text: str


class _Update(msgspec.Struct):
    content: _Text


class _Params(msgspec.Struct):
    update: _Update


class _Chunk(msgspec.Struct):
    """A ``session/update`` with text in it."""

    params: _Params


class _Accounts(msgspec.Struct):
    active: str | None = None


class _Saved(msgspec.Struct):
    refresh_token: str = ""


def _hidden_host() -> str:
    """A loopback address that no web page can guess. Where there is only one beside ours, that one."""
    if sys.platform != "linux":
        return "::1"
    return "127." + ".".join(str(1 + secrets.randbelow(254)) for _ in range(3))


_FAILURES: tuple[tuple[str, Reason, str], ...] = (
    ("access_denied", "declined", "consent was declined on Google's page; nothing was changed"),
    ("invalid_grant", "wrong_code", "Google refused the code: it is incomplete, expired or used; start again"),
    ("GOOGLE_CLOUD_PROJECT", "failed", "Google asks for a project with this account: add --project-id PROJECT"),
    ("EADDRINUSE", "port_taken", f"port {CALLBACK_PORT} is taken for the gemini CLI; end what has it"),
)
"""What the CLI says → what that means."""


def _failure(told: str) -> LoginFailed:
    for words, reason, why in _FAILURES:
        if words in told:
            return LoginFailed(reason, why)
    return LoginFailed("failed", f"Google does not serve this account through the gemini CLI: {told[:300]}")
