"""The vendors' login servers, as far as an official CLI asks them: a local egress proxy that ends the TLS of every host
with a certificate of a throw-away authority, and answers itself. Nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import html
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.visitors import Visitors

DAY = 86_400
HOSTS = (
    "platform.claude.com", "api.anthropic.com", "claude.ai", "claude.com", "mcp-proxy.anthropic.com",
    "auth.openai.com", "chatgpt.com", "api.openai.com",
    "auth.kimi.com", "api.kimi.com", "auth.x.ai", "cli-chat-proxy.grok.com", "github.com", "api.github.com",
    "oauth2.googleapis.com", "www.googleapis.com", "cloudcode-pa.googleapis.com", "play.googleapis.com",
    "models.example.test",
)  # fmt: skip

ROTATING = {
    (host, grant)
    for host in ("platform.claude.com", "auth.openai.com")
    for grant in ("authorization_code", "refresh_token")
}
"""Who gives a refresh token that is good for one use, and for what."""

GOOGLE_S = "1//fake"
"""The refresh token of Google's, which stays the same."""
GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform openid"
"""Gemini CLI takes a token for worthless whose scopes Google does not tell."""

ASKED = {
    "/v1/messages",
    "/backend-api/codex/responses",
    "/v1internal:streamGenerateContent",
}
"""Where models are asked."""

Json: TypeAlias = Mapping[str, Any]


class Page(str):
    """For a browser."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    host: str
    method: str
    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Person:
    """Who logs in at the vendor's page, and what the vendor knows of them."""

    email: str = "ada@example.test"
    account: str = "6b1f2a3c-0000-4000-8000-00000000ada0"
    organization: str = "Harbour Works"


