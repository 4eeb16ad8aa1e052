"""Codex, by its app-server: in the browser with the CLI's own callback on port 1455, or by device code."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import msgspec

from auth import ports
from auth.cli.dialogue import APP_SERVER, Dialogue
from auth.cli.process import Ended
from auth.document import JsonValue
from auth.flow import Deliver, Reason, ShowCode, Visit
from auth.identity import Identity
from auth.logins.base import LoginFailed, Offer, Setting, called_back, state_of, text_of

CALLBACK_PORT = 1455
PROMPT = "Paste the address of the page that the browser could not open"
OPTIONS = (
    "-c", 'cli_auth_credentials_store="file"',
    "-c", "check_for_update_on_startup=false",
    "-c", "analytics.enabled=false",
    "-c", "features.plugins=false",
    "-c", "features.apps=false",
    "app-server",
)  # fmt: skip
CLIENT: Mapping[str, JsonValue] = {"name": "proxy", "title": "proxy", "version": "1"}


class CodexLogin:
    """The CLI itself has the callback port, and checks the state of what comes there."""

    door = None
    is_door_needed = False

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._dialogue: Dialogue | None = None
        self._login = ""
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self) -> Offer:
        if not self._setting.is_device and not ports.is_free(CALLBACK_PORT):
            raise ports.PortTaken(CALLBACK_PORT)  # the CLI would end another login there, or take a port of its own
        dialogue = await self._spoken_to()
        kind = "chatgptDeviceCode" if self._setting.is_device else "chatgpt"
        begun = await dialogue.ask("account/login/start", {"type": kind})
        self._login = text_of(begun.get("loginId"))
        if self._setting.is_device:
            return Offer(step=ShowCode(text_of(begun.get("verificationUrl")), text_of(begun.get("userCode"))))
        url = text_of(begun.get("authUrl"))
        return Offer(step=Visit(url, PROMPT), state=state_of(url))

    async def resume(self) -> None:
        await self._spoken_to()

    async def _spoken_to(self) -> Dialogue:
        self._dialogue = Dialogue(await self._setting.start(*OPTIONS), APP_SERVER, on_event=self._heard)
        await self._dialogue.ask("initialize", {"clientInfo": dict(CLIENT), "capabilities": {"experimentalApi": True}})
        await self._dialogue.tell({"method": "initialized"})
        return self._dialogue

    async def deliver(self, answer: Deliver) -> None:
        """As the browser would have: to the CLI's port, and on to the page that it leads to, at which it finishes."""
        base = f"http://127.0.0.1:{CALLBACK_PORT}"
        ahead = await called_back(f"{base}/auth/callback", answer)
        if ahead.startswith((f"{base}/", f"http://localhost:{CALLBACK_PORT}/")):
            async with aiohttp.ClientSession() as session, session.get(ahead, allow_redirects=False):
                pass

    async def completed(self) -> None:
        if error := await self._ended:
            raise _failure(error)

    async def identity(self) -> Identity:
        assert self._dialogue is not None
        identity = identity_of(await self._dialogue.ask("account/read", {}), self._setting.home)
        if identity is None:
            raise LoginFailed("failed", "the codex CLI says that it is not logged in after all; start the login again")
        return identity

    async def close(self) -> None:
        if self._dialogue is None:
            return
        with contextlib.suppress(Ended):
            await self._dialogue.close()

    def _heard(self, message: Mapping[str, JsonValue]) -> None:
        params = message.get("params")
        if message.get("method") != "account/login/completed" or not isinstance(params, dict):
            return
        if params.get("loginId") in {self._login, None} and not self._ended.done():
            failure = text_of(params.get("error")) or "without a reason"
            self._ended.set_result("" if params.get("success") else failure)


def identity_of(read: Mapping[str, JsonValue], home: Path) -> Identity | None:
    """`read`: the answer to ``account/read``. None: it is not logged in."""
    account = read.get("account")
    if not isinstance(account, dict) or account.get("type") != "chatgpt":
        return None
    claims = _claims(home)
    email = text_of(account.get("email"))
    name = claims.chatgpt_account_id if claims is not None else ""
    return Identity(
        account=f"{name}/{text_of(read.get('userId'))}" if name else email,
        email=email,
        organization=text_of(account.get("workspaceName")),
        plan=text_of(account.get("planType")),
    )


def _claims(home: Path) -> _OpenAi | None:
    """Of the access token that the CLI has just been given. A workspace has many users, and a user many."""
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        saved = msgspec.json.decode((home / "auth.json").read_bytes(), type=_Saved)
        body = saved.tokens.access_token.split(".")[1]
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        return msgspec.json.decode(raw, type=_Claims).auth
    return None


_FAILURES: tuple[tuple[str, Reason, str], ...] = (
    ("access_denied", "declined", "consent was declined on ChatGPT's page; nothing was changed"),
    ("device auth failed", "declined", "the code was declined on ChatGPT's page, or has expired; nothing was changed"),
    ("oken exchange failed", "wrong_code", "ChatGPT refused the code: it is incomplete, expired or used; start again"),
    ("cancelled", "failed", "another codex login has taken the port and ended this one; start it again"),
)
"""What the CLI says → what that means."""


def _failure(told: str) -> LoginFailed:
    for words, reason, why in _FAILURES:
        if words in told:
            return LoginFailed(reason, why)
    return LoginFailed("failed", f"the codex CLI ended the login: {told[:300]}")


class _Tokens(msgspec.Struct):
    access_token: str


class _Saved(msgspec.Struct):
    tokens: _Tokens


class _OpenAi(msgspec.Struct):
    chatgpt_account_id: str = ""


class _Claims(msgspec.Struct):
    auth: _OpenAi = msgspec.field(name="https://api.openai.com/auth", default_factory=_OpenAi)
