"""Claude Code, by its control protocol: the process that would serve a conversation logs in, and tells who it is."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

from auth.callback import Door
from auth.cli.dialogue import ControlProtocol, Dialogue, Refusal
from auth.cli.process import Ended
from auth.flow import Deliver, Reason, Visit
from auth.identity import Identity
from auth.logins.base import LoginFailed, Offer, Setting, called_back, state_of, text_of

BOX_PORT = 54545
PROMPT = "Paste the code that the page shows"
SPEAK = (
    "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose",
    "--setting-sources", "", "--strict-mcp-config", "--tools", "",
)  # fmt: skip
"""Whatever stands in the home besides the login (settings with programs to run, servers of tools) is left alone."""


class ClaudeLogin:
    """The browser comes back to a port of the CLI's own, which it chooses; without a browser on this machine the page
    shows a code to paste. The port that we serve is only the box to paste it into.
    """

    door = Door(port=BOX_PORT)
    is_door_needed = False

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._dialogue: Dialogue | None = None
        self._back = ""

    async def open(self) -> Offer:
        self._dialogue = Dialogue(await self._setting.start(*SPEAK), ControlProtocol())
        await self._dialogue.ask("initialize")
        urls = await self._dialogue.ask("claude_authenticate", {"loginWithClaudeAi": True})
        there, here = text_of(urls.get("manualUrl")), text_of(urls.get("automaticUrl"))
        if not self._setting.has_browser or state_of(here) != state_of(there):
            return Offer(step=Visit(there, PROMPT), state=state_of(there))
        self._back = parse_qs(urlsplit(here).query)["redirect_uri"][0]
        return Offer(step=Visit(here, PROMPT, there), state=state_of(here))

    async def resume(self) -> None:
        """Its status command needs nothing more."""

    async def deliver(self, answer: Deliver) -> None:
        """A code is good only for the page that it was made for: the CLI's own port, or the page that shows it."""
        assert self._dialogue is not None
        if self._back and answer.page == self._back:
            await called_back(self._back, answer)
            return
        params = {"authorizationCode": answer.code, "state": answer.state}
        try:
            await self._dialogue.ask("claude_oauth_callback", params)
        except Refusal as error:
            raise _failure(str(error)) from error

    async def completed(self) -> None:
        assert self._dialogue is not None
        try:
            await self._dialogue.ask("claude_oauth_wait_for_completion", seconds=None)
        except Refusal as error:
            raise _failure(str(error)) from error

    async def identity(self) -> Identity:
        """By the CLI's own status command; the account's name at Anthropic stands beside its login."""
        process = await self._setting.start("auth", "status", "--json")
        try:
            identity = identity_of(await process.read(), self._setting.home)
        finally:
            await process.close()
        if identity is None:
            raise LoginFailed("failed", "the claude CLI says that it is not logged in after all; start the login again")
        return identity

    async def close(self) -> None:
        if self._dialogue is not None:
            with contextlib.suppress(Ended):
                await self._dialogue.close()


def identity_of(told: bytes, home: Path) -> Identity | None:
    """`told`: by the CLI's status command. None: it is not logged in."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        status = msgspec.json.decode(told, type=_Status)
        if status.logged_in and (account := _account(home) or status.email):
            return Identity(
                account=account,
                email=status.email,
                organization=status.org_name or "",
                plan=status.plan_tier or status.subscription_type or "",
                expires_at=_seconds(status.login_expires_at),
            )
    return None


def _account(home: Path) -> str:
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode((home / ".claude.json").read_bytes(), type=_Config).account.uuid
    return ""


_FAILURES: tuple[tuple[str, Reason, str], ...] = (
    ("No authorization code", "declined", "consent was declined on Claude's page; nothing was changed"),
    ("code wasn't accepted", "wrong_code", "Claude refused the code: it is incomplete, expired or used; start again"),
    ("status code 400", "wrong_code", "Claude refused the code: it is incomplete, expired or used; start again"),
    ("nvalid state", "failed", "an answer of another login reached the claude CLI, and it gave up; start again"),
)
"""What the CLI says → what that means."""


def _failure(told: str) -> LoginFailed:
    for words, reason, why in _FAILURES:
        if words in told:
            return LoginFailed(reason, why)
    return LoginFailed("failed", f"the claude CLI ended the login: {told[:300]}")


class _Status(msgspec.Struct, rename="camel"):
    logged_in: bool
    email: str = ""
    org_name: str | None = None
    subscription_type: str | None = None
    plan_tier: str | None = None
    """``max_20x``: of a subscription that comes in sizes."""
    login_expires_at: str | int | float | None = None


class _Account(msgspec.Struct):
    uuid: str = msgspec.field(name="accountUuid", default="")


class _Config(msgspec.Struct):
    account: _Account = msgspec.field(name="oauthAccount", default_factory=_Account)


def _seconds(value: str | float | None) -> float | None:
    """ISO 8601, or milliseconds."""
    if isinstance(value, int | float):
        return value / 1000
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(value, dt.datetime).timestamp() if value else None
    return None