@dataclass(slots=True)
class Vendor:
    """``async with Vendor(folder) as vendor``. `codes`: what the page would hand out, and to whom."""

    folder: Path
    person: Person = field(default_factory=Person)
    codes: set[str] = field(default_factory=lambda: {"good-code"})
    is_device_confirmed: bool = False
    is_device_denied: bool = False
    is_client_supported: bool = True
    is_refresh_refused: bool = False
    is_down: bool = False
    newest: str = ""
    """The refresh token that was given last: with any other the login is over, as at a provider that rotates them."""
    reused: list[str] = field(default_factory=list)
    expelled: set[str] = field(default_factory=set)
    """Access tokens that nobody there takes any more, whatever their time."""
    held: asyncio.Event | None = None
    """Refreshes are done, and answered when this is set."""
    is_holding: asyncio.Event = field(default_factory=asyncio.Event)
    thinking: asyncio.Event | None = None
    """Models answer when this is set."""
    is_thinking: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Asked] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _tls: ssl.SSLContext | None = None
    _serial: int = 0
    _visitors: Visitors = field(default_factory=Visitors)

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    @property
    def url(self) -> str:
        """Of the egress proxy."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a person behind such an egress proxy has in their environment."""
        url = self.url
        return {
            "HTTPS_PROXY": url,
            "https_proxy": url,
            "HTTP_PROXY": url,
            "NO_PROXY": "127.0.0.1,localhost",
            "NODE_EXTRA_CA_CERTS": str(self.authority),
            "SSL_CERT_FILE": str(self.authority),
            "CODEX_CA_CERTIFICATE": str(self.authority),
        }

    async def __aenter__(self) -> Self:
        self._tls = _certified(self.folder)
        self._server = await asyncio.start_server(self._visitors.received_by(self._serve), "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._visitors.leave()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            line, _ = await _head(reader)
            method, target, _version = line.split(" ", 2)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                assert self._tls is not None
                await writer.start_tls(self._tls)
                await self._answer(target.partition(":")[0], reader, writer)

    async def _answer(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, headers = await _head(reader)
        method, target, _version = line.split(" ", 2)
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        asked = Asked(
            host=host, method=method, path=parts.path, body=_read(raw), headers=headers, query=_fields(parts.query)
        )
        self.asked.append(asked)
        status, told = self._judge(asked)
        if isinstance(told, Mapping) and (asked.host, asked.body.get("grant_type")) in ROTATING:
            self.newest = told.get("refresh_token", self.newest)
        if self.held is not None and asked.body.get("grant_type") == "refresh_token":
            self.is_holding.set()
            await self.held.wait()
        if self.thinking is not None and asked.path in ASKED:
            self.is_thinking.set()
            await self.thinking.wait()
        body = told.encode() if isinstance(told, str) else msgspec.json.encode(told)
        kind = "text/html" if isinstance(told, Page) else "application/json"
        if isinstance(told, str) and not isinstance(told, Page):
            kind = "text/event-stream"
        writer.write(
            f"HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()

    def _judge(self, asked: Asked) -> tuple[int, Json | str]:
        if self.is_down:
            return 503, {"error": "unavailable"}
        if self.is_refresh_refused and asked.body.get("grant_type") == "refresh_token":
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        if asked.headers.get("authorization", "").removeprefix("Bearer ") in self.expelled:
            return 401, {"error": {"type": "authentication_error", "message": "the access token was refused"}}
        if asked.body.get("grant_type") == "refresh_token" and self.newest not in {"", asked.body["refresh_token"]}:
            self.reused.append(asked.body["refresh_token"])
            return 400, {"error": "invalid_grant", "error_description": "this token was used already"}
        found = ROUTES.get((asked.host, asked.path))
        return found(self, asked) if found is not None else (404, {"error": "not found"})

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    # their pages, for a person with a browser

    def consent(self, asked: Asked) -> tuple[int, Page]:
        back, state = asked.query["redirect_uri"], asked.query["state"]
        choices = {"Allow": {"code": next(iter(self.codes)), "state": state}}
        choices["Decline"] = {"error": "access_denied", "state": state}
        links = (f'<a href="{html.escape(f"{back}?{urlencode(query)}")}">{name}</a>' for name, query in choices.items())
        return 200, Page(f"<!doctype html><title>{asked.host}</title>{' '.join(links)}")

    def claude_code_page(self, asked: Asked) -> tuple[int, Page]:
        shown = html.escape("{code}#{state}".format_map(asked.query))
        return 200, Page(f"<!doctype html><code>{shown}</code>")

    def openai_device_page(self, asked: Asked) -> tuple[int, Page]:
        self.is_device_confirmed = self.is_device_confirmed or asked.query.get("code") == "ABCD-12345"
        return 200, Page("<!doctype html><form><input name=code aria-label=Code><button>Continue</button></form>")

    # what each vendor answers

    def claude_token(self, asked: Asked) -> tuple[int, Json]:
        if asked.body.get("grant_type") == "authorization_code" and asked.body["code"] not in self.codes:
            return 400, {"error": "invalid_grant", "error_description": "no such code"}
        number = self.serial()
        return 200, {
            "token_type": "Bearer",
            "access_token": f"sk-ant-oat01-fake-{number}",
            "refresh_token": f"sk-ant-ort01-fake-{number}",
            "expires_in": 28_800,
            "scope": "user:inference user:profile user:sessions:claude_code user:mcp_servers user:file_upload",
            "account": {"uuid": self.person.account, "email_address": self.person.email},
            "organization": {"uuid": "org-1", "name": self.person.organization},
        }

    def claude_profile(self, _: Asked) -> tuple[int, Json]:
        return 200, {
            "account": {
                "uuid": self.person.account,
                "email": self.person.email,
                "full_name": "Ada",
                "display_name": "Ada",
                "has_claude_max": True,
                "has_claude_pro": False,
                "created_at": "2025-01-01T00:00:00Z",
            },
            "organization": {
                "uuid": "org-1",
                "name": self.person.organization,
                "organization_type": "claude_max",
                "rate_limit_tier": "default_claude_max_20x",
                "has_extra_usage_enabled": False,
            },
        }

    def claude_message(self, asked: Asked) -> tuple[int, str]:
        usage = {"input_tokens": 3, "output_tokens": 2}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.body["model"], "content": []}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Ahoy from the quay."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
        return 200, "".join(f"event: {each['type']}\ndata: {msgspec.json.encode(each).decode()}\n\n" for each in events)

    def openai_response(self, _: Asked) -> tuple[int, str]:
        part = {"type": "output_text", "text": "Ahoy from the quay.", "annotations": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        response = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5.5", "output": [item]}
        usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {**response, "status": "completed", "usage": usage}},
        ]
        numbered = ({**each, "sequence_number": number} for number, each in enumerate(events))
        return 200, "".join(
            f"event: {each['type']}\ndata: {msgspec.json.encode(each).decode()}\n\n" for each in numbered
        )

    def claude_roles(self, _: Asked) -> tuple[int, Json]:
        return 200, {"organization_role": "admin", "workspace_role": None, "organization_name": "Harbour Works"}

    def claude_usage(self, _: Asked) -> tuple[int, Json]:
        resets_at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=15)
        return 200, {"five_hour": {"utilization": 12.0, "resets_at": resets_at.isoformat()}, "seven_day": None}

    def revoke(self, asked: Asked) -> tuple[int, Json]:
        self.revoked.append(asked.body["token"])
        return 200, {}

    def openai_token(self, asked: Asked) -> tuple[int, Json]:
        if asked.body.get("grant_type") == "authorization_code" and asked.body["code"] not in self.codes:
            return 400, {"error": "invalid_grant", "error_description": "no such code"}
        number = self.serial()
        return 200, {
            "id_token": self._openai_jwt("id", number),
            "access_token": self._openai_jwt("access", number),
            "refresh_token": f"rt-fake-{number}",
            "expires_in": 10 * DAY,
        }

    def _openai_jwt(self, kind: str, number: int) -> str:
        claims = {
            "email": self.person.email,
            "sub": "user-1",
            "jti": f"{kind}-{number}",
            "iat": int(time.time()),
            "exp": int(time.time()) + 10 * DAY,
            "https://api.openai.com/auth": {
                "chatgpt_plan_type": "pro",
                "chatgpt_account_id": self.person.account,
                "chatgpt_user_id": "user-1",
            },
            "https://api.openai.com/profile": {"email": self.person.email, "email_verified": True},
        }
        return ".".join((_part({"alg": "RS256", "typ": "JWT"}), _part(claims), "c2lnbmF0dXJl"))

    def openai_user_code(self, _: Asked) -> tuple[int, Json]:
        return 200, {"device_auth_id": "device-1", "user_code": "ABCD-12345", "interval": "1"}

    def openai_device_token(self, _: Asked) -> tuple[int, Json]:
        if self.is_device_denied:
            return 400, {"error": "access_denied"}
        if not self.is_device_confirmed:
            return 403, {"error": "authorization_pending"}
        return 200, {"authorization_code": "good-code", "code_challenge": "challenge", "code_verifier": "verifier"}

    def openai_accounts(self, _: Asked) -> tuple[int, Json]:
        account = {
            "id": self.person.account,
            "plan_type": "pro",
            "name": "Personal",
            "workspace_backend_origin": "https://chatgpt.com",
            "account_routing_override": "NO_CONSTRAINT",
        }
        return 200, {
            "accounts": [account],
            "default_account_id": self.person.account,
            "account_ordering": [self.person.account],
        }

    def openai_usage(self, _: Asked) -> tuple[int, Json]:
        now = int(time.time())
        window = {"used_percent": 12, "limit_window_seconds": 18_000, "reset_after_seconds": 900, "reset_at": now + 900}
        limits = {"allowed": True, "limit_reached": False, "primary_window": window, "secondary_window": None}
        credit = {"has_credits": False, "unlimited": False, "balance": None}
        return 200, {"plan_type": "pro", "rate_limit": limits, "credits": credit}

    # those that know a device code only: the same for all

    def device_code(self, asked: Asked) -> tuple[int, Json]:
        page = f"https://{asked.host}/device"
        code = "ABCD-1234"
        return 200, {
            "device_code": "device-1", "user_code": code, "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={code}", "expires_in": 900, "interval": 1,
        }  # fmt: skip

    def device_token(self, asked: Asked) -> tuple[int, Json]:
        if asked.body.get("grant_type") == "refresh_token":
            return 200, self._device_tokens()
        refused = 200 if asked.host == "github.com" else 400
        if self.is_device_denied:
            return refused, {"error": "access_denied"}
        if not self.is_device_confirmed:
            return refused, {"error": "authorization_pending"}
        return 200, self._device_tokens()

    def _device_tokens(self) -> Json:
        number = self.serial()
        claims = {"sub": self.person.account, "email": self.person.email, "exp": int(time.time()) + 900}
        return {
            "access_token": f"{_part({'alg': 'none'})}.{_part({**claims, 'jti': str(number)})}.c2ln",
            "refresh_token": f"rt-fake-{number}", "token_type": "Bearer", "expires_in": 900, "scope": "x",
            "id_token": f"{_part({'alg': 'none'})}.{_part(claims)}.c2ln",
        }  # fmt: skip

    def xai_configuration(self, asked: Asked) -> tuple[int, Json]:
        base = f"https://{asked.host}"
        return 200, {"issuer": base, "token_endpoint": f"{base}/oauth2/token", "revocation_endpoint": f"{base}/revoke"}

    def xai_user(self, _: Asked) -> tuple[int, Json]:
        return 200, {"sub": self.person.account, "email": self.person.email}

    def kimi_models(self, _: Asked) -> tuple[int, Json]:
        model = {"id": "kimi-for-coding", "object": "model", "created": 1, "context_length": 262_144}
        return 200, {"object": "list", "data": [model]}

    def github_user(self, _: Asked) -> tuple[int, Json]:
        return 200, {"login": "ada", "copilot_plan": "individual", "chat_enabled": True}

    def google_token(self, asked: Asked) -> tuple[int, Json]:
        if asked.body.get("grant_type") == "authorization_code" and asked.body["code"] not in self.codes:
            return 400, {"error": "invalid_grant", "error_description": "Malformed auth code."}
        number = self.serial()
        granted = {
            "access_token": f"ya29.fake-{number}",
            "expires_in": 3599,
            "scope": GOOGLE_SCOPE,
            "token_type": "Bearer",
            "id_token": f"{_part({'alg': 'none'})}.{_part({'email': self.person.email, 'sub': '1234567890'})}.c2ln",
        }
        if asked.body.get("grant_type") == "authorization_code":
            granted["refresh_token"] = GOOGLE_S  # Google gives it once, and never another
        return 200, granted

    def google_user(self, _: Asked) -> tuple[int, Json]:
        return 200, {"id": "1234567890", "email": self.person.email, "verified_email": True}

    def google_token_info(self, _: Asked) -> tuple[int, Json]:
        return 200, {"email": self.person.email, "expires_in": "3000", "sub": "1234567890", "scope": GOOGLE_SCOPE}

    def google_assist(self, _: Asked) -> tuple[int, Json]:
        if self.is_client_supported:
            tier = {"id": "standard-tier", "name": "Gemini Code Assist Standard"}
            return 200, {"currentTier": tier, "cloudaicompanionProject": "harbour-1"}
        tier = {
            "reasonCode": "UNSUPPORTED_CLIENT",
            "reasonMessage": "This client is no longer supported for individuals.",
            "tierId": "free-tier",
            "tierName": "Gemini Code Assist for individuals",
        }
        return 200, {"currentTier": {"id": "free-tier", "name": "Individuals"}, "ineligibleTiers": [tier]}

    def google_answer(self, asked: Asked) -> tuple[int, str]:
        parts = [{"text": "Ahoy from the quay."}]
        usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
        said = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": asked.body["model"]}
        return 200, f"data: {msgspec.json.encode({'response': said, 'traceId': 'trace-1'}).decode()}\r\n\r\n"


