"""Accounts: the files of the auth-dir and the keys of the configuration, as one list, without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from auth.credential import Credential
from auth.pool import Pool
from auth.standing import ALL_MODELS, Standing
from auth.store import Entry
from management.refusal import absent, invalid
from management.state import State, auth_index
from proxy.config.account_files import AccountFile, AccountKey
from proxy.config.settings import JsonValue
from proxy.providers.enrolled import account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`entry`: its file; None: a key of the configuration. `credential`: None: it serves nothing."""

    id: str
    entry: Entry[AccountFile] | None
    credential: Credential | None


def accounts(state: State) -> list[Account]:
    credentials = {each.id: each for each in state.snapshot().credentials}
    found = []
    for entry in state.store.entries.values():
        own_id = account_id(entry.value) if entry.value is not None else entry.name
        found.append(Account(id=own_id, entry=entry, credential=credentials.pop(own_id, None)))
    return found + [Account(id=each.id, entry=None, credential=each) for each in credentials.values()]


class Teller:
    """Looks at the pool once for all of them. To be made on the loop, where the pool lives; `told` works anywhere."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._now, self._offset = state.clock.monotonic(), state.offset
        self._standings: dict[str, dict[str, Standing]] = {}
        for (credential_id, model), standing in state.pool.standings(self._now):
            self._standings.setdefault(credential_id, {})[model] = standing
        self._windows = windows_of(state.pool, self._now, self._offset)

    def told(self, account: Account) -> dict[str, object]:
        entry, credential = account.entry, account.credential
        fields: Mapping[str, JsonValue] = {}
        if entry is not None and entry.document is not None:
            fields = entry.document.fields
        kind = entry.value.kind if entry is not None and entry.value is not None else ""
        settings = entry.value.settings if entry is not None and entry.value is not None else None
        status, why, until = self._standing(account)
        told: dict[str, object] = {
            "id": account.id,
            "auth_index": auth_index(account.id),
            "name": entry.name if entry is not None else "",
            "type": kind or (credential.provider if credential is not None else ""),
            "provider": credential.provider if credential is not None else kind,
            "label": credential.label if credential is not None else str(fields.get("label") or account.id),
            "status": status,
            "status_message": why,
            "disabled": status == "disabled",
            "unavailable": status in {"cooling", "broken", "error"},
            "runtime_only": False,
            "source": "file" if entry is not None else "config",
            "account_type": "api_key" if settings is None or isinstance(settings, AccountKey) else "oauth",
            "account": fields.get("email") or "",
            "email": fields.get("email") or "",
            "project_id": getattr(settings, "project_id", ""),
            "note": fields.get("note") or "",
            "in_flight": self._state.pool.in_flight(account.id),
            "next_retry_after": _iso(until),
            "cooldowns": [*self._cooldowns(account.id)],
            "windows": self._windows.get(account.id, []),
        }
        if credential is not None:
            told |= {"priority": credential.priority, "weight": credential.weight, "prefix": credential.prefix}
        if entry is not None:
            told |= _file_facts(self._state.store.folder / entry.name)
        return told

    def _standing(self, account: Account) -> tuple[str, str, float | None]:
        """``active`` and ``error`` are the words of the well-known panels."""
        entry, credential = account.entry, account.credential
        if entry is not None and entry.fault is not None:
            return "error", entry.fault, None
        is_disabled = entry is not None and getattr(entry.value and entry.value.settings, "disabled", False)
        is_resting = credential is not None and (credential.is_disabled or "*" in credential.excluded_models)
        if is_disabled or is_resting:
            return "disabled", "", None
        if credential is None:
            return self._unserved(entry)
        standings = self._standings.get(account.id, {})
        standing = standings.get(ALL_MODELS) or next(iter(standings.values()), None)
        if standing is None or (ALL_MODELS not in standings and standing.state == "cooling"):
            return "active", "" if standing is None else "some of its models are cooling", None
        return standing.state, standing.why, None if standing.until is None else standing.until + self._offset

    def _unserved(self, entry: Entry[AccountFile] | None) -> tuple[str, str, float | None]:
        enrolled = self._state.enrolled()
        if entry is None or enrolled is None or entry.name not in enrolled.unused:
            return "unused", "it adds nothing", None
        return "error" if entry.name in enrolled.lacking else "unused", enrolled.unused[entry.name], None

    def _cooldowns(self, credential_id: str) -> Iterator[dict[str, object]]:
        for model, standing in self._standings.get(credential_id, {}).items():
            yield {
                "model": model,
                "state": standing.state,
                "why": standing.why,
                "until": None if standing.until is None else round(standing.until + self._offset, 3),
            }


def windows_of(pool: Pool, now: float, offset: float) -> dict[str, list[dict[str, object]]]:
    """By account. What is not known is null, never zero."""
    found: dict[str, list[dict[str, object]]] = {}
    for credential_id, window in pool.quotas.all():
        found.setdefault(credential_id, []).append(
            {
                "name": window.name,
                "models": window.models,
                "used_percent": None if window.used is None else round(100 * window.used, 2),
                "window_seconds": window.seconds,
                "resets_at": None if window.resets_at is None else round(window.resets_at + offset, 3),
                "age_seconds": round(now - window.read_at, 1),
                "source": window.source,
                "is_full": window.is_full,
                "is_current": window.is_current(now),
            }
        )
    return found


def _file_facts(path: Path) -> dict[str, object]:
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return {}
    return {"size": found.st_size, "modtime": _iso(found.st_mtime), "updated_at": _iso(found.st_mtime)}


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def found(state: State, name: str | None, index: str | None) -> Account:
    """By its file's name, its id or its auth_index. Raises `Refusal`."""
    wanted = {each for each in (name, index) if each}
    if not wanted:
        raise invalid("name or auth_index is needed")
    for account in accounts(state):
        file = account.entry.name if account.entry is not None else ""
        if wanted <= {file, account.id, auth_index(account.id)}:
            return account
    raise absent("there is no such account")
