"""Logins that official CLIs and the well-known system hold on this machine, as the files that their CLI would find in a
home of ours. Each is read and never changed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from auth.document import Document, JsonValue
from auth.refusal import Refused
from auth.tokens import BYTES_MAX

_SCOPES: JsonValue = ["user:inference", "user:profile"]
"""Of a Claude Code login whose own are not told."""

_LONG_AGO = "1970-01-01T00:00:00Z"
"""Without any time Codex asks without a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLogin:
    """`kind`: of our account's file. `files`: by their paths below the home. `instead`: what its holder is to do."""

    kind: str
    files: Mapping[str, bytes] = field(repr=False)
    instead: str


def of_cli(kind: str, folder: Path) -> HeldLogin | None:
    """In the folder of an official CLI: ``~/.claude``, ``~/.codex``, ``~/.gemini``. None: there is none."""
    name, program = {
        "claude-code": (".credentials.json", "claude"),
        "codex": ("auth.json", "codex"),
        "gemini-cli": ("oauth_creds.json", "gemini"),
    }[kind]
    raw = _read(folder / name)
    if raw is None or not _has_login(kind, raw):
        return None
    files = {name: raw}
    if kind == "claude-code":
        files |= _claude_account(folder)
    elif kind == "gemini-cli":
        files = {f".gemini/{name}": raw}
        if (accounts := _read(folder / "google_accounts.json")) is not None:
            files[".gemini/google_accounts.json"] = accounts
    return HeldLogin(kind=kind, files=files, instead=f"from now on start {program} by `proxy run {program}`")


def _has_login(kind: str, raw: bytes) -> bool:
    fields = _fields(raw)
    holder = {"claude-code": fields.get("claudeAiOauth"), "codex": fields.get("tokens"), "gemini-cli": fields}[kind]
    token = "refreshToken" if kind == "claude-code" else "refresh_token"
    return isinstance(holder, dict) and bool(holder.get(token))


def _claude_account(folder: Path) -> dict[str, bytes]:
    """Who it is stands beside the folder, or in it where the person has named another one."""
    for path in (folder / ".claude.json", folder.parent / ".claude.json"):
        account = _fields(_read(path) or b"").get("oauthAccount")
        if isinstance(account, dict):
            return {".claude.json": msgspec.json.encode({"oauthAccount": account})}
    return {}


def of_foreign_file(fields: Mapping[str, JsonValue]) -> HeldLogin | None:
    """A file of the well-known system's. None: its CLI serves nobody here, or the file lacks something."""
    make = {"claude": _claude, "codex": _codex}.get(str(fields.get("type")))
    if make is None or not fields.get("refresh_token"):
        return None
    kind, files = make({name: value for name, value in fields.items() if isinstance(value, str)})
    encoded = {name: msgspec.json.encode(value) for name, value in files.items()}
    return HeldLogin(kind=kind, files=encoded, instead="use it from here on, and remove it there")


def _claude(told: Mapping[str, str]) -> tuple[str, dict[str, JsonValue]]:
    login: JsonValue = {
        "accessToken": told.get("access_token", ""),
        "refreshToken": told["refresh_token"],
        "expiresAt": int(_seconds(told.get("expired", "")) * 1000),
        "scopes": _SCOPES,
    }
    account: JsonValue = {
        "accountUuid": told.get("account_uuid", ""),
        "emailAddress": told.get("email", ""),
        "organizationUuid": told.get("organization_uuid", ""),
        "organizationName": told.get("organization_name", ""),
    }
    return "claude-code", {".credentials.json": {"claudeAiOauth": login}, ".claude.json": {"oauthAccount": account}}


def _codex(told: Mapping[str, str]) -> tuple[str, dict[str, JsonValue]]:
    names = ("id_token", "access_token", "refresh_token", "account_id")
    tokens: JsonValue = {name: told.get(name, "") for name in names}
    refreshed = told.get("last_refresh") or _LONG_AGO
    return "codex", {"auth.json": {"OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": refreshed}}


def _seconds(text: str) -> float:
    """Unix time; what cannot be read is over."""
    with contextlib.suppress(ValueError):
        return dt.datetime.fromisoformat(text).timestamp()
    return 0.0


def _read(path: Path) -> bytes | None:
    """None: there is nothing of a size that a login has."""
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size <= BYTES_MAX:
            return path.read_bytes()
    return None


def _fields(raw: bytes) -> Mapping[str, JsonValue]:
    with contextlib.suppress(Refused):
        return Document.parse(raw).fields
    return {}
