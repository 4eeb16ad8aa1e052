"""Providers and credentials as the files of the auth-dir name them, beside those of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from auth.credential import Credential
from auth.secret import Secret
from auth.tokens import Token
from proxy.config.account_files import (
    Account,
    AccountFile,
    AccountKey,
    CliLogin,
    CompatibleAccount,
    OidcLogin,
    ServiceAccount,
)
from proxy.providers import chat_by_cli, claude_code, codex, gemini_cli, oidc, vertex
from proxy.providers.base import Provider
from proxy.providers.configured import PROVIDER_OF, compatible_name, credential_of, key_id, offered
from proxy.providers.openai_compatible import provider_named

NOT_SERVED: Mapping[str, str] = {
    "kimi-code": "Kimi Code keeps its own tools and instructions when another program drives it",
    "grok": "Grok reads files that a text names, and hides a caller's tools behind its own",
    "copilot": "Copilot's requests with a login lead nowhere but to GitHub, under its own instructions",
}
"""By kind, why a login's CLI does not ask for others (docs/backends.md)."""
NO_PROJECT = "its Google Cloud project is not known: log in again, or write project-id into its file"
LOGIN_PROVIDERS: Mapping[str, Provider] = {
    "claude-code": claude_code.PROVIDER,
    "codex": codex.PROVIDER,
    "gemini-cli": gemini_cli.PROVIDER,
}
"""By kind, who is asked with the token of a login."""
NO_TOKEN = "its token is being fetched"  # noqa: S105 - a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    providers: tuple[Provider, ...]
    """Those that the configuration does not name."""
    credentials: Mapping[str, Credential]
    """By file."""
    unused: Mapping[str, str]
    """File → why it adds nothing, although nothing is wrong with it."""
    lacking: frozenset[str] = frozenset()
    """Those of them that would serve, if they had a token or a project."""


def account_id(file: AccountFile) -> str:
    """By what names the account at its provider, not by the file: the same key in two places is one account, and two
    projects or places of one address are two.
    """
    match file.settings:
        case CompatibleAccount(name=name, api_key=key, base_url=base_url):
            return key_id(compatible_name(name), key, "" if key else base_url)
        case AccountKey(api_key=key, base_url=base_url):
            return key_id(file.kind, key, base_url)
        case ServiceAccount(service_account=service, project_id=project, location=location):
            names = (service.get("client_email"), project or service.get("project_id"), location)
            return key_id(file.kind, Secret("\n".join(str(each) for each in names)))
        case CliLogin(account=account):
            return key_id(file.kind, Secret(account))
        case OidcLogin(account=account, issuer=issuer, client_id=client, provider=provider, base_url=base_url):
            return key_id(file.kind, Secret(f"{issuer}\n{client}\n{account}\n{provider}\n{base_url}"))


def secrets_of(file: AccountFile) -> Iterator[Secret]:
    """What must never be shown."""
    match file.settings:
        case AccountKey(api_key=key):
            yield key
        case ServiceAccount(service_account=account):
            yield Secret(str(account["private_key"]))
        case OidcLogin(client_secret=secret):
            yield secret


def from_files(
    files: Mapping[str, AccountFile],
    *,
    providers: Iterable[Provider],
    credentials: Iterable[Credential],
    proxy_url: str,
    tokens: Mapping[str, Token | str] = MappingProxyType({}),
    homes: Path | None = None,
) -> Enrolled:
    """`files`: by name; of two files of one account the first counts. `providers` and `credentials`: the
    configuration's, which win. `proxy_url`: the general egress proxy. `tokens`: of logins and service accounts, by
    file; or why there is none. `homes`: the folder that holds the logins' homes.
    """
    taken = {credential.id: "config.yaml" for credential in credentials}
    named = {provider.name for provider in providers}
    mine: dict[str, Credential] = {}
    unused: dict[str, str] = {}
    lacking: set[str] = set()
    for name, file in files.items():
        own_id = account_id(file)
        first = taken.setdefault(own_id, name)
        if first != name:
            unused[name] = f"is the same account as in {first}, which counts"
        elif isinstance(file.settings, AccountKey):
            mine[name] = _credential(file.settings, file, own_id, name, proxy_url)
        elif isinstance(file.settings, CliLogin) and file.kind not in LOGIN_PROVIDERS:
            unused[name] = f"is kept and listed; no client is served with it: {NOT_SERVED[file.kind]}"
        elif isinstance(token := tokens.get(name, NO_TOKEN), str):
            unused[name] = token
            lacking.add(name)
        elif isinstance(file.settings, CliLogin) and _lacks_project(file.kind, file.settings):
            unused[name] = NO_PROJECT
            lacking.add(name)
        elif isinstance(file.settings, CliLogin):
            login = _login(file.settings, file.kind, own_id, name, token, proxy_url)
            mine[name] = replace(login, home=None if homes is None else homes / file.settings.home)
        elif isinstance(file.settings, OidcLogin):
            login = _oidc(file.settings, own_id, name, token, proxy_url)
            mine[name] = replace(login, home=None if homes is None else homes / file.settings.home)
        else:
            mine[name] = _service_account(file.settings, own_id, name, token, proxy_url)
    return Enrolled(
        providers=tuple(_providers(files, mine, named)),
        credentials=mine,
        unused=unused,
        lacking=frozenset(lacking),
    )