ROUTES: Mapping[tuple[str, str], Callable[[Vendor, Asked], tuple[int, Json] | tuple[int, str]]] = {
    ("claude.ai", "/oauth/authorize"): Vendor.consent,
    ("claude.com", "/cai/oauth/authorize"): Vendor.consent,
    ("platform.claude.com", "/oauth/code/callback"): Vendor.claude_code_page,
    ("auth.openai.com", "/oauth/authorize"): Vendor.consent,
    ("auth.openai.com", "/codex/device"): Vendor.openai_device_page,
    ("accounts.google.com", "/o/oauth2/v2/auth"): Vendor.consent,
    ("api.anthropic.com", "/v1/messages"): Vendor.claude_message,
    ("chatgpt.com", "/backend-api/codex/responses"): Vendor.openai_response,
    ("platform.claude.com", "/v1/oauth/token"): Vendor.claude_token,
    ("platform.claude.com", "/v1/oauth/token/revoke"): Vendor.revoke,
    ("api.anthropic.com", "/api/oauth/profile"): Vendor.claude_profile,
    ("api.anthropic.com", "/api/oauth/claude_cli/roles"): Vendor.claude_roles,
    ("api.anthropic.com", "/api/oauth/usage"): Vendor.claude_usage,
    ("auth.openai.com", "/oauth/token"): Vendor.openai_token,
    ("auth.openai.com", "/oauth/revoke"): Vendor.revoke,
    ("auth.openai.com", "/api/accounts/deviceauth/usercode"): Vendor.openai_user_code,
    ("auth.openai.com", "/api/accounts/deviceauth/token"): Vendor.openai_device_token,
    ("chatgpt.com", "/backend-api/wham/accounts/check"): Vendor.openai_accounts,
    ("chatgpt.com", "/backend-api/wham/usage"): Vendor.openai_usage,
    ("auth.kimi.com", "/api/oauth/device_authorization"): Vendor.device_code,
    ("auth.kimi.com", "/api/oauth/token"): Vendor.device_token,
    ("api.kimi.com", "/coding/v1/models"): Vendor.kimi_models,
    ("auth.x.ai", "/oauth2/device/code"): Vendor.device_code,
    ("auth.x.ai", "/oauth2/token"): Vendor.device_token,
    ("auth.x.ai", "/.well-known/openid-configuration"): Vendor.xai_configuration,
    ("auth.x.ai", "/revoke"): Vendor.revoke,
    ("cli-chat-proxy.grok.com", "/v1/user"): Vendor.xai_user,
    ("github.com", "/login/device/code"): Vendor.device_code,
    ("github.com", "/login/oauth/access_token"): Vendor.device_token,
    ("api.github.com", "/copilot_internal/user"): Vendor.github_user,
    ("oauth2.googleapis.com", "/token"): Vendor.google_token,
    ("oauth2.googleapis.com", "/tokeninfo"): Vendor.google_token_info,
    ("oauth2.googleapis.com", "/revoke"): Vendor.revoke,
    ("www.googleapis.com", "/oauth2/v2/userinfo"): Vendor.google_user,
    ("cloudcode-pa.googleapis.com", "/v1internal:loadCodeAssist"): Vendor.google_assist,
    ("cloudcode-pa.googleapis.com", "/v1internal:streamGenerateContent"): Vendor.google_answer,
}


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return lines[0], {name.strip().lower(): value.strip() for name, _, value in pairs}


def _read(raw: bytes) -> dict[str, Any]:
    with contextlib.suppress(msgspec.DecodeError):
        found = msgspec.json.decode(raw)
        return found if isinstance(found, dict) else {}
    return _fields(raw.decode(errors="replace"))


def _fields(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


def _certified(folder: Path) -> ssl.SSLContext:
    """For all hosts, by an authority whose certificate is left in the folder."""
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a throw-away authority")])

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, is_authority: bool) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=2))
        made = made.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
        return made.add_extension(identifier, critical=False)

    authority = builder(issuer, keys[0], True).sign(keys[0], hashes.SHA256())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "every host")])
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    served = builder(subject, keys[1], False).add_extension(names, critical=False)
    served = served.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    leaf = served.sign(keys[0], hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    (folder / "host.pem").write_bytes(
        keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "host.pem")
    return context
