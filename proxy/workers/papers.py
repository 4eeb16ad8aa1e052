"""What the owner tells of configuration, keys and accounts, and what a follower makes of it: the same as the owner has,
by the same functions. Nothing of a login goes along but that there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from auth.document import JsonValue
from auth.secret import Secret
from auth.tokens import Token
from proxy.accounts.enrolment import Enrolment
from proxy.config.account_files import AccountFile, interpret
from proxy.config.client_keys import ClientKey
from proxy.config.key_file import KeyFile
from proxy.config.load import parse
from proxy.config.schema import Config
from proxy.dispatch.decision import Candidate
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import ConfigError
from proxy.footing import secrets_beside
from proxy.providers.base import Model
from proxy.providers.configured import from_config
from proxy.providers.enrolled import from_files
from proxy.server.app import Edition
from proxy.server.clientele import keys_of
from proxy.workers.messages import Papers

ELSEWHERE = Token(access=Secret(""))
"""The owner's own."""
_HIDDEN = ("private_key", "client_secret", "client-secret")
"""Of what files say: whose account it is can be told without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """`plain`: the ids of credentials that need nothing but their key."""

    config: Config
    snapshot: Snapshot
    edition: Edition
    plain: frozenset[str]
    is_real: bool

    def is_plain(self, candidate: Candidate) -> bool:
        """Whoever has the key may ask it: no login, no CLI, no count of requests under way stands in between."""
        provider = candidate.provider
        return (
            candidate.credential.id in self.plain
            and provider.executor == "http"
            and not (provider.own_cli or provider.cli_executor or provider.is_enveloped)
        )

    def secrets(self) -> Iterator[Secret]:
        """What must not be shown."""
        for key in self.config.api_keys:
            yield key.api_key
        for credential in self.snapshot.credentials:
            if credential.secret is not None:
                yield credential.secret
        yield self.config.remote_management.secret_key
        yield from secrets_beside(self.config, self.snapshot.credentials)


def stand(papers: Papers, is_lost: Callable[[str], bool]) -> Standpoint:
    """`is_lost`: `proxy.dispatch.catalogue.Catalogue`. Raises `ConfigError`, where the owner would have, too."""
    config = replace(parse(papers.config).config, host=papers.host, port=papers.port)
    file = None
    if papers.keys is not None:
        keys = tuple(ClientKey(key_hash=digest, name=name) for digest, name in papers.keys)
        file = KeyFile(keys=keys, digest="")
    files = {name: _interpreted(fields) for name, fields in papers.files.items()}
    providers, credentials = from_config(config)
    tokens = {name: why or ELSEWHERE for name, why in papers.tokens.items()}
    mine = from_files(
        files,
        providers=providers,
        credentials=credentials,
        proxy_url=config.proxy_url,
        tokens=tokens,
        homes=Path("homes"),
    )
    snapshot = Snapshot.of(config, providers=mine.providers, credentials=mine.credentials.values())
    snapshot = snapshot.relisted(papers.lists, is_lost)
    kept = {mine.credentials[name].id for name in tokens if name in mine.credentials}
    return Standpoint(
        config=config,
        snapshot=snapshot,
        edition=Edition(config=config, keys=keys_of(config, file), listing=snapshot.catalogue),
        plain=frozenset(
            each.id
            for each in snapshot.credentials
            if each.id not in kept and each.home is None and not each.concurrency
        ),
        is_real=papers.is_real,
    )


def papers_of(
    config: Config,
    raw: bytes,
    enrolment: Enrolment,
    keys: Iterable[ClientKey] | None,
    lists: Mapping[str, tuple[Model, ...]],
    is_real: bool,
) -> Papers:
    """Of what is in force. `raw`: what `config` was read from. `keys`: that stand in a file of their own."""
    entries = enrolment.store.entries.values()
    files = {each.name: each for each in entries if each.value is not None and each.document is not None}
    tokens = enrolment.tokens()
    return Papers(
        number=0,
        config=raw,
        host=config.host,
        port=config.port,
        keys=None if keys is None else [(key.hash, key.name) for key in keys],
        files={
            name: _discreet(each.document.fields, is_login=name in tokens)
            for name, each in files.items()
            if each.document is not None
        },
        tokens={name: token if isinstance(token, str) else "" for name, token in tokens.items()},
        lists=dict(lists),
        is_real=is_real,
    )


def _interpreted(fields: Mapping[str, JsonValue]) -> AccountFile:
    """Raises `ConfigError`."""
    file = interpret(fields)
    if isinstance(file, str):
        raise ConfigError(f"an account's file {file}")
    return file


def _discreet(fields: Mapping[str, JsonValue], *, is_login: bool) -> dict[str, JsonValue]:
    """A file, as it goes to followers."""
    return {name: _hidden(name, value) for name, value in fields.items()} if is_login else dict(fields)


def _hidden(name: str, value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {inner: _hidden(inner, each) for inner, each in value.items()}
    return "…" if name in _HIDDEN and value else value
