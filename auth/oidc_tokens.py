"""What an own OIDC login keeps in its home: its tokens, and the intent to replace them.

``tokens.json`` is what is in force. ``intent.json`` is written before a refresh token is sent, and names it by its
digest: as long as that is the token in force, an exchange of it was begun whose answer is not here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from auth import atomic, guarded
from auth.document import Document, JsonValue
from auth.refusal import LoginNeeded, Missing, Refused
from auth.seal import Seal
from auth.secret import Secret
from auth.tokens import Token

TOKENS = "tokens.json"
INTENT = "intent.json"
ROOM_BYTES = 64 * 1024
"""More than any provider's tokens need."""
_KIND = "oidc"


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcTokens:
    """`expires_at`: Unix seconds. `refresh`: None: the provider gave none."""

    access: Secret
    refresh: Secret | None = None
    expires_at: float | None = None
    life_seconds: float | None = None

    @property
    def token(self) -> Token:
        return Token(access=self.access, expires_at=self.expires_at, life_seconds=self.life_seconds)

    def document(self) -> Document:
        fields: dict[str, JsonValue] = {"type": _KIND, "access-token": self.access.reveal()}
        if self.refresh is not None:
            fields["refresh-token"] = self.refresh.reveal()
        if self.expires_at is not None:
            fields |= {"expires-at": self.expires_at, "expires": _shown(self.expires_at)}
        if self.life_seconds is not None:
            fields["life-seconds"] = self.life_seconds
        return Document.of(fields)

    @classmethod
    def of(cls, document: Document) -> OidcTokens:
        """Raises `Refused`, with the end of a sentence."""
        access, refresh = document.fields.get("access-token"), document.fields.get("refresh-token")
        if document.fields.get("type") != _KIND or not isinstance(access, str) or not access:
            raise Refused("holds no tokens")
        return cls(
            access=Secret(access),
            refresh=Secret(refresh) if isinstance(refresh, str) and refresh else None,
            expires_at=_number(document.fields.get("expires-at")),
            life_seconds=_number(document.fields.get("life-seconds")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """`digest`: of the refresh token that is sent. `at`: when, in Unix seconds."""

    digest: str
    at: float

    @property
    def since(self) -> str:
        return _shown(self.at)


def read_tokens(home: Path, seal: Seal) -> OidcTokens:
    """Raises `LoginNeeded`; `Refused` where it cannot be read now, which says nothing about the login."""
    path = home / TOKENS
    try:
        return OidcTokens.of(seal.opened(_read(home, TOKENS)))
    except Missing as error:
        raise LoginNeeded(f"there is no login in {home}; log in again") from error
    except Refused as error:
        raise Refused(f"{path} {error}") from error


def put_tokens(home: Path, tokens: OidcTokens, seal: Seal) -> None:
    """Raises `OSError`; `Refused` where it cannot be sealed."""
    with atomic.opened(home) as folder:
        atomic.put(folder, TOKENS, rendered(tokens, seal))


def rendered(tokens: OidcTokens, seal: Seal) -> bytes:
    return seal.closed(tokens.document()).render()


def room_for_tokens(
    folder: int,
) -> AbstractContextManager[Callable[[bytes, Callable[[], object] | None], None]]:
    return atomic.room(folder, TOKENS, bytes_min=ROOM_BYTES)


def read_intent(home: Path) -> Intent | None:
    try:
        fields = _read(home, INTENT).fields
    except Refused:
        return None
    digest, at = fields.get("digest"), _number(fields.get("at"))
    return Intent(digest=digest, at=at) if isinstance(digest, str) and at is not None else None


def put_intent(folder: int, intent: Intent) -> None:
    """Raises `OSError`."""
    atomic.put(folder, INTENT, Document.of({"digest": intent.digest, "at": intent.at, "since": intent.since}).render())


def _read(home: Path, name: str) -> Document:
    try:
        with atomic.opened(home) as folder:
            return Document.parse(guarded.read(folder, name).raw)
    except FileNotFoundError as error:
        raise Missing("is not there") from error
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror}") from error


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _shown(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds")
