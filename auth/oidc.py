"""A client of the user's own at an OpenID Connect provider: what it asks, and what of the answers is to be believed.

The values and the checks are authlib's and joserfc's; the requests are `auth.endpoint`'s.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.discovery import get_well_known_url

from auth import endpoint
from auth.document import JsonValue
from auth.endpoint import Answered, Denied, Granted, Unanswered, Unreached
from auth.identity import Identity
from auth.refusal import Refused
from auth.secret import Secret

OFFLINE = "offline_access"
"""The scope that asks for a refresh token (OpenID Connect Core §11)."""
SCOPES = ("openid", "email", OFFLINE)
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Of ID tokens: those with a key pair. ``none`` and those with our own secret prove nothing to us."""
LEEWAY_SECONDS = 300
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
GOOGLE = "https://accounts.google.com"
_NO_SECRET = Secret("")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcClient:
    """`secret`: empty for a public client."""

    issuer: str
    client_id: str
    secret: Secret = _NO_SECRET
    scopes: tuple[str, ...] = SCOPES
    proxy_url: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.issuer).hostname or self.issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """What a provider says of itself. Addresses that are empty it does not have."""

    name: str
    authorization_url: str
    token_url: str
    device_url: str
    revocation_url: str
    userinfo_url: str
    keys_url: str
    scopes: frozenset[str]
    """Empty: it does not say."""
    algorithms: frozenset[str]
    takes_basic: bool
    """A client's secret, by HTTP Basic."""
    says_who: bool
    """Its answers to the browser name it (RFC 9207)."""


async def discover(client: OidcClient) -> Issuer:
    """Raises `Refused`, with a whole sentence."""
    url = str(get_well_known_url(client.issuer, external=True))
    try:
        answered = await endpoint.get(url, proxy_url=client.proxy_url)
    except (Unreached, Unanswered) as error:
        raise Refused(f"{client.issuer} says nothing of itself: {error}") from error
    if answered.status != 200 or not answered.fields:
        raise Refused(f"{url} is no OpenID configuration ({answered.status})")
    return issuer_of(client, answered)


def issuer_of(client: OidcClient, told: Answered) -> Issuer:
    """Raises `Refused`: one that calls itself otherwise is another (OpenID Connect Discovery §4.3)."""
    if told.text("issuer") != client.issuer:
        raise Refused(f"{client.issuer} calls itself {told.text('issuer')[:200]!r}: name the issuer exactly so")
    urls = {
        name: told.text(name)
        for name in (
            "authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "revocation_endpoint",
            "userinfo_endpoint", "jwks_uri",
        )
    }  # fmt: skip
    for name, url in urls.items():
        if url and not _is_safe(url, client.issuer):
            raise Refused(f"{client.issuer} names a {name} without TLS: {url[:200]!r}")
    if not urls["token_endpoint"]:
        raise Refused(f"{client.issuer} names no token_endpoint")
    methods = _texts(told.fields.get("token_endpoint_auth_methods_supported"))
    return Issuer(
        name=client.issuer,
        authorization_url=urls["authorization_endpoint"],
        token_url=urls["token_endpoint"],
        device_url=urls["device_authorization_endpoint"],
        revocation_url=urls["revocation_endpoint"],
        userinfo_url=urls["userinfo_endpoint"],
        keys_url=urls["jwks_uri"],
        scopes=_texts(told.fields.get("scopes_supported")),
        algorithms=_texts(told.fields.get("id_token_signing_alg_values_supported")) or frozenset({"RS256"}),
        takes_basic=not methods or "client_secret_basic" in methods,
        says_who=told.fields.get("authorization_response_iss_parameter_supported") is True,
    )


def _is_safe(url: str, issuer: str) -> bool:
    """Over TLS; on this machine alone without, where the issuer itself is."""
    try:
        there, here = urlsplit(url), urlsplit(issuer)
    except ValueError:
        return False
    is_local = there.hostname in _LOOPBACK and here.hostname in _LOOPBACK
    return there.scheme == "https" or (there.scheme == "http" and is_local)


def _texts(value: JsonValue) -> frozenset[str]:
    return frozenset(each for each in value if isinstance(each, str)) if isinstance(value, list) else frozenset()


def scope_of(client: OidcClient, issuer: Issuer) -> str:
    """Google refuses a scope that it does not know, and gives refresh tokens by another word."""
    return " ".join(each for each in client.scopes if each != OFFLINE or not issuer.scopes or OFFLINE in issuer.scopes)


def page_of(
    client: OidcClient, issuer: Issuer, *, redirect_uri: str, state: str, nonce: str, verifier: str, hint: str = ""
) -> str:
    """Where the person signs in. `prompt=consent`: without it many give no refresh token the second time. `hint`: the
    address of the account it should be.
    """
    more = {"access_type": "offline"} if issuer.name == GOOGLE else {}
    return str(
        prepare_grant_uri(
            issuer.authorization_url,
            client.client_id,
            "code",
            redirect_uri,
            scope_of(client, issuer),
            state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),  # type: ignore[no-untyped-call]  # the stubs lack it
            code_challenge_method="S256",
            prompt="consent",
            login_hint=hint or None,
            **more,
        )
    )


