"""An endpoint of an authorization server, asked once, with every way told apart in which that may go wrong.

::

    Unreached   nothing was sent: trying again is safe
    Unanswered  it was sent, and nobody knows what became of it
    Denied      it was answered, with no
"""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, SimpleNamespace
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError, ProxyType
from yarl import URL

from auth.document import JsonValue
from auth.secret import Secret

CONNECT_SECONDS_MAX = 10.0
SECONDS_MAX = 60.0
"""From the first byte sent: far beyond what an answer takes, since giving up may lose it."""
ANSWER_BYTES_MAX = 1024 * 1024
LIFE_SECONDS_MAX = 366 * 86400.0
_RAISED = (aiohttp.ClientError, ProxyConnectionError, ProxyError, ProxyTimeoutError, OSError, ValueError)
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_UNSURE_STATUSES = frozenset({408, 502, 503, 504})
"""Given by whatever stands before the server: what the server has done is not known."""


class Unreached(Exception):
    """Ends of sentences, as of the others, without secrets."""


class Unanswered(Exception):
    pass


class Denied(Exception):
    """`error`: OAuth's word (RFC 6749 §5.2); empty: none was given. `date`: the server's clock, in Unix seconds."""

    def __init__(self, status: int, error: str, description: str = "", date: float | None = None) -> None:
        self.status = status
        self.error = error
        self.date = date
        told = f"{error}: {description}" if error and description else error or description or "no reason given"
        super().__init__(f"was refused with {status}: {told}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    status: int
    fields: Mapping[str, JsonValue]
    """Of the JSON object; empty where it was none."""
    date: float | None = None

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def denied(self) -> Denied:
        return Denied(
            self.status, _shown(self.text("error"), 60), _shown(self.text("error_description"), 200), self.date
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The answer of a token endpoint (RFC 6749 §5.1). `life_seconds`: None: it does not say."""

    access: Secret
    refresh: Secret | None = None
    id_token: Secret | None = None
    life_seconds: float | None = None

    @classmethod
    def of(cls, answered: Answered) -> Granted:
        """Raises `Denied`, `Unanswered`."""
        if answered.text("access_token") and answered.status == 200:
            return cls(
                access=Secret(answered.text("access_token")),
                refresh=Secret(text) if (text := answered.text("refresh_token")) else None,
                id_token=Secret(text) if (text := answered.text("id_token")) else None,
                life_seconds=_life(answered.fields.get("expires_in")),
            )
        if answered.text("error"):
            raise answered.denied()
        if answered.status >= 500 or answered.status in _UNSURE_STATUSES or answered.status == 200:
            raise Unanswered(f"gave an answer without a token ({answered.status})")
        raise answered.denied()


async def get(url: str, *, proxy_url: str = "", headers: Mapping[str, str] = _NO_HEADERS) -> Answered:
    """Raises `Unreached`, `Unanswered`."""
    return await _ask("GET", url, None, proxy_url, headers)


async def post(
    url: str, form: Mapping[str, str], *, proxy_url: str = "", headers: Mapping[str, str] = _NO_HEADERS
) -> Answered:
    """Raises `Unreached`, `Unanswered`."""
    return await _ask("POST", url, form, proxy_url, headers)


async def _ask(
    method: str, url: str, form: Mapping[str, str] | None, proxy_url: str, headers: Mapping[str, str]
) -> Answered:
    is_connected = False

    async def note(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
        nonlocal is_connected
        is_connected = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(note)
    host = urlsplit(url).hostname or "the server"
    try:
        async with (
            asyncio.timeout(CONNECT_SECONDS_MAX + SECONDS_MAX),
            _session(URL(proxy_url), trace) as session,
            session.request(
                method, url, data=form, headers={"accept": "application/json", **headers}, allow_redirects=False
            ) as response,
        ):
            raw = await response.content.read(ANSWER_BYTES_MAX)
            while piece := await response.content.read(ANSWER_BYTES_MAX):
                raw += piece
                if len(raw) > ANSWER_BYTES_MAX:
                    raise Unanswered(f"{host} gave an answer without an end")
            return Answered(status=response.status, fields=_fields(raw), date=_date(response.headers.get("Date", "")))
    except _RAISED as error:
        what = str(error) or type(error).__name__
        if is_connected:
            raise Unanswered(f"{host} took the request and gave no whole answer ({what[:200]})") from None
        raise Unreached(f"{host} is not reached ({what[:200]})") from None


def _session(proxy: URL, trace: aiohttp.TraceConfig) -> aiohttp.ClientSession:
    """A connection of its own: one that was kept might be dead, and then nobody knows what was sent."""
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
        connector=connector(force_close=True),
        proxy=proxy if proxy.scheme in {"http", "https"} else None,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS_MAX, sock_read=SECONDS_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[trace],
        trust_env=False,
    )


def _fields(raw: bytes) -> Mapping[str, JsonValue]:
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _life(value: JsonValue) -> float | None:
    """Some write a number as text."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return None
    return min(seconds, LIFE_SECONDS_MAX) if seconds > 0 else None  # also for NaN


def _date(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _shown(text: str, characters_max: int) -> str:
    """A server's words, for a log and a terminal."""
    return "".join(each for each in text if each.isprintable())[:characters_max]
