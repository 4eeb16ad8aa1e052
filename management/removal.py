"""An account is removed: its file, and the login that only this file leads to."""

from __future__ import annotations

from auth.departures import Departures
from auth.store import HOMES, Store
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
    if not home or keeps_home:
        store.delete(name)
        return f"its login stays in {store.folder / HOMES / home}" if home else ""
    departures = Departures(store.folder)
    store.delete(name, into=departures.room_for(home))
    return departures.released(home)
