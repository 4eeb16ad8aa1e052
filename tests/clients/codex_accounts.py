"""Accounts of Codex as the proxy has them, and ChatGPT's backend under its own name, but on 127.0.0.1."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from tests.clients.logins import log_in
from tests.clients.over_socket import on_socket
from tests.clients.stage import Stage
from tests.logins.vendor import _certified
from tests.socket_vendor import SocketVendor

HOST = "chatgpt.com"
NOBODY = "nobody"
"""Whose login a CLI has that is served by other accounts."""


def login(account: str) -> bytes:
    """Codex's file of it: signed by nobody, for an account that does not exist."""
    auth = {"chatgpt_plan_type": "pro", "chatgpt_account_id": account}
    claims = {"email": f"{account}@example.test", "exp": 4_102_444_800, "https://api.openai.com/auth": auth}
    parts = (base64.urlsafe_b64encode(msgspec.json.encode(each)).rstrip(b"=") for each in ({"alg": "none"}, claims))
    token = b".".join((*parts, b"c2ln")).decode()
    tokens = {"id_token": token, "access_token": token, "refresh_token": account, "account_id": account}
    return msgspec.json.encode({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": "2026-11-20T00:00:00Z",
    })  # fmt: skip


def token(account: str) -> str:
    found: str = msgspec.json.decode(login(account))["tokens"]["access_token"]
    return found


def as_chatgpt(url: str) -> str:
    """The settings of one who is logged in, and asks us for everything."""
    return (
        f'chatgpt_base_url = "{url}/backend-api"\nopenai_base_url = "{url}/v1"\n'
        'cli_auth_credentials_store = "file"\n'
        "[analytics]\nenabled = false\n[features]\nplugins = false\napps = false\n"
    )


@asynccontextmanager
async def chatgpt(stage: Stage, accounts: Sequence[str]) -> AsyncIterator[SocketVendor]:
    """Its backend, and the accounts there that the proxy has when it is opened: they take turns in that order."""
    async with on_socket(stage.upstream, SocketVendor(_certified(stage.folder))) as vendor:
        stage.by_socket = vendor
        stage.outside.ways[HOST] = vendor.port
        stage.authority = stage.folder / "authority.pem"
        stage.settings = {"proxy-url": stage.outside.url, "routing": {"strategy": "fill-first"}}
        for number, account in enumerate(accounts):
            log_in(stage.folder / "auth", "codex", account, number, {"auth.json": login(account)})
        yield vendor
