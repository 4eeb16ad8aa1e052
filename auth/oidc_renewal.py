"""One exchange of a refresh token of an own OIDC login. To be called with the home's lock, where nothing cuts it short.

A provider that rotates has forgotten the old refresh token once it answers, and one that sees it again may end the
whole login. So, in this order: look again; make room on the disk for the answer; write down that it is begun; send it
once; keep the answer before anybody uses it. Where the answer was lost, the next one finds the intent and tries the old
token once more: it is the newest that there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auth import atomic, oidc, oidc_tokens
from auth.endpoint import Denied, Granted, Unanswered, Unreached
from auth.oidc import OidcClient
from auth.oidc_tokens import Intent, OidcTokens
from auth.refusal import LoginNeeded, Refused
from auth.seal import Seal
from auth.secret import Secret
from auth.told import Told

KEEPING_SECONDS_MAX = 3600.0
"""So long it is tried to keep an answer that the disk does not take: nobody else has it."""
KEEPING_STEP_SECONDS = 0.5
_OVER = frozenset({"invalid_grant"})
"""The refresh token is not taken any more, and never will be (RFC 6749 §5.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """`digest`: of the access token that is to be replaced. `now`: Unix seconds."""

    home: Path
    client: OidcClient
    digest: str
    seal: Seal
    now: Callable[[], float] = time.time

    async def run(self) -> Told:
        try:
            saved = oidc_tokens.read_tokens(self.home, self.seal)
        except LoginNeeded as error:
            return Told("login_needed", str(error))
        except Refused as error:
            return Told("failed", str(error))
        if saved.access.digest != self.digest:
            return Told("fresh")
        if saved.refresh is None:
            return Told("login_needed", f"{self.client.host} gave no refresh token; log in again")
        try:
            return await self._exchange(saved, saved.refresh)
        except Refused as error:
            return Told("failed", str(error))
        except OSError as error:
            return Told("failed", f"nothing was begun: {self.home} takes no new tokens ({error.strerror})")

    async def _exchange(self, saved: OidcTokens, refresh: Secret) -> Told:
        """Raises `Refused`, `OSError` as long as nothing was sent."""
        issuer = await oidc.discover(self.client)
        before = oidc_tokens.read_intent(self.home)
        cut_off = before if before is not None and before.digest == refresh.digest else None
        with atomic.opened(self.home) as folder:
            atomic.sweep(folder)
            with oidc_tokens.room_for_tokens(folder) as become:
                sent = self.now()
                oidc_tokens.put_intent(folder, cut_off or Intent(digest=refresh.digest, at=sent))
                try:
                    granted = await self._granted(issuer, refresh)
                except Unreached as error:
                    if cut_off is None:
                        _forget_intent(folder)
                    return Told("failed", str(error))
                except Unanswered as error:
                    return Told("uncertain", f"{error}; its refresh token is tried once more")
                except Denied as error:
                    _forget_intent(folder)
                    return self._denied(error, cut_off)
                raw = oidc_tokens.rendered(_tokens(granted, saved, sent), self.seal)
                return await self._kept(lambda: become(raw, None), raw)

    async def _granted(self, issuer: oidc.Issuer, refresh: Secret) -> Granted:
        form = {"grant_type": "refresh_token", "refresh_token": refresh.reveal()}
        return await oidc.ask_for_token(self.client, issuer, form)

    def _denied(self, error: Denied, cut_off: Intent | None) -> Told:
        if error.error not in _OVER:
            return Told("failed", f"{self.client.host}: the refresh {error}")
        why = f"{self.client.host} has ended the login ({error.error})"
        if cut_off is not None:
            why += f": a refresh that was begun at {cut_off.since} was cut off before its answer came"
        return Told("login_needed", f"{why}; log in again")

    async def _kept(self, first: Callable[[], None], raw: bytes) -> Told:
        """Until the disk takes it."""
        latest = self.now() + KEEPING_SECONDS_MAX
        keep = first
        while True:
            try:
                keep()
            except FileNotFoundError:
                return Told("failed", f"{self.home} is gone: the login was made anew, or removed")
            except OSError as error:
                if self.now() > latest:
                    return Told("failed", f"new tokens were had, and {self.home} does not take them: {error.strerror}")
                keep = self._keep_anew(raw)
                await asyncio.sleep(KEEPING_STEP_SECONDS)
            else:
                return Told("refreshed")

    def _keep_anew(self, raw: bytes) -> Callable[[], None]:
        def keep() -> None:
            with atomic.opened(self.home) as folder:
                atomic.put(folder, oidc_tokens.TOKENS, raw)

        return keep


def _tokens(granted: Granted, saved: OidcTokens, sent: float) -> OidcTokens:
    """A provider that does not rotate gives no new refresh token: the old one goes on (RFC 6749 §6)."""
    return OidcTokens(
        access=granted.access,
        refresh=granted.refresh or saved.refresh,
        expires_at=None if granted.life_seconds is None else sent + granted.life_seconds,
        life_seconds=granted.life_seconds,
    )


def _forget_intent(folder: int) -> None:
    with contextlib.suppress(OSError):  # then the next one believes that it was cut off, and says so
        os.unlink(oidc_tokens.INTENT, dir_fd=folder)
