"""An account is removed: its file, and the login that only this file leads to."""

from __future__ import annotations

from auth.homes import Homes
from auth.refusal import Refused
from auth.store import Store
from proxy.config.account_files import AccountFile, HomeLogin


def home_of(store: Store[AccountFile], name: str) -> str:
    """Of a login; empty: it is none."""
    entry = store.entries.get(name)
    settings = entry.value.settings if entry is not None and entry.value is not None else None
    return settings.home if isinstance(settings, HomeLogin) else ""


def remove(store: Store[AccountFile], name: str, *, keeps_home: bool = False) -> str:
    """`name`: of the file. What became of its login, in a sentence; empty: it had none. Raises `Refused`, `Missing`;
    then all is as it was.
    """
    home = home_of(store, name)
    store.delete(name)
    return "" if not home else released(Homes(store.folder), home, keeps_home=keeps_home)


def released(homes: Homes, home: str, *, keeps_home: bool = False) -> str:
    """After its file is gone, or leads to another one."""
    if keeps_home or homes.is_named(home):
        return f"its login stays in {homes.folder / home}"
    try:
        homes.remove(home)
    except Refused as error:
        return f"its login stays: {error}"
    return "its login is deleted here, and was not revoked at the provider"
