"""A service account of Google Cloud: a key that signs for itself, and the access tokens that it gets for that.

A token is had by signing a claim with the account's key and posting it to its token endpoint (RFC 7523 §2.1). Nothing
rotates and nothing can be lost: an exchange may be repeated at any time, and its result is kept in memory only.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from auth import endpoint
from auth.endpoint import Denied, Granted, Unanswered, Unreached
from auth.refusal import Refused
from auth.secret import Secret
from auth.tokens import Token
from auth.told import Told

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLAIM_SECONDS = 3600
"""Google takes no claim for longer."""
_GOOGLES = re.compile(r"accounts\.google\.com|([a-z0-9-]+\.)+googleapis\.com", re.ASCII)
SKEW_SECONDS_MIN = 60.0
"""A clock that is wrong by less is not why a claim was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKey:
    email: str
    private_key: Secret
    key_id: str
    token_url: str
    """Who is asked, and for whom the claim is signed."""

    @classmethod
    def of(cls, fields: Mapping[str, object], token_url: str = "") -> ServiceKey:
        """`fields`: of the key's file, as Google gives it. `token_url`: the owner's word for where tokens come from; it
        may be anywhere. The key file's own must be Google's: such files are passed around, and a forged one would have
        us send signed claims to whoever forged it. Raises `Refused`, with the end of a sentence.
        """
        named = str(fields.get("token_uri") or TOKEN_URL)
        if not token_url and not _is_googles(named):
            raise Refused(
                f"names a token_uri that is not Google's ({named[:100]!r}): if that is meant, say it in token-url"
            )
        return cls(
            email=str(fields.get("client_email", "")),
            private_key=Secret(str(fields.get("private_key", ""))),
            key_id=str(fields.get("private_key_id") or ""),
            token_url=token_url or named,
        )


def _is_googles(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    is_host = _GOOGLES.fullmatch(parts.hostname or "") is not None
    return parts.scheme == "https" and is_host and port in {None, 443} and parts.username is None


def claim(key: ServiceKey, now: float) -> str:
    """A signed JWT (RS256). Takes milliseconds of CPU. Raises `Refused`."""
    from joserfc import jwt  # noqa: PLC0415 - with what it needs it takes 10 MiB, and few have such an account
    from joserfc.errors import JoseError  # noqa: PLC0415 - the same
    from joserfc.jwk import RSAKey  # noqa: PLC0415 - the same

    header = {"alg": "RS256", "kid": key.key_id} if key.key_id else {"alg": "RS256"}
    issued = int(now)
    claims = {
        "iss": key.email,
        "scope": SCOPE,
        "aud": key.token_url,
        "iat": issued,
        "exp": issued + CLAIM_SECONDS,
    }
    try:
        return jwt.encode(header, claims, RSAKey.import_key(key.private_key.reveal()), algorithms=["RS256"])
    except (JoseError, ValueError, TypeError) as error:
        raise Refused("has a private_key that is no RSA key in PEM") from error


@dataclass(slots=True, kw_only=True)
class Signer:
    """`token`: the last that was had. `now`: Unix seconds."""

    key: ServiceKey
    proxy_url: str = ""
    now: Callable[[], float] = time.time
    token: Token | None = None

    async def exchange(self) -> Token:
        """A new one. Raises `Refused`, with a whole sentence."""
        sent = self.now()
        try:
            granted = await self._granted(sent)
        except (Unreached, Unanswered) as error:
            raise Refused(f"no token for {self.key.email}: {error}") from error
        except Refused as error:
            raise Refused(f"no token for {self.key.email}: its key {error}") from error
        except Denied as error:
            raise Refused(f"no token for {self.key.email}: it {error}{self._told_of_clock(error)}") from error
        life = granted.life_seconds
        self.token = Token(access=granted.access, expires_at=None if life is None else sent + life, life_seconds=life)
        return self.token

    async def _granted(self, sent: float) -> Granted:
        """A claim is refused where our clock is wrong: then once more, by the server's."""
        try:
            return await self._asked(sent)
        except Denied as error:
            if error.date is None or abs(error.date - sent) < SKEW_SECONDS_MIN:
                raise
            return await self._asked(error.date)

    async def _asked(self, at: float) -> Granted:
        signed = await asyncio.to_thread(claim, self.key, at)
        form = {"grant_type": GRANT_TYPE, "assertion": signed}
        return Granted.of(await endpoint.post(self.key.token_url, form, proxy_url=self.proxy_url))

    def _told_of_clock(self, error: Denied) -> str:
        skew = 0.0 if error.date is None else self.now() - error.date
        if abs(skew) < SKEW_SECONDS_MIN:
            return ""
        return f" (this machine's clock is {abs(skew) / 60:.0f} minutes {'ahead' if skew > 0 else 'behind'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """`auth.refresh.Source`."""

    id: str
    signer: Signer
    kind: str = "vertex"

    def read(self, _data: Path) -> Token | None:
        return self.signer.token

    async def renew(self, _data: Path, _digest: str) -> Told:
        try:
            await self.signer.exchange()
        except Refused as error:
            return Told("failed", str(error))
        return Told("refreshed")