async def ask_for_token(client: OidcClient, issuer: Issuer, form: Mapping[str, str]) -> Granted:
    """Raises `Unreached`, `Unanswered`, `Denied`."""
    return Granted.of(await send(client, issuer.token_url, form, takes_basic=issuer.takes_basic))


async def send(client: OidcClient, url: str, form: Mapping[str, str], *, takes_basic: bool) -> Answered:
    """With what proves who the client is (RFC 6749 §2.3.1). Raises `Unreached`, `Unanswered`."""
    if client.secret and takes_basic:
        pair = f"{quote_plus(client.client_id)}:{quote_plus(client.secret.reveal())}"
        headers = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return await endpoint.post(url, form, proxy_url=client.proxy_url, headers=headers)
    named = {**form, "client_id": client.client_id}
    if client.secret:
        named["client_secret"] = client.secret.reveal()
    return await endpoint.post(url, named, proxy_url=client.proxy_url)


async def identity_of(client: OidcClient, issuer: Issuer, granted: Granted, nonce: str) -> Identity:
    """Who it is by the ID token, checked; what that does not say, by the userinfo endpoint. `nonce`: empty where none
    was sent. Raises `Refused`.
    """
    claims: Mapping[str, JsonValue] = {}
    if granted.id_token is not None:
        claims = await claims_of(client, issuer, granted, nonce)
    if issuer.userinfo_url and not claims.get("email") and "openid" in client.scopes:
        claims = {**await _userinfo(client, issuer, granted, str(claims.get("sub", ""))), **claims}
    email = claims.get("email")
    return Identity(
        account=str(claims.get("sub") or client.client_id),
        email=email if isinstance(email, str) else "",
        organization=str(claims.get("hd") or ""),
    )


async def claims_of(client: OidcClient, issuer: Issuer, granted: Granted, nonce: str) -> Mapping[str, JsonValue]:
    """Of the ID token (OpenID Connect Core §3.1.3.7). Raises `Refused`."""
    assert granted.id_token is not None
    keys = await _asked(client, issuer.keys_url, "its keys")
    allowed = sorted(issuer.algorithms & ALGORITHMS)
    if not allowed:
        raise Refused(f"{issuer.name} signs its ID tokens with no key pair: they would prove nothing")
    return _held(client, issuer, granted, nonce, keys.fields, allowed)


def _held(
    client: OidcClient,
    issuer: Issuer,
    granted: Granted,
    nonce: str,
    keys: Mapping[str, JsonValue],
    allowed: list[str],
) -> Mapping[str, JsonValue]:
    from authlib.oidc.core import CodeIDToken  # noqa: PLC0415 - with what it needs it takes 12 MiB, for a login
    from joserfc import jwt  # noqa: PLC0415 - the same
    from joserfc.errors import JoseError  # noqa: PLC0415 - the same
    from joserfc.jwk import KeySet  # noqa: PLC0415 - the same

    assert granted.id_token is not None
    try:
        key_set = KeySet.import_key_set({"keys": keys["keys"]})  # type: ignore[typeddict-item]  # it checks
        token = jwt.decode(granted.id_token.reveal(), key_set, algorithms=allowed)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": issuer.name},
                "aud": {"essential": True, "value": client.client_id},
            },
            params={"nonce": nonce, "client_id": client.client_id, "access_token": granted.access.reveal()},
        )
        claims.validate(leeway=LEEWAY_SECONDS)
    except (JoseError, KeyError, ValueError, TypeError, AttributeError) as error:
        why = getattr(error, "description", "") or getattr(error, "error", "") or type(error).__name__
        raise Refused(f"{issuer.name} gave an ID token that does not hold: {str(why)[:200]}") from error
    return dict(claims)


async def _userinfo(client: OidcClient, issuer: Issuer, granted: Granted, subject: str) -> Mapping[str, JsonValue]:
    """Nothing where it is refused: it only adds to what is known. One for somebody else is not believed (§5.3.2)."""
    headers = {"authorization": f"Bearer {granted.access.reveal()}"}
    try:
        told = await endpoint.get(issuer.userinfo_url, proxy_url=client.proxy_url, headers=headers)
    except (Unreached, Unanswered):
        return {}
    return told.fields if told.status == 200 and (not subject or told.text("sub") == subject) else {}


async def _asked(client: OidcClient, url: str, what: str) -> Answered:
    try:
        answered = await endpoint.get(url, proxy_url=client.proxy_url)
    except (Unreached, Unanswered) as error:
        raise Refused(f"{client.issuer} does not show {what}: {error}") from error
    if answered.status != 200:
        raise Refused(f"{client.issuer} does not show {what} ({answered.status})")
    return answered


async def revoke(client: OidcClient, issuer: Issuer, token: Secret) -> str:
    """Why not; empty: it is revoked (RFC 7009)."""
    if not issuer.revocation_url:
        return "the provider has no way to revoke it"
    form = {"token": token.reveal(), "token_type_hint": "refresh_token"}
    try:
        answered = await send(client, issuer.revocation_url, form, takes_basic=issuer.takes_basic)
    except (Unreached, Unanswered, Denied) as error:
        return str(error)
    return "" if answered.status == 200 else str(answered.denied())
