"""An OpenID Connect provider on this machine: rotates its refresh tokens, and ends a login whose token comes twice."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import RSAKey

KEY = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256"})


@dataclass(slots=True)
class Grant:
    """One login. `refresh`: the token that is good; `before`: that it replaced, and when."""

    subject: str
    nonce: str = ""
    refresh: str = ""
    before: str = ""
    replaced_at: float = float("-inf")
    is_over: bool = False


@dataclass(slots=True)
class Issuer:
    """`grace`: seconds in which a refresh token may come twice. `pause`: between what is done and the answer."""

    client_id: str = "client"
    client_secret: str = ""
    life: float = 3600.0
    grace: float = 0.0
    pause: float = 0.0
    gives_refresh: bool = True
    is_lost: bool = False
    """The next answer to a refresh breaks off."""
    instead: dict[str, Any] = field(default_factory=dict)
    """Of what the discovery document says."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Of the next ID token, instead."""
    key: RSAKey = field(default_factory=lambda: KEY)
    email: str = "ada@example.com"
    device_answers: list[str] = field(default_factory=list)
    """What a poll for a device code hears, before it is granted."""
    grants: list[Grant] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    asked: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, tuple[Grant, dict[str, str]]] = field(default_factory=dict)
    _server: TestServer = field(init=False)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/keys", self._keys)
        app.router.add_get("/userinfo", self._userinfo)
        app.router.add_post("/token", self._token)
        app.router.add_post("/device", self._device)
        app.router.add_post("/revoke", self._revoke)
        self._server = TestServer(app)
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @property
    def name(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    @property
    def living(self) -> list[Grant]:
        return [grant for grant in self.grants if not grant.is_over]

    def consent(self, page: str, *, subject: str = "ada") -> str:
        """What the login page does when the person agrees: where it sends the browser."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
        assert page.startswith(f"{self.name}/authorize?")
        assert (asked["client_id"], asked["response_type"]) == (self.client_id, "code")
        assert (asked["code_challenge_method"], asked["prompt"]) == ("S256", "consent")
        code = secrets.token_urlsafe(16)
        self._codes[code] = Grant(subject=subject, nonce=asked["nonce"]), asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.name})}"

    async def _discovery(self, _request: web.Request) -> web.Response:
        told = {
            "issuer": self.name,
            "authorization_endpoint": f"{self.name}/authorize",
            "token_endpoint": f"{self.name}/token",
            "device_authorization_endpoint": f"{self.name}/device",
            "revocation_endpoint": f"{self.name}/revoke",
            "userinfo_endpoint": f"{self.name}/userinfo",
            "jwks_uri": f"{self.name}/keys",
            "scopes_supported": ["openid", "email", "offline_access"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": True,
            **self.instead,
        }
        return web.json_response({name: value for name, value in told.items() if value is not None})

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [KEY.as_dict(private=False)]})

    async def _userinfo(self, request: web.Request) -> web.Response:
        subject = request.headers["Authorization"].removeprefix("Bearer ").split(".")[0]
        return web.json_response({"sub": subject, "email": self.email})

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        self.counts[form["grant_type"]] += 1
        if (error := self._client_fault(request, form)) is not None:
            return web.json_response({"error": error}, status=401)
        match form["grant_type"]:
            case "authorization_code":
                return self._for_code(form)
            case "refresh_token":
                return await self._for_refresh(request, form)
            case _:
                return self._for_device()

    def _client_fault(self, request: web.Request, form: dict[str, str]) -> str | None:
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        if authorization := request.headers.get("Authorization"):
            pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
            name, secret = (unquote_plus(each) for each in pair)
        return None if (name, secret) == (self.client_id, self.client_secret) else "invalid_client"

    def _for_code(self, form: dict[str, str]) -> web.Response:
        grant, asked = self._codes.pop(form["code"], (None, {}))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if (
            grant is None
            or asked["code_challenge"] != challenge.decode()
            or asked["redirect_uri"] != form["redirect_uri"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.grants.append(grant)
        return web.json_response(self._tokens(grant, has_id=True))

    async def _for_refresh(self, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
        sent = form["refresh_token"]
        grant = next((each for each in self.grants if sent in {each.refresh, each.before}), None)
        if grant is None or grant.is_over:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if sent == grant.before and time.monotonic() - grant.replaced_at > self.grace:
            grant.is_over = True  # it was used before: somebody has stolen it
            return web.json_response({"error": "invalid_grant"}, status=400)
        answer = self._tokens(grant, before=sent)
        await asyncio.sleep(self.pause)
        if self.is_lost:
            self.is_lost = False
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(answer)

    def _for_device(self) -> web.Response:
        if self.device_answers:
            return web.json_response({"error": self.device_answers.pop(0)}, status=400)
        self.grants.append(Grant(subject="ada"))
        return web.json_response(self._tokens(self.grants[-1], has_id=True))

    def _tokens(self, grant: Grant, *, before: str = "", has_id: bool = False) -> dict[str, Any]:
        if self.gives_refresh:
            grant.before, grant.refresh, grant.replaced_at = before, secrets.token_urlsafe(24), time.monotonic()
        access = f"{grant.subject}.{secrets.token_urlsafe(24)}"
        answer: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.life}
        if self.gives_refresh:
            answer["refresh_token"] = grant.refresh
        if has_id:
            claims = {
                "iss": self.name, "sub": grant.subject, "aud": self.client_id, "iat": int(time.time()),
                "exp": int(time.time()) + 600, **({"nonce": grant.nonce} if grant.nonce else {}), **self.claims,
            }  # fmt: skip
            header = {"alg": "RS256", "kid": "one"}
            answer["id_token"] = jwt.encode(header, claims, self.key, algorithms=["RS256"])
        return answer

    async def _device(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["client_id"] == self.client_id
        return web.json_response(
            {
                "device_code": "device", "user_code": "ABCD-EFGH", "verification_uri": f"{self.name}/activate",
                "interval": 0.01, "expires_in": 600,
            }
        )  # fmt: skip

    async def _revoke(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.counts["revoke"] += 1
        for grant in self.grants:
            grant.is_over |= form["token"] == grant.refresh
        return web.Response()
