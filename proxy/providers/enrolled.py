"""Providers and credentials as the files of the auth-dir name them, beside those of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from auth.credential import Credential
from auth.secret import Secret
from proxy.config.account_files import AccountFile, AccountKey, CompatibleAccount, ServiceAccount
from proxy.providers.base import Provider
from proxy.providers.configured import PROVIDER_OF, compatible_name, key_id, offered
from proxy.providers.openai_compatible import provider_named

NOT_SERVED = "service accounts are kept, but this version does not sign their tokens yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    providers: tuple[Provider, ...]
    """Those that the configuration does not name."""
    credentials: Mapping[str, Credential]
    """By file."""
    unused: Mapping[str, str]
    """File → why it adds nothing, although nothing is wrong with it."""


def account_id(file: AccountFile) -> str:
    """By what names the account at its provider, not by the file: the same key in two places is one account, and two
    projects of one address are two.
    """
    match file.settings:
        case CompatibleAccount(name=name, api_key=key, base_url=base_url):
            return key_id(compatible_name(name), key, "" if key else base_url)
        case AccountKey(api_key=key, base_url=base_url):
            return key_id(file.kind, key, base_url)
        case ServiceAccount(service_account=account, project_id=project):
            names = (account.get("client_email"), project or account.get("project_id"))
            return key_id(file.kind, Secret("\n".join(str(each) for each in names)))


def secrets_of(file: AccountFile) -> Iterator[Secret]:
    """What must never be shown."""
    match file.settings:
        case AccountKey(api_key=key):
            yield key
        case ServiceAccount(service_account=account):
            yield Secret(str(account["private_key"]))


def from_files(
    files: Mapping[str, AccountFile],
    *,
    providers: Iterable[Provider],
    credentials: Iterable[Credential],
    proxy_url: str,
) -> Enrolled:
    """`files`: by name; of two files of one account the first counts. `providers` and `credentials`: the
    configuration's, which win. `proxy_url`: the general egress proxy.
    """
    configured = {credential.id: "config.yaml" for credential in credentials}
    named = {provider.name for provider in providers}
    taken = dict(configured)
    mine: dict[str, Credential] = {}
    unused: dict[str, str] = {}
    for name, file in files.items():
        own_id = account_id(file)
        if own_id in taken:
            unused[name] = f"is the same account as in {taken[own_id]}, which counts"
            continue
        taken[own_id] = name
        if isinstance(file.settings, ServiceAccount):
            unused[name] = NOT_SERVED
        else:
            mine[name] = _credential(file.settings, file, own_id, name, proxy_url)
    return Enrolled(providers=tuple(_providers(files, mine, named)), credentials=mine, unused=unused)


def _credential(key: AccountKey, file: AccountFile, own_id: str, name: str, proxy_url: str) -> Credential:
    is_compatible = isinstance(key, CompatibleAccount)
    return Credential(
        id=own_id,
        provider=compatible_name(key.name) if isinstance(key, CompatibleAccount) else PROVIDER_OF[file.kind].name,
        label=key.label or name.removesuffix(".json"),
        secret=key.api_key if key.api_key or not is_compatible else None,
        base_url=key.base_url.rstrip("/") or None,
        proxy_url=key.proxy_url or proxy_url or None,
        prefix=key.prefix,
        priority=key.priority,
        weight=key.weight,
        concurrency=key.concurrency,
        reserve_percent=key.reserve_percent,
        models=offered(key.models),
        excluded_models=key.excluded_models,
        headers=key.headers,
        is_disabled=key.disabled,
    )


def _providers(
    files: Mapping[str, AccountFile], mine: Mapping[str, Credential], named: Iterable[str]
) -> Iterator[Provider]:
    """One for each name of an OpenAI-compatible provider that the configuration does not know."""
    accounts: dict[str, list[CompatibleAccount]] = {}
    for name in mine:
        settings = files[name].settings
        if isinstance(settings, CompatibleAccount):
            accounts.setdefault(compatible_name(settings.name), []).append(settings)
    for name, group in accounts.items():
        if name in named:
            continue
        models = tuple(model.name for account in group for model in account.models)
        provider = provider_named(name, group[0].base_url.rstrip("/"), models)
        if any(not account.models for account in group):
            # Whoever lists no models is asked for any, as an entry of the configuration without models is.
            provider = replace(provider, families=("*",))
        yield provider
