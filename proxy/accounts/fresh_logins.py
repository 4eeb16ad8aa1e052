"""The logins and service accounts of the auth-dir while the server runs: each kept fresh, and its token at hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import structlog

from auth.cli.install import CliMissing, find
from auth.homes import Homes
from auth.logins.table import LOGIN_KINDS
from auth.oidc import SCOPES, OidcClient
from auth.oidc_source import OwnLogin
from auth.oidc_tokens import read_tokens
from auth.refresh import Keeper, Kept, Source
from auth.refusal import Refused
from auth.seal import Seal
from auth.secret import Secret
from auth.service_account import ServiceKey, Signed, Signer
from auth.tokens import TOKEN_FILES, Token, read_token
from proxy.accounts.egress import with_egress
from proxy.config.account_files import AccountFile, CliLogin, HomeLogin, OidcLogin, ServiceAccount
from proxy.config.checks import NO_PROXY
from proxy.providers.enrolled import NO_TOKEN

RENEW_SECONDS_MAX = 30.0
"""Longer than any CLI needs that gets an answer; whoever waits has another account to go to."""
NO_LOGIN = "has no login that could be read; log in again"
UNSIGNED = Token(access=Secret(""))
"""Of a service account, for whoever looks once: it can have one when it needs one."""


def tokens_now(folder: Path, files: Mapping[str, AccountFile], seal: Seal) -> dict[str, Token | str]:
    """By file, as the homes stand now; or why there is none. For whoever looks once."""
    found: dict[str, Token | str] = {}
    for name, file in files.items():
        try:
            token = _token_now(folder, file, seal)
        except Refused as error:
            found[name] = str(error)
        else:
            if token is not None:
                found[name] = token
    return found


def _token_now(folder: Path, file: AccountFile, seal: Seal) -> Token | None:
    """None: an account of its kind has none. Raises `Refused`."""
    match file.settings:
        case CliLogin(home=home):
            path = Homes(folder).path_of(home)
            return read_token(file.kind, path) if file.kind in TOKEN_FILES else None
        case OidcLogin(home=home):
            return read_tokens(Homes(folder).path_of(home), seal).token
        case ServiceAccount() as account:
            signer_of(account, "")
            return UNSIGNED
    return None


def client_of(login: OidcLogin, proxy_url: str) -> OidcClient:
    """`proxy_url`: the general egress proxy."""
    egress = login.proxy_url or proxy_url
    return OidcClient(
        issuer=login.issuer,
        client_id=login.client_id,
        secret=login.client_secret,
        scopes=login.scopes or SCOPES,
        proxy_url="" if egress in NO_PROXY else egress,
    )


def own_login(name: str, login: OidcLogin, proxy_url: str, seal: Seal) -> OwnLogin:
    client = client_of(login, proxy_url)
    return OwnLogin(id=name, home=login.home, client=client, seal=seal, environment=os.environ)


def signer_of(account: ServiceAccount, proxy_url: str) -> Signer:
    """`proxy_url`: the general egress proxy. Raises `Refused`."""
    egress = account.proxy_url or proxy_url
    return Signer(
        key=ServiceKey.of(account.service_account, account.token_url), proxy_url="" if egress in NO_PROXY else egress
    )


class FreshLogins:
    """`on_change` is called on the loop when a token is another one, or gone."""

    def __init__(
        self, folder: Path, *, seal: Seal, log: structlog.typing.FilteringBoundLogger, on_change: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._seal = seal
        self._log = log
        self._on_change = on_change
        self._keeper = Keeper(folder, on_change=self._changed)
        self.kept: list[Kept] = []
        """Those that an official CLI holds."""
        self._signers: dict[str, Signer] = {}
        self._refused: dict[str, str] = {}
        self._told: dict[str, str] = {}

    def keep(self, files: Mapping[str, AccountFile], proxy_url: str) -> None:
        """The disabled ones too: what is not refreshed is lost one day."""
        self._signers = {name: each for name, each in self._signers.items() if name in files}
        self._refused.clear()
        sources = [source for name, file in files.items() if (source := self._source(name, file, proxy_url))]
        self._keeper.keep(sources)
        self.kept = [each for each in sources if isinstance(each, Kept)]

    def _source(self, name: str, file: AccountFile, proxy_url: str) -> Source | None:
        match file.settings:
            case CliLogin() if file.kind not in TOKEN_FILES:
                return None
            case CliLogin() as login:
                return self._kept(name, file.kind, login, with_egress(os.environ, login.proxy_url or proxy_url))
            case OidcLogin() as own:
                return own_login(name, own, proxy_url, self._seal)
            case ServiceAccount() as account:
                return self._signed(name, account, proxy_url)
        return None

    def _signed(self, name: str, account: ServiceAccount, proxy_url: str) -> Source | None:
        """The signer that there is goes on, with its token, unless the key is another one."""
        try:
            signer = signer_of(account, proxy_url)
        except Refused as error:
            self._refused[name] = str(error)
            return None
        there = self._signers.get(name)
        if there is None or (there.key, there.proxy_url) != (signer.key, signer.proxy_url):
            there = self._signers[name] = signer
        return Signed(id=name, signer=there)

    def _kept(self, name: str, kind: str, login: CliLogin, ours: Mapping[str, str]) -> Kept:
        cli, home = LOGIN_KINDS[kind].cli, login.home
        command: tuple[str, ...] = ()
        try:
            command = find(cli, self._folder, ours).command
        except CliMissing as error:
            self._tell(name, f"its token cannot be refreshed: {error}")
        path = self._folder / "homes" / home
        return Kept(id=name, kind=kind, home=home, command=command, variables=cli.variables(path), environment=ours)

    def tokens(self, files: Mapping[str, AccountFile]) -> dict[str, Token | str]:
        found: dict[str, Token | str] = {}
        for name, file in files.items():
            if isinstance(file.settings, HomeLogin | ServiceAccount):
                status = self._keeper.status(name)
                usable = status.token is not None and not status.is_login_needed
                found[name] = (
                    status.token if usable and status.token is not None else status.why or self._nothing_yet(name)
                )
        return found

    def _nothing_yet(self, name: str) -> str:
        return self._refused.get(name) or (NO_TOKEN if name in self._signers else NO_LOGIN)

    def is_fresh(self, name: str) -> bool:
        status = self._keeper.status(name)
        return status.token is not None and not status.is_login_needed

    async def renew(self, name: str, refused: Secret) -> None:
        """Whoever asks waits for so long; the refresh goes on without them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEW_SECONDS_MAX):
                await self._keeper.renew(name, refused.digest)

    def logins_needed(self, files: Mapping[str, AccountFile]) -> Iterator[tuple[str, str]]:
        """Files, and why."""
        for name, file in files.items():
            status = self._keeper.status(name)
            if isinstance(file.settings, HomeLogin) and status.is_login_needed:
                yield name, status.why

    def notes(self, files: Mapping[str, AccountFile]) -> Iterator[str]:
        """What a human should mend."""
        for name, file in files.items():
            if isinstance(file.settings, HomeLogin) and self._keeper.status(name).is_login_needed:
                yield f"Log in again: {name} ({file.settings.email or file.kind})"

    def secrets(self, files: Mapping[str, AccountFile]) -> Iterator[Secret]:
        for token in self.tokens(files).values():
            if isinstance(token, Token):
                yield token.access

    def start(self) -> None:
        self._keeper.start()

    async def close(self) -> None:
        await self._keeper.close()

    def _changed(self, name: str) -> None:
        self._on_change()
        self._tell(name, self._keeper.status(name).why)

    def _tell(self, name: str, why: str) -> None:
        if self._told.get(name, "") == why:
            return
        self._told[name] = why
        if why:
            self._log.error("account.login_troubled", file=name, why=why)
        else:
            self._log.info("account.login_fresh", file=name)
