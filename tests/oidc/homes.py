"""Homes of own OIDC logins, made without a person, and refreshed as a server does."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from auth import oidc
from auth.homes import Homes
from auth.oidc import OidcClient
from auth.oidc_source import OwnLogin
from auth.oidc_tokens import OidcTokens, put_tokens, read_tokens
from auth.seal import PLAIN
from auth.told import Told
from tests.oidc.conftest import Provider, sign_in

BACK = "http://127.0.0.1:1/callback"


def kept(data: Path, client: OidcClient, home: str) -> OwnLogin:
    assert Homes(data).path_of(home).is_dir()
    return OwnLogin(id=home, home=home, client=client, seal=PLAIN, environment={})


async def made(provider: Provider, data: Path) -> OwnLogin:
    """A login that is there."""
    client = provider.client()
    issuer = await oidc.discover(client)
    verifier = "v" * 43
    page = oidc.page_of(client, issuer, redirect_uri=BACK, state="s" * 43, nonce="n" * 43, verifier=verifier)
    code = parse_qs(urlsplit(await sign_in(page)).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": verifier}
    granted = await oidc.ask_for_token(client, issuer, form)
    home = Homes(data).make("oidc")
    put_tokens(home, OidcTokens(access=granted.access, refresh=granted.refresh, expires_at=0.0), PLAIN)
    return kept(data, client, home.name)


async def told(login: OwnLogin, data: Path) -> Told:
    """As by a server that starts now."""
    return await login.renew(data, login.read(data).access.digest)


async def refreshed(login: OwnLogin, data: Path) -> str:
    return (await told(login, data)).outcome


def is_whole(login: OwnLogin, data: Path) -> bool:
    home = Homes(data).path_of(login.home)
    return read_tokens(home, PLAIN).refresh is not None and (home / "tokens.json").stat().st_mode & 0o777 == 0o600