def _credential(key: AccountKey, file: AccountFile, own_id: str, name: str, proxy_url: str) -> Credential:
    credential = credential_of(
        key,
        provider=_name_of(key) if isinstance(key, CompatibleAccount) else PROVIDER_OF[file.kind].name,
        own_id=own_id,
        label=key.label or name.removesuffix(".json"),
        proxy_url=proxy_url,
    )
    return replace(credential, is_disabled=key.disabled)


def _lacks_project(kind: str, login: CliLogin) -> bool:
    return LOGIN_PROVIDERS[kind].is_enveloped and not login.project_id


def _login(login: CliLogin, kind: str, own_id: str, name: str, token: Token, proxy_url: str) -> Credential:
    credential = _account(login, LOGIN_PROVIDERS[kind], own_id, name, token, proxy_url)
    credential = replace(credential, project=login.project_id)
    if not token.account_id:
        return credential
    return replace(credential, headers={codex.ACCOUNT_HEADER: token.account_id, **login.headers})


def _oidc(login: OidcLogin, own_id: str, name: str, token: Token, proxy_url: str) -> Credential:
    credential = _account(login, oidc.provider_of(login), own_id, name, token, proxy_url)
    return replace(credential, base_url=oidc.base_url_of(login), headers=oidc.headers_of(login))


def _service_account(account: ServiceAccount, own_id: str, name: str, token: Token, proxy_url: str) -> Credential:
    project = account.project_id or str(account.service_account["project_id"])
    credential = _account(account, vertex.ACCOUNT, own_id, name, token, proxy_url)
    return replace(credential, base_url=vertex.place_of(project, account.location, account.base_url))


def _account(account: Account, provider: Provider, own_id: str, name: str, token: Token, proxy_url: str) -> Credential:
    return Credential(
        id=own_id,
        provider=provider.name,
        label=account.label or name.removesuffix(".json"),
        secret=token.access,
        proxy_url=account.proxy_url or proxy_url or None,
        prefix=account.prefix,
        priority=account.priority,
        weight=account.weight,
        concurrency=account.concurrency,
        reserve_percent=account.reserve_percent,
        models=offered(account.models),
        excluded_models=account.excluded_models,
        headers=account.headers,
        error_rules=account.request_scoped_errors,
        is_disabled=account.disabled,
    )


def _providers(
    files: Mapping[str, AccountFile], mine: Mapping[str, Credential], named: Iterable[str]
) -> Iterator[Provider]:
    """Each once; those of a name of their own only where the configuration does not know it."""
    found: dict[str, Provider] = {}
    compatible: dict[str, list[CompatibleAccount | OidcLogin]] = {}
    for name in mine:
        match files[name].settings:
            case CliLogin():
                found[files[name].kind] = LOGIN_PROVIDERS[files[name].kind]
            case ServiceAccount():
                found[vertex.ACCOUNT.name] = vertex.ACCOUNT
            case CompatibleAccount() as account:
                compatible.setdefault(_name_of(account), []).append(account)
            case OidcLogin() as login if oidc.is_compatible(login):
                compatible.setdefault(compatible_name(login.provider), []).append(login)
            case OidcLogin() as login:
                provider = oidc.provider_of(login)
                found.setdefault(provider.name, provider)
    yield from (found[name] for name in sorted(found))
    yield from (_compatible(name, accounts) for name, accounts in compatible.items() if name not in named)


def _name_of(account: CompatibleAccount) -> str:
    """Asked in another way it is another provider."""
    name = f"{account.name}-by-{account.cli}" if account.cli else account.name
    return compatible_name(name)


def _compatible(name: str, accounts: Sequence[CompatibleAccount | OidcLogin]) -> Provider:
    models = tuple(model.name for account in accounts for model in account.models)
    provider = provider_named(name, accounts[0].base_url.rstrip("/"), models)
    if isinstance(accounts[0], CompatibleAccount) and accounts[0].cli:
        provider = chat_by_cli.by_cli(provider, accounts[0].cli)
    # Whoever lists no models is asked for any, as an entry of the configuration without models is.
    return provider if all(account.models for account in accounts) else replace(provider, families=("*",))
