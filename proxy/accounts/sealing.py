"""Sealing what is in the auth-dir, and unsealing it: files of accounts, and the tokens of own OIDC logins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from auth import oidc_tokens
from auth.homes import Homes
from auth.refusal import Refused
from auth.seal import PLAIN, Seal, is_sealed, unsealed
from auth.store import Entry, Store
from proxy.accounts.enrolment import open_store
from proxy.config.account_files import AccountFile, CliLogin, OidcLogin

OF_A_CLI = "stays as it is: the login in it is its official CLI's, which reads no sealed files"


def seal(folder: Path, key: Seal) -> Iterator[tuple[str, str]]:
    """File or home → what was done with it. Raises `Refused` where there is no key."""
    if not key.is_on or key.fault:
        raise Refused(key.fault or "there is no key")
    store = open_store(folder, key)
    yield from _each(store, lambda entry: _sealed(store, entry), lambda home: _rewritten(home, key, key))


def unseal(folder: Path, key: Seal) -> Iterator[tuple[str, str]]:
    """Likewise."""
    store, plain = open_store(folder, key), open_store(folder, PLAIN)
    yield from _each(store, lambda entry: _unsealed(plain, entry), lambda home: _rewritten(home, key, PLAIN))


def _each(
    store: Store[AccountFile], of_file: Callable[[Entry[AccountFile]], str], of_home: Callable[[Path], str]
) -> Iterator[tuple[str, str]]:
    homes = Homes(store.folder)
    for name, entry in store.entries.items():
        if entry.fault is not None:
            yield name, f"is left alone: it {entry.fault}"
            continue
        yield name, of_file(entry)
        match entry.value.settings if entry.value is not None else None:
            case CliLogin(home=home):
                yield f"homes/{home}", OF_A_CLI
            case OidcLogin(home=home):
                try:
                    with homes.owned(home) as path:
                        yield f"homes/{home}", of_home(path)
                except Refused as error:
                    yield f"homes/{home}", f"is left alone: {error}"


def _sealed(store: Store[AccountFile], entry: Entry[AccountFile]) -> str:
    assert entry.document is not None
    if store.seal.closed(entry.document).parts == entry.document.parts:
        return "is sealed" if _has_seal(entry) else "holds no secret"
    try:
        store.change(entry.name, {}, expecting=entry.digest)
    except Refused as error:
        return f"is not sealed: {error}"
    return "sealed"


def _unsealed(plain: Store[AccountFile], entry: Entry[AccountFile]) -> str:
    assert entry.document is not None
    if not _has_seal(entry):
        return "is not sealed"
    try:
        plain.put(entry.name, unsealed(entry.document), expecting=entry.digest)
    except Refused as error:
        return f"is not unsealed: {error}"
    return "unsealed"


def _has_seal(entry: Entry[AccountFile]) -> bool:
    return entry.document is not None and entry.document.is_any(is_sealed)


def _rewritten(home: Path, before: Seal, after: Seal) -> str:
    """Raises `Refused`."""
    try:
        oidc_tokens.put_tokens(home, oidc_tokens.read_tokens(home, before), after)
    except OSError as error:
        raise Refused(f"it cannot be written: {error.strerror}") from error
    return "sealed" if after.is_on else "unsealed"
