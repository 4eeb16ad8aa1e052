"""A call with an account's token, for whoever holds the management key: to that account's own provider, nowhere else.

T15: the host must be the one that the account is served at, over https unless its own base URL says http. Its name is
resolved once, every address is looked at, and the connection goes to one of those. No redirect is followed. What comes
back is bounded, and the token taken out of it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from auth.credential import Credential
from management.refusal import Refusal, invalid
from proxy.providers.base import USER_AGENT, Provider

BYTES_MAX = 1024 * 1024
SECONDS_MAX = 10.0
TOKEN = "$TOKEN$"  # noqa: S105 - the placeholder for one
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_NOT_FORWARDED = frozenset({"host", "content-length", "transfer-encoding", "connection", "proxy-authorization"})
_NOT_TOLD = frozenset({"set-cookie"})
_SHARED = ipaddress.ip_network("100.64.0.0/10")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """`url` is checked: `allowed`. `headers`: with the token in its place. `is_local`: the provider is on this
    machine or network, by its own base URL.
    """

    method: str
    url: URL
    headers: Mapping[str, str] = field(repr=False)
    data: bytes = field(repr=False)
    is_local: bool


def outbound(
    provider: Provider, credential: Credential, method: str, url: str, headers: Mapping[str, str], data: str
) -> Outbound:
    """Raises `Refusal`."""
    if method.upper() not in _METHODS:
        raise invalid(f"method must be one of {', '.join(_METHODS)}")
    home = URL(credential.base_url or provider.base_url)
    target = _target(url)
    if (target.scheme, target.host, target.port) != (home.scheme, home.host, home.port):
        raise Refusal(403, f"a token of {credential.label} is sent to {home.scheme}://{home.host}:{home.port} only")
    if credential.proxy_url not in {None, "", "direct", "none"}:
        raise Refusal(403, f"{credential.label} has an egress proxy, whose addresses cannot be checked from here")
    token = credential.secret.reveal() if credential.secret is not None else ""
    if any(TOKEN in value for value in headers.values()) and not token:
        raise invalid(f"{credential.label} has no token")
    if TOKEN in url or TOKEN in data:
        raise invalid(f"{TOKEN} may stand in headers only: addresses and bodies are logged by others")
    sent = {"User-Agent": USER_AGENT}
    sent |= {name: value.replace(TOKEN, token) for name, value in headers.items() if name.lower() not in _NOT_FORWARDED}
    if any(character in f"{name}{value}" for name, value in sent.items() for character in "\r\n\0"):
        raise invalid("a header has a line break")
    return Outbound(
        method=method.upper(), url=target, headers=sent, data=data.encode(), is_local=not _is_name(home.host or "")
    )


def _target(url: str) -> URL:
    try:
        target = URL(url)
    except ValueError as error:
        raise invalid(f"url: {error}"[:200]) from None
    if target.scheme not in {"http", "https"} or not target.host or target.user or target.password:
        raise invalid("url must be http(s)://host/…, without a user")
    return target


def _is_name(host: str) -> bool:
    """A name in public DNS: not an address that the operator wrote, nor this machine or its network."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".localhost"))
    return False


def is_public(address: str) -> bool:
    """As the internet sees it; IPv4 addresses that hide in IPv6 ones are looked at as what they are."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        return found.is_global and not found.is_multicast
    return found.is_global and not found.is_multicast and found not in _SHARED


class Pinned(AbstractResolver):
    """Gives the addresses that were looked at; nobody is asked a second time."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family
        return [
            ResolveResult(
                hostname=host,
                host=each,
                port=port,
                family=socket.AF_INET6 if ":" in each else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for each in self._addresses
        ]

    async def close(self) -> None:
        return


async def addresses_of(call: Outbound) -> list[str]:
    """Raises `Refusal` where one of them is not public."""
    host, port = call.url.host or "", call.url.port or 0
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Refusal(502, f"{host}: {error.strerror or error}") from None
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not call.is_local and (hidden := [each for each in addresses if not is_public(each)]):
        raise Refusal(403, f"{host} leads to {hidden[0]}, which is not on the internet")
    return addresses


async def send(call: Outbound) -> dict[str, object]:
    """``status_code``, ``header``, ``body``. Raises `Refusal`."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            connector = aiohttp.TCPConnector(resolver=Pinned(await addresses_of(call)), use_dns_cache=False)
            async with (
                aiohttp.ClientSession(
                    connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
                ) as session,
                session.request(
                    call.method, call.url, headers=call.headers, data=call.data or None, allow_redirects=False
                ) as answer,
            ):
                return await _told(answer)
    except TimeoutError:
        raise Refusal(502, f"no whole answer within {SECONDS_MAX:.0f} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Refusal(502, f"{call.url.host}: {type(error).__name__}") from None


async def _told(answer: aiohttp.ClientResponse) -> dict[str, object]:
    pieces, left = [], BYTES_MAX
    async for piece in answer.content.iter_any():
        left -= len(piece)
        if left < 0:
            raise Refusal(502, f"the answer is larger than {BYTES_MAX} bytes")
        pieces.append(piece)
    header: dict[str, list[str]] = {}
    for name, value in answer.headers.items():
        if name.lower() not in _NOT_TOLD:
            header.setdefault(name, []).append(value)
    return {"status_code": answer.status, "header": header, "body": b"".join(pieces).decode("utf-8", "replace")}
