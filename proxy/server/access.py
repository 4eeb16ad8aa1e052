"""Who may: the Host that was asked for, the client's key and its terms, and what a web page may not."""

from __future__ import annotations

import functools
import hmac
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from proxy.config.checks import SAMPLE_KEYS
from proxy.config.client_keys import HASH_PREFIX, Budget, ClientKey, Rates, hash_of, moment_of
from proxy.dispatch.reach import EVERYTHING, Reach
from proxy.errors import AccessDenied, Forbidden, Misdirected
from proxy.server.addresses import Network, is_within, networks, parsed

KEY_CHARACTERS_MIN = 8
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
KEY_HEADERS = ("x-api-key", "x-goog-api-key", "api-key")
"""Beside ``Authorization: Bearer``: Anthropic's, Google's, Azure's."""
PROTOCOL_HEADER = "sec-websocket-protocol"
KEY_PROTOCOL = "openai-insecure-api-key."
"""Before the key of a web page that opens a WebSocket: it has no other place for one."""
PRIVATE_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", PROTOCOL_HEADER, *KEY_HEADERS})
"""Never go on to a provider: they are between the client and us."""
KEY_PARAMETER = "key"

_FORWARDING = frozenset(
    {
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "fastly-client-ip",
        "fly-client-ip",
    }
)
_DEFAULT_PORTS = {80, 443}
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - what one listens on, and no name
_PLACEHOLDER = re.compile(
    r"(sk-(proj-|ant-)?)?(x{2,}|\.{2,}|\*{2,}|0{4,}|1234\d*|<.*>|\$\{?\w*\}?|your.*key.*|.*-here)"
)
_SAMPLES = SAMPLE_KEYS | {
    "a-key-that-you-made-up",
    "changeme",
    "change-me",
    "my-api-key",
    "password",
    "sk-dummy",
}
_SAMPLES_BY_HASH = {hash_of(key): key for key in _SAMPLES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """When and from where a key may be used. `expires_at`: Unix seconds. `networks`: empty for all."""

    expires_at: float = math.inf
    networks: tuple[Network, ...] = ()

    def check(self, address: str, now: float) -> None:
        """`now`: Unix seconds. Raises `AccessDenied` or `Forbidden`."""
        if now >= self.expires_at:
            date = datetime.fromtimestamp(self.expires_at, UTC).strftime("%Y-%m-%d %H:%M")
            raise AccessDenied(f"this client key has expired on {date} UTC", code="expired_api_key")
        if self.networks and not is_within(address, self.networks):
            raise Forbidden(f"this client key may not be used from {address}", code="address_not_allowed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks. `name` is safe in logs; empty: nobody in particular, on this machine. `scope`: what one client keeps
    here no other finds, even one whose key has the same name. `guard`: None for a key that is good anywhere and always.
    """

    name: str = ""
    scope: str = field(default="local", compare=False, repr=False)
    is_keyed: bool = False
    is_strict: bool = False
    reach: Reach = EVERYTHING
    guard: Guard | None = None
    key: ClientKey | None = field(default=None, compare=False, repr=False)
    """As it is configured; None: there is none."""
    rates: Rates | None = field(default=None, compare=False)
    """Its own limits, else those of all keys; None: there are none."""

    @property
    def budgets(self) -> tuple[Budget, ...]:
        return () if self.key is None else self.key.budgets

    @classmethod
    def of(cls, key: ClientKey, general: Rates | None = None) -> Client:
        """`general`: the limits of all keys that have none of their own."""
        expires_at = moment_of(key.expires) if key.expires else None
        guard = Guard(expires_at=math.inf if expires_at is None else expires_at, networks=networks(key.networks))
        return cls(
            name=key.shown_name,
            scope=key.hash.removeprefix(HASH_PREFIX),
            is_keyed=True,
            is_strict=key.strict,
            reach=Reach(key.models, key.accounts),
            guard=None if guard == Guard() else guard,
            key=key,
            rates=_rates(key, general or Rates()) or None,
        )


def _rates(key: ClientKey, general: Rates) -> Rates:
    return Rates(
        requests_per_minute=key.requests_per_minute or general.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute or general.tokens_per_minute,
        concurrency=key.concurrency or general.concurrency,
    )


@dataclass(slots=True, kw_only=True)
class Visitor:
    """A request, as far as it says where it comes from. Nothing in it was said by a third party but `headers`."""

    peer: str
    """The address of the other end of the connection; never a forwarded header's word."""
    local: tuple[str, int]
    """The address and port that it connected to."""
    host: str
    """The Host header; empty when there is none."""
    headers: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    """Where the client is, as far as that can be believed (`address_of`); empty: at `peer`."""


def weakness(key: str) -> str | None:
    """Why nobody should be let in with this key; None: no objection."""
    if key.lower() in _SAMPLES or _PLACEHOLDER.fullmatch(key.lower()):
        return "it stands in documentation, where everybody can read it"
    if len(key) < KEY_CHARACTERS_MIN:
        return f"it is shorter than {KEY_CHARACTERS_MIN} characters and can be guessed"
    return None


def weakness_of(key: ClientKey) -> str | None:
    if key.api_key:
        return weakness(key.api_key.reveal())
    return weakness(_SAMPLES_BY_HASH.get(key.key_hash, key.key_hash))


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """The keys of one configuration. Found by SHA-256, so that neither timing nor a shared prefix tells anything."""

    _by_digest: Mapping[str, Client]
    _refused: Mapping[str, str]
    _digests: Mapping[str, str]
    """By the name that is shown of a key."""
    complaints: tuple[str, ...]
    """One line for each key that is refused because it is no secret; for the log at load."""
    is_closed: bool
    """Nobody gets in without a key, even where there is none."""

    @classmethod
    def of(cls, keys: Iterable[ClientKey], *, general: Rates | None = None, is_closed: bool = False) -> ClientKeys:
        """`general`: the limits of all keys that have none of their own."""
        by_digest: dict[str, Client] = {}
        refused: dict[str, str] = {}
        digests: dict[str, str] = {}
        complaints = []
        for index, each in enumerate(keys):
            client = Client.of(each, general)
            digests[client.name] = client.scope
            if fault := weakness_of(each):
                refused[client.scope] = fault
                complaints.append(f"api-keys[{index}] is refused: {fault}; take a long random one")
            else:
                by_digest[client.scope] = client
        return cls(by_digest, refused, digests, tuple(complaints), is_closed or bool(by_digest or refused))

    def __bool__(self) -> bool:
        return self.is_closed

    def clients(self) -> Collection[Client]:
        """Those that may come in, in the order of the configuration."""
        return self._by_digest.values()

    def find(self, key: str) -> Client | None:
        """Raises `AccessDenied` for a configured key that is no secret."""
        digest = _digest(key)
        self._check(digest)
        client = self._by_digest.get(digest)
        return client if client is not None and hmac.compare_digest(client.scope, digest) else None

    def named(self, name: str) -> Client:
        """Whoever has the key of that name. Raises as `find` does, and `LookupError` where there is none."""
        digest = self._digests[name]
        self._check(digest)
        return self._by_digest[digest]

    def _check(self, digest: str) -> None:
        if fault := self._refused.get(digest):
            raise AccessDenied(
                f"this key is refused: {fault}; put a long random one into api-keys", code="invalid_api_key"
            )

    def again(self, client: Client) -> Client:
        """Who came in earlier, as the keys are now. Raises `AccessDenied` where it may no more."""
        now = self._by_digest.get(client.scope) if self.is_closed else client
        if now is None:
            raise AccessDenied(
                "this client key is not known here any more; api-keys lists those that are", code="invalid_api_key"
            )
        return now


def admit(visitor: Visitor, keys: ClientKeys, origins: Collection[str], now: float = 0.0) -> Client:
    """`now`: Unix seconds. Raises `AccessDenied` or `Forbidden`, with a sentence that says what to do."""
    if keys:
        client = _admit_keyed(visitor, keys)
        if client.guard is not None:
            client.guard.check(visitor.address or visitor.peer, now)
        return client
    if not is_local(visitor):
        raise AccessDenied(
            "no client keys are configured, so only this machine is served, directly and by a loopback name; "
            "add api-keys to the configuration to serve others",
            code="missing_api_key",
        )
    if fault := _web_page(visitor, origins):
        raise Forbidden(f"{fault}; add the page's origin to server.cors-origins to let it in", code="foreign_origin")
    return Client()


def _admit_keyed(visitor: Visitor, keys: ClientKeys) -> Client:
    is_offered = False
    for key in _offered_keys(visitor):
        if key:
            is_offered = True
            if client := keys.find(key):
                return client
    if is_offered:
        raise AccessDenied("this client key is not known here; api-keys lists those that are", code="invalid_api_key")
    raise AccessDenied(
        "a client key is needed: send one of api-keys as Authorization: Bearer, x-api-key or x-goog-api-key",
        code="missing_api_key",
    )


def _offered_keys(visitor: Visitor) -> Iterator[str]:
    """In the order in which they are tried; the empty ones, too."""
    scheme, _, token = visitor.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield token.strip()
    for name in KEY_HEADERS:
        yield visitor.headers.get(name, "")
    yield visitor.query.get(KEY_PARAMETER, "")
    yield from protocol_keys(visitor.headers)


def protocol_keys(headers: Mapping[str, str]) -> list[str]:
    offered = (each.strip() for each in headers.get(PROTOCOL_HEADER, "").split(","))
    return [each.removeprefix(KEY_PROTOCOL) for each in offered if each.startswith(KEY_PROTOCOL)]


def check_origin(visitor: Visitor, origins: Collection[str]) -> None:
    """Raises `Forbidden`. Of a WebSocket, for which browsers ask no permission beforehand: with a key, too."""
    if _web_page(visitor, origins):
        raise Forbidden(
            f"a web page of {visitor.headers.get('origin', 'another site')[:255]!r} may not open a WebSocket here; "
            "add its origin to server.cors-origins to let it in",
            code="foreign_origin",
        )


def check_host(visitor: Visitor, allowed: Iterable[str]) -> None:
    """Raises `Misdirected`. This is what stops a rebound web page, which comes from loopback like everybody else.

    Loopback names and the address that was connected to need the right port, or one that they were allowed with (the
    near end of a tunnel); any other allowed name has the port that it was allowed with, or any.
    """
    if _is_ours(visitor.host.lower(), visitor.local, tuple(allowed)):
        return
    raise Misdirected(
        f"the Host {visitor.host[:255]!r} is none of this server's names; add it to server.allowed-hosts to allow it",
        code="host_not_allowed",
    )


@functools.lru_cache(maxsize=1024)
def _is_ours(host: str, local: tuple[str, int], allowed: tuple[str, ...]) -> bool:
    name, port = _split_port(host)
    address, local_port = local
    is_own = name in LOOPBACK_NAMES or name.strip("[]") == address
    if is_own and (port == str(local_port) or (port is None and local_port in _DEFAULT_PORTS)):
        return True
    spellings = {host, name} if not is_own else {host} if port is not None else set()
    return any(each.lower() in spellings for each in allowed if each not in _EVERYWHERE)


def _split_port(host: str) -> tuple[str, str | None]:
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not port.endswith("]") else (host, None)


def is_local(visitor: Visitor) -> bool:
    """From this machine, directly: peer and Host are loopback, and nothing says that somebody stands between."""
    return (
        is_loopback(visitor.peer)
        and _split_port(visitor.host.lower())[0] in LOOPBACK_NAMES
        and not any(_is_forwarding(name.lower()) for name in visitor.headers)
    )


def _is_forwarding(name: str) -> bool:
    return name.startswith("x-forwarded") or name in _FORWARDING


@functools.lru_cache(maxsize=1024)
def is_loopback(peer: str) -> bool:
    address = parsed(peer)
    return address is not None and address.is_loopback


def _web_page(visitor: Visitor, origins: Collection[str]) -> str | None:
    """Why this comes from a web page that may not spend this machine's accounts. Browsers say so in Origin or
    Sec-Fetch-Site; Node-based clients send ``sec-fetch-mode`` alone, which says nothing.
    """
    origin = visitor.headers.get("origin")
    if origin is not None and origin in origins:
        return None
    if origin is not None and origin.partition("://")[2] != visitor.host:
        return f"a web page of {origin[:255]!r} may not use this server without a key"
    if visitor.headers.get("sec-fetch-site", "none") in {"cross-site", "same-site"}:
        return "a web page of another site may not use this server without a key"
    return None


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
