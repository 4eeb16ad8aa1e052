"""A client of the user's own at an OpenID Connect provider: in the browser (authorization code, PKCE), or by device
code (RFC 8628). No CLI takes part: the tokens are ours to keep, in the home.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from auth import oidc, oidc_tokens
from auth.callback import Door
from auth.cli.install import Cli
from auth.endpoint import Denied, Granted, Unanswered, Unreached
from auth.flow import Deliver, Reason, ShowCode, Visit
from auth.identity import Identity
from auth.logins.base import LoginFailed, Offer, Setting
from auth.logins.table import LoginKind
from auth.oidc import Issuer, OidcClient
from auth.oidc_tokens import OidcTokens
from auth.refusal import Refused
from auth.seal import Seal
from auth.secret import Secret

KIND = "oidc"
PROMPT = "Paste the address of the page that the browser could not open"
REDIRECT = "http://127.0.0.1:0/callback"
"""Port 0: any that is free, as RFC 8252 §7.3 has providers allow."""
POLL_SECONDS = 5.0
SLOWER_SECONDS = 5.0
POLL_SECONDS_MAX = 60.0
CODE_CHARACTERS_MAX = 64
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcWish:
    """`redirect`: where the browser comes back to, on this machine. `hint`: the address of the account it should be."""

    client: OidcClient
    seal: Seal
    redirect: str = REDIRECT
    hint: str = ""


def kind_of(wish: OidcWish) -> LoginKind:
    """What `proxy.accounts` drives, as it does the official CLIs."""
    return LoginKind(
        name=KIND,
        cli=Cli(name=KIND, whose=wish.client.host, package="", entries=()),
        driver=lambda setting: OidcLogin(wish, setting),
        notice=f"This is your own client at {wish.client.host}; what its tokens may be used for, that provider says.",
        port=urlsplit(wish.redirect).port or 0,
        has_device=True,
        needs_cli=False,
    )


class OidcLogin:
    """`auth.logins.base.Driver`."""

    def __init__(self, wish: OidcWish, setting: Setting) -> None:
        self._wish = wish
        self._setting = setting
        self._port = 0
        self._issuer: Issuer | None = None
        self._nonce = ""
        self._verifier = secrets.token_urlsafe(_SECRET_BYTES)
        self._answer: asyncio.Future[Deliver] = asyncio.get_running_loop().create_future()
        self._device: _Device | None = None
        self._identity: Identity | None = None

    @property
    def door(self) -> Door | None:
        if self._setting.is_device:
            return None
        parts = urlsplit(self._wish.redirect)
        return Door(port=parts.port or 0, path=parts.path or "/", when_open=self._opened)

    @property
    def is_door_needed(self) -> bool:
        """From another machine the browser does not come back: the address is pasted."""
        return self._setting.has_browser

    def _opened(self, port: int) -> None:
        self._port = port

    async def open(self) -> Offer:
        try:
            self._issuer = issuer = await oidc.discover(self._wish.client)
        except Refused as error:
            raise LoginFailed("failed", str(error)) from error
        if self._setting.is_device:
            self._device = await _Device.begun(self._wish.client, issuer)
            return Offer(step=self._device.step)
        if not issuer.authorization_url:
            raise LoginFailed("failed", f"{self._wish.client.host} has no login page; --device may work")
        state, self._nonce = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        page = oidc.page_of(
            self._wish.client,
            issuer,
            redirect_uri=self._redirect(),
            state=state,
            nonce=self._nonce,
            verifier=self._verifier,
            hint=self._wish.hint,
        )
        step = Visit(page, PROMPT)
        return Offer(step=step, state=Secret(state), issuer=issuer.name, must_name_issuer=issuer.says_who)

    def _redirect(self) -> str:
        """With the port that it is."""
        parts = urlsplit(self._wish.redirect)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = parts.port or self._port
        return parts._replace(netloc=f"{host}:{port}").geturl()

    async def deliver(self, answer: Deliver) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)

    async def completed(self) -> None:
        assert self._issuer is not None
        client, began = self._wish.client, time.time()
        if self._device is not None:
            granted = await self._device.granted()
        else:
            answer = await self._answer
            began = time.time()
            granted = await self._exchanged(answer)
        try:
            self._identity = await oidc.identity_of(client, self._issuer, granted, self._nonce)
        except Refused as error:
            raise LoginFailed("failed", str(error)) from error
        self._keep(granted, began)

    async def _exchanged(self, answer: Deliver) -> Granted:
        assert self._issuer is not None
        form = {
            "grant_type": "authorization_code",
            "code": answer.code,
            "redirect_uri": self._redirect(),
            "code_verifier": self._verifier,
        }
        host = self._wish.client.host
        try:
            return await oidc.ask_for_token(self._wish.client, self._issuer, form)
        except (Unreached, Unanswered) as error:
            raise LoginFailed("failed", f"the login at {host} was not finished: {error}; start it again") from error
        except Denied as error:
            if error.error == "invalid_grant":
                why = f"{host} refused the code: it is incomplete, expired or used; start again"
                raise LoginFailed("wrong_code", why) from error
            raise LoginFailed("failed", f"{host}: the login {error}") from error

    def _keep(self, granted: Granted, began: float) -> None:
        life = granted.life_seconds
        tokens = OidcTokens(
            access=granted.access,
            refresh=granted.refresh,
            expires_at=None if life is None else began + life,
            life_seconds=life,
        )
        try:
            oidc_tokens.put_tokens(self._setting.home, tokens, self._wish.seal)
        except OSError as error:
            raise LoginFailed("failed", f"{self._setting.home} takes no tokens: {error.strerror}") from error
        except Refused as error:
            raise LoginFailed("failed", str(error)) from error

    async def identity(self) -> Identity:
        assert self._identity is not None
        return self._identity

    async def close(self) -> None:
        self._answer.cancel()


@dataclass(slots=True, kw_only=True)
class _Device:
    """A login by device code that was begun."""

    client: OidcClient
    issuer: Issuer
    step: ShowCode
    code: Secret
    pause: float

    @classmethod
    async def begun(cls, client: OidcClient, issuer: Issuer) -> _Device:
        """Raises `LoginFailed`."""
        if not issuer.device_url:
            raise LoginFailed("failed", f"{client.host} offers no login by device code")
        form = {"scope": oidc.scope_of(client, issuer), "client_id": client.client_id}
        try:
            told = await oidc.send(client, issuer.device_url, form, takes_basic=issuer.takes_basic)
        except (Unreached, Unanswered) as error:
            raise LoginFailed("failed", f"the login at {client.host} did not begin: {error}") from error
        page = told.text("verification_uri") or told.text("verification_url")
        shown, code = told.text("user_code"), told.text("device_code")
        if told.status != 200 or not code or not _is_page(page) or not _is_code(shown):
            raise LoginFailed("failed", f"{client.host}: the login {told.denied()}")
        interval = told.fields.get("interval")
        pause = float(interval) if isinstance(interval, int | float) and interval > 0 else POLL_SECONDS
        return cls(
            client=client,
            issuer=issuer,
            step=ShowCode(page, shown),
            code=Secret(code),
            pause=min(pause, POLL_SECONDS_MAX),
        )

    async def granted(self) -> Granted:
        """When the person has agreed (RFC 8628 §3.5). How long that may take, whoever drives the login says."""
        form = {"grant_type": oidc.DEVICE_GRANT, "device_code": self.code.reveal()}
        while True:
            await asyncio.sleep(self.pause)
            try:
                return await oidc.ask_for_token(self.client, self.issuer, form)
            except (Unreached, Unanswered):
                self.pause = min(self.pause * 2, POLL_SECONDS_MAX)
            except Denied as error:
                if error.error == "slow_down":
                    self.pause += SLOWER_SECONDS
                elif error.error != "authorization_pending":
                    raise self._failure(error) from error

    def _failure(self, error: Denied) -> LoginFailed:
        reasons: dict[str, tuple[Reason, str]] = {
            "access_denied": (
                "declined",
                f"consent was declined on the page of {self.client.host}; nothing was changed",
            ),
            "expired_token": ("timed_out", "nobody has typed the code in time; start the login again"),
        }
        reason, why = reasons.get(error.error, ("failed", f"{self.client.host}: the login {error}"))
        return LoginFailed(reason, why)


def _is_page(url: str) -> bool:
    """A provider's word is opened in a browser: an address of the web, and nothing else."""
    return url.startswith(("https://", "http://")) and url.isprintable() and " " not in url


def _is_code(text: str) -> bool:
    return 0 < len(text) <= CODE_CHARACTERS_MAX and text.isprintable()
