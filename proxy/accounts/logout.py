"""Ending logins: at their provider, as far as that can be done from here, and then here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from auth import oidc
from auth.cli.install import CliMissing, find
from auth.cli.process import CliProcess, Ended
from auth.flow import Aborted
from auth.homes import Homes
from auth.logins.table import LOGIN_KINDS, LoginKind
from auth.oidc import OidcClient
from auth.oidc_tokens import read_tokens
from auth.refusal import LoginNeeded, Refused
from auth.seal import Seal
from auth.tokens import TOKEN_FILES, read_token
from proxy.accounts.desk import Desk
from proxy.accounts.egress import with_egress
from proxy.accounts.fresh_logins import client_of
from proxy.config.account_files import HomeLogin, OidcLogin

REVOKE_SECONDS_MAX = 30.0


async def log_out(desk: Desk, name: str, ours: Mapping[str, str]) -> str:
    """What was done, and what is left to do. Raises `Refused`, `CliMissing`; then the account stands as it was."""
    kind, login = desk.login_of(name)
    homes = Homes(desk.folder)
    if isinstance(login, OidcLogin):
        told = await _revoked_ourselves(desk, homes, login)
    else:
        told = await _revoked(desk, homes, LOGIN_KINDS[kind], login, with_egress(ours, desk.proxy_url))
    _, left = desk.remove(name)
    return f"{told}; {left}" if (homes.folder / login.home).exists() else told


async def _revoked_ourselves(desk: Desk, homes: Homes, login: OidcLogin) -> str:
    """Raises `Refused`: where the provider is not reached the login would live on, and nobody would know it."""
    client = client_of(login, desk.proxy_url)
    try:
        with homes.owned(login.home) as home:
            why = await _ended(client, home, desk.seal)
    except LoginNeeded:
        return "its login was gone already"
    except _NoWay:
        return f"deleted here; {client.host} has no way to revoke a login from here"
    if why:
        raise Refused(
            f"{client.host} has not revoked the login: {why}; `proxy accounts remove` deletes it all the same"
        )
    return "logged out, and revoked at the provider"


class _NoWay(Exception):
    """The provider has no endpoint for it."""


async def _ended(client: OidcClient, home: Path, seal: Seal) -> str:
    """Why not; empty: it is. Raises `LoginNeeded`, `Refused`, `_NoWay`."""
    tokens = read_tokens(home, seal)
    issuer = await oidc.discover(client)
    if not issuer.revocation_url:
        raise _NoWay
    return await oidc.revoke(client, issuer, tokens.refresh or tokens.access)


async def _revoked(desk: Desk, homes: Homes, kind: LoginKind, login: HomeLogin, ours: Mapping[str, str]) -> str:
    try:
        homes.path_of(login.home)
    except Refused:
        return "its login was gone already"
    if not kind.logout:
        return f"deleted here; the {kind.cli.name} CLI cannot revoke a login: do it at {kind.revoke_page}"
    installed = find(kind.cli, desk.folder, ours)
    with homes.owned(login.home) as home:
        try:
            code, told = await _ended_by_cli(kind, installed.command, home, ours)
        except Ended as error:
            raise CliMissing(str(error)) from error
    if code != 0:
        raise Refused(f"the {kind.cli.name} CLI could not log out: {told.splitlines()[-1] if told else code}")
    return "logged out, and revoked at the provider"


async def _ended_by_cli(
    kind: LoginKind, command: Sequence[str], home: Path, ours: Mapping[str, str]
) -> tuple[int, str]:
    """Its exit code, and what it said. Raises `Ended`."""
    process = await CliProcess.start([*command, *kind.logout], home=home, variables=kind.cli.variables(home), ours=ours)
    try:
        await process.read()
        return await process.finished(), process.told
    finally:
        await process.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a provider may have granted in a login that came to nothing. `client`: of one that is our own."""

    kind: LoginKind
    home: Path
    command: Sequence[str]
    ours: Mapping[str, str] = field(repr=False)
    client: OidcClient | None
    seal: Seal = field(repr=False)


async def withdrawn(step: Aborted, grant: Grant) -> Aborted:
    """Nobody is to hold what nobody wanted, the one who was refused included. Tells what is left for a human to do."""
    if not is_granted(step, grant):
        return step
    try:
        async with asyncio.timeout(REVOKE_SECONDS_MAX):
            is_over = await _taken_back(grant)
    except (Refused, Ended, _NoWay, TimeoutError):
        is_over = False
    if is_over:
        return replace(step, why=f"{step.why}; what was granted is revoked")
    where = grant.kind.revoke_page or f"the settings of the account at {grant.kind.cli.whose}"
    return replace(step, why=f"{step.why}; it is deleted here, and can be revoked in {where}")


def is_granted(step: Aborted, grant: Grant) -> bool:
    """Whether there are tokens, as far as that can be known."""
    try:
        if grant.client is not None:
            read_tokens(grant.home, grant.seal)
        elif grant.kind.name in TOKEN_FILES:
            read_token(grant.kind.name, grant.home)
        else:
            return step.reason == "wrong_account"
    except Refused:
        return False
    return True


async def _taken_back(grant: Grant) -> bool:
    """Raises `Refused`, `Ended`, `_NoWay`."""
    if grant.client is not None:
        return not await _ended(grant.client, grant.home, grant.seal)
    if not grant.kind.logout:
        return False
    code, _ = await _ended_by_cli(grant.kind, grant.command, grant.home, grant.ours)
    return code == 0
