"""What Google tells Gemini CLI about an account while it logs in: the project that pays, which the CLI writes nowhere.

The CLI is told to ask a port of ours about its account. Each question goes on to Google as it came, and each answer
back as it came; the project's name is read on the way. Nothing is asked that the CLI has not asked itself.
"""

from __future__ import annotations

import contextlib
import secrets
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web
from aiohttp_socks import ProxyConnector, ProxyType
from yarl import URL

GOOGLE = URL("https://cloudcode-pa.googleapis.com")
BYTES_MAX = 1024 * 1024
SECONDS_MAX = 60.0
LOOPBACK = "127.0.0.1"
_HOP = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "content-encoding"})
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_AUTHORITIES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")


class Overheard:
    """`open`, and `close` in any case. `project`: empty as long as nobody has named it."""

    def __init__(self, ours: Mapping[str, str]) -> None:
        """`ours`: the environment that tells how the network is reached."""
        self.project = ""
        self._ours = ours
        self._prefix = f"/{secrets.token_urlsafe(16)}"
        self._runner: web.ServerRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> dict[str, str]:
        """The variables that lead the CLI here."""
        self._session = _session(self._ours)
        self._runner = web.ServerRunner(web.Server(self._pass_on, access_log=None), shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        ((_, port, *_),) = self._runner.addresses
        direct = ",".join(filter(None, (_first(self._ours, ("no_proxy", "NO_PROXY")), LOOPBACK)))
        return {
            "CODE_ASSIST_ENDPOINT": f"http://{LOOPBACK}:{port}{self._prefix}", "NO_PROXY": direct, "no_proxy": direct
        }  # fmt: skip

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._session is not None
        path = request.raw_path.removeprefix(self._prefix)
        if path == request.raw_path or (request.content_length or 0) > BYTES_MAX:
            return web.Response(status=404)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        body = await request.read()
        try:
            async with self._session.request(
                request.method, URL(f"{GOOGLE}{path}", encoded=True), headers=headers, data=body, allow_redirects=False
            ) as answer:
                told = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return web.Response(status=502)
        self._hear(told)
        kind = answer.headers.get("Content-Type", "application/json")
        return web.Response(status=answer.status, body=told, headers={"Content-Type": kind})

    def _hear(self, told: bytes) -> None:
        """In the answer to `loadCodeAssist`, and in that of `onboardUser` once it is done."""
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            answer = msgspec.json.decode(told, type=_Answer)
            named = answer.project if answer.response is None else answer.response.project
            self.project = (named if isinstance(named, str) else named.id if named is not None else "") or self.project


class _Project(msgspec.Struct):
    id: str = ""


class _Response(msgspec.Struct):
    project: _Project | str | None = msgspec.field(name="cloudaicompanionProject", default=None)


class _Answer(_Response):
    response: _Response | None = None


def _session(ours: Mapping[str, str]) -> aiohttp.ClientSession:
    trusted = ssl.create_default_context()
    for authority in filter(None, map(ours.get, _AUTHORITIES)):
        with contextlib.suppress(OSError, ssl.SSLError):
            trusted.load_verify_locations(Path(authority))
    proxy = URL("" if _is_direct(ours) else _first(ours, _PROXIES))
    connector: Callable[..., aiohttp.TCPConnector] = aiohttp.TCPConnector
    if proxy.scheme.startswith("socks5"):
        connector = partial(
            ProxyConnector,
            proxy.host or "",
            proxy.port or 1080,
            ProxyType.SOCKS5,
            username=proxy.user,
            password=proxy.password,
            rdns=True,
        )
    return aiohttp.ClientSession(
        connector=connector(ssl=trusted),
        proxy=proxy if proxy.scheme in {"http", "https"} else None,
        timeout=aiohttp.ClientTimeout(total=SECONDS_MAX),
        skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _is_direct(ours: Mapping[str, str]) -> bool:
    host = f".{GOOGLE.host}"
    exempt = (each.strip() for each in _first(ours, ("no_proxy", "NO_PROXY")).split(","))
    return any(each == "*" or (each and host.endswith(f".{each.removeprefix('.')}")) for each in exempt)


def _first(ours: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := ours.get(name))), "")
