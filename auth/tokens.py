"""The token that an official CLI holds now, read from its home. Only read: the CLI writes it."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from auth.refusal import LoginNeeded, Refused
from auth.secret import Secret

BYTES_MAX = 1024 * 1024
REFUSED = ".login-needed"
"""A file in the home: the digest of the token that the provider has refused to refresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    access: Secret
    account_id: str = ""
    """What requests name the account by, where they must."""
    expires_at: float | None = None
    """Unix seconds; None: nobody says."""
    life_seconds: float | None = None
    """From when it was given, where that is known."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """Where a kind of CLI keeps it, below the home, and how to read it."""

    path: str
    parse: Callable[[bytes], Token]


def read_token(kind: str, home: Path) -> Token:
    """Raises `LoginNeeded`; `Refused` where the file cannot be read now, which says nothing about the login."""
    file = TOKEN_FILES[kind]
    path = home / file.path
    try:
        with path.open("rb") as opened:
            raw = opened.read(BYTES_MAX)
    except FileNotFoundError as error:
        raise LoginNeeded(f"there is no login in {home}; log in again") from error
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    try:
        token = file.parse(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise Refused(f"{path} is not readable now: its CLI may be writing it, or has changed its format") from error
    if not token.access or is_refused(home, token):
        raise LoginNeeded(f"the provider has refused the login in {home}; log in again")
    return token


def sync_token(kind: str, home: Path) -> None:
    """So that it is there when the power goes: the CLIs leave that to the system, which takes half a minute."""
    path = home / TOKEN_FILES[kind].path
    with contextlib.suppress(OSError):
        for each in (path, path.parent):
            descriptor = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def mark_refused(home: Path, token: Token) -> None:
    """The provider will not refresh this one: for all processes, and over restarts. Not all CLIs write that down."""
    with contextlib.suppress(OSError):
        (home / REFUSED).touch(mode=0o600)
        (home / REFUSED).write_text(token.access.digest)


def is_refused(home: Path, token: Token) -> bool:
    """Another token than the one that was marked is a new login."""
    try:
        return (home / REFUSED).read_text() == token.access.digest
    except (OSError, UnicodeDecodeError):
        return False


class _ClaudeLogin(msgspec.Struct, rename="camel"):
    access_token: str = ""
    expires_at: float | None = None


class _ClaudeFile(msgspec.Struct, rename={"login": "claudeAiOauth"}):
    login: _ClaudeLogin


def _claude(raw: bytes) -> Token:
    """Milliseconds. A refused login is kept as empty texts."""
    login = msgspec.json.decode(raw, type=_ClaudeFile).login
    until = login.expires_at / 1000 if login.expires_at else None
    return Token(access=Secret(login.access_token), expires_at=until)


class _CodexTokens(msgspec.Struct):
    access_token: str = ""
    account_id: str | None = None


class _CodexFile(msgspec.Struct):
    tokens: _CodexTokens


class _Claims(msgspec.Struct):
    exp: float | None = None


def _codex(raw: bytes) -> Token:
    tokens = msgspec.json.decode(raw, type=_CodexFile).tokens
    return Token(
        access=Secret(tokens.access_token),
        account_id=tokens.account_id or "",
        expires_at=_expiry(tokens.access_token),
    )


def _expiry(jwt: str) -> float | None:
    """Of a token that is ours to read, unchecked: its provider checks it."""
    with contextlib.suppress(msgspec.DecodeError, ValueError, IndexError):
        body = jwt.split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=_Claims).exp
    return None


class _GeminiFile(msgspec.Struct):
    access_token: str = ""
    expiry_date: float | None = None


def _gemini(raw: bytes) -> Token:
    saved = msgspec.json.decode(raw, type=_GeminiFile)
    return Token(access=Secret(saved.access_token), expires_at=saved.expiry_date / 1000 if saved.expiry_date else None)


TOKEN_FILES: Mapping[str, TokenFile] = {
    "claude-code": TokenFile(".credentials.json", _claude),
    "codex": TokenFile("auth.json", _codex),
    "gemini-cli": TokenFile(".gemini/oauth_creds.json", _gemini),
}
"""Of the kinds whose CLI refreshes when it is asked to. Copilot's token does not expire; Kimi Code and Grok refresh
theirs when they are used.
"""
