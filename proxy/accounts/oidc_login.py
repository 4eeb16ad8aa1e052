"""Logging in through an OIDC client of the user's own: which client, whom its token is for, what its file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auth.document import JsonValue
from auth.logins.oidc import REDIRECT, OidcWish, kind_of
from auth.oidc import GOOGLE, SCOPES
from auth.refusal import Refused
from auth.seal import Seal
from proxy.accounts.desk import Desk
from proxy.accounts.fresh_logins import client_of
from proxy.accounts.logins import LoginWish
from proxy.config.account_files import OIDC, OidcLogin, interpret

GOOGLE_SCOPES: Mapping[str, Sequence[str]] = {
    "gemini": (
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/generative-language.retriever",
    ),
    "vertex": ("https://www.googleapis.com/auth/cloud-platform",),
}
"""What Google's APIs ask of a token, beside who it is."""
_NOT_YET = {"home": "oidc-000000000000", "account": "?"}
"""What only the login brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSpec:
    """What the user says of it; `fields`: members of the file, by their names there."""

    fields: Mapping[str, JsonValue] = field(repr=False)

    def login(self) -> OidcLogin:
        """Raises `Refused`."""
        file = interpret({**_NOT_YET, **self.fields, "type": OIDC})
        if isinstance(file, str):
            raise Refused(f"the account {file}")
        assert isinstance(file.settings, OidcLogin)
        return file.settings


def spec_of(fields: Mapping[str, JsonValue]) -> OidcSpec:
    """With the scopes that Google's APIs ask for, where none are named."""
    provider = str(fields.get("provider", ""))
    if fields.get("issuer") == GOOGLE and not fields.get("scopes") and provider in GOOGLE_SCOPES:
        return OidcSpec(fields={**fields, "scopes": [*SCOPES, *GOOGLE_SCOPES[provider]]})
    return OidcSpec(fields=fields)


def wish_for(
    desk: Desk, spec: OidcSpec, *, is_device: bool = False, has_browser: bool = True, expected: str = ""
) -> LoginWish:
    """Raises `Refused`."""
    login = spec.login()
    kind = kind_of(_oidc_wish(login, desk.proxy_url, desk.seal, expected))
    return LoginWish(kind=kind, is_device=is_device, has_browser=has_browser, expected=expected, fields=spec.fields)


def wish_again(desk: Desk, name: str, *, is_device: bool = False, has_browser: bool = True) -> LoginWish:
    """The account of a file once more. Raises `Refused`."""
    kind, login = desk.login_of(name)
    if kind != OIDC or not isinstance(login, OidcLogin):
        raise Refused(f"{name} is no login through a client of your own")
    expected = login.email or login.account
    own = kind_of(_oidc_wish(login, desk.proxy_url, desk.seal, login.email))
    fields = {
        "issuer": login.issuer,
        "client-id": login.client_id,
        "provider": login.provider,
        "base-url": login.base_url,
        "project-id": login.project_id,
    }
    return LoginWish(kind=own, is_device=is_device, has_browser=has_browser, expected=expected, fields=fields)


def _oidc_wish(login: OidcLogin, proxy_url: str, seal: Seal, hint: str) -> OidcWish:
    return OidcWish(client=client_of(login, proxy_url), seal=seal, redirect=login.redirect_uri or REDIRECT, hint=hint)
