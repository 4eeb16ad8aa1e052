"""Keys of clients: who may come in, from where and until when, what they may use, and how much of it."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from auth.secret import Secret
from proxy.config import checks
from proxy.config.settings import Fault, Limits, setting

HASH_PREFIX = "sha256:"
KEY_PREFIX = "pk-"
KEY_BYTES = 32
NAME_CHARACTERS_MAX = 128
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_EXAMPLE_KEY = "a-key-that-you-made-up"
_RATE = Limits(low=0, high=10**12)
_CONCURRENCY = Limits(low=0, high=100_000)


def hash_of(key: str) -> str:
    """What stands in ``key-hash``. Keys are long and random, so that nothing slower is needed than SHA-256."""
    return HASH_PREFIX + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def new_key() -> str:
    """Long and random."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


def is_hash(text: str) -> bool:
    return bool(_HASH.fullmatch(text))


def moment_of(text: str) -> float | None:
    """Unix seconds of a date (its beginning) or a time, in UTC where it names no zone; None for what is neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def key_hash(value: str) -> Fault:
    if not value or is_hash(value):
        return None
    return "must be sha256: and 64 hexadecimal digits, as `proxy keys hash` prints it"


def key_name(value: str) -> Fault:
    if len(value) > NAME_CHARACTERS_MAX:
        return f"is longer than {NAME_CHARACTERS_MAX} characters"
    return (
        None if value.isprintable() and value == value.strip() else "holds what no name has: line breaks, outer blanks"
    )


def expiry(value: str) -> Fault:
    if not value or moment_of(value) is not None:
        return None
    return "must be a date such as 2027-01-31, or a time such as 2027-01-31T18:00:00Z"


def network(value: str) -> Fault:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        return f"must be an address or a network such as 10.0.0.0/8: {error}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """So much may be asked for; 0 means any number."""

    requests_per_minute: int = setting(0, "The most requests in any minute; 0: any number.", _RATE)
    tokens_per_minute: int = setting(0, "The most tokens of all kinds in any minute; 0: any number.", _RATE)
    concurrency: int = setting(0, "The most requests under way at a time; 0: any number.", _CONCURRENCY)

    def __bool__(self) -> bool:
        return bool(self.requests_per_minute or self.tokens_per_minute or self.concurrency)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    key: Rates = setting(Rates(), "Of each client key, where it has no limit of its own.")
    ip: Rates = setting(Rates(), "Of each address that clients come from; of IPv6, each /64.")
    session: Rates = setting(Rates(), "Of each conversation that a client names.")

    def __bool__(self) -> bool:
        return bool(self.key or self.ip or self.session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    per: Literal["day", "week", "month"] = setting(
        "month", "What it is for: days, weeks from Monday or months, in UTC."
    )
    tokens: int = setting(
        0, "The most tokens of all kinds; 0: any number.", Limits(low=0, high=10**15, example=2_000_000)
    )
    dollars: float = setting(
        0.0, "The most money, by prices.yaml; 0: any amount.", Limits(low=0, high=10**9, example=12.5)
    )
    quota_percent: int = setting(
        0,
        "The most of its accounts' own usage windows of that length (day: also those of hours); 0: all.",
        Limits(low=0, high=100, example=20),
    )

    def faults(self) -> Iterator[tuple[str, str]]:
        if not (self.tokens or self.dollars or self.quota_percent):
            yield "per", "needs tokens, dollars or quota-percent beside it: a budget without them does nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    PLAIN: ClassVar[str] = "api-key"

    api_key: Secret = setting(
        Secret(""),
        "What the client sends. It, or its hash, is needed.",
        Limits(check=checks.api_key, example=_EXAMPLE_KEY),
    )
    key_hash: str = setting(
        "",
        "Instead of the key: its SHA-256, as `proxy keys hash` prints it.",
        Limits(check=key_hash, example=hash_of(_EXAMPLE_KEY)),
    )
    name: str = setting(
        "",
        "Whose it is, in logs and figures; budgets go by it. Empty: a digest.",
        Limits(check=key_name, example="laptop"),
    )
    models: tuple[str, ...] = setting(
        (), "The only models it may ask for; * stands for anything.", Limits(check=checks.filled, example=["claude-*"])
    )
    accounts: tuple[str, ...] = setting(
        (),
        "The only accounts that serve it, by id, label, prefix or provider; * stands for anything.",
        Limits(check=checks.filled, example=["team-*"]),
    )
    expires: str = setting(
        "", "From then on it is refused: a date or a time, in UTC.", Limits(check=expiry, example="2030-01-31")
    )
    networks: tuple[str, ...] = setting(
        (), "The only addresses and networks it may come from.", Limits(check=network, example=["10.0.0.0/8", "::1"])
    )
    requests_per_minute: int = setting(0, "The most requests in any minute; 0: as limits.key says.", _RATE)
    tokens_per_minute: int = setting(0, "The most tokens of all kinds in any minute; 0: as limits.key says.", _RATE)
    concurrency: int = setting(0, "The most requests under way at a time; 0: as limits.key says.", _CONCURRENCY)
    budgets: tuple[Budget, ...] = setting((), "How much it may use in a day, a week or a month.")
    strict: bool = setting(
        default=False, sentence="Refuse this client's request where a translation would lose a part."
    )

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.api_key and not self.key_hash:
            yield "api-key", "is needed, or key-hash in its place"
        if self.api_key and self.key_hash and self.key_hash != hash_of(self.api_key.reveal()):
            yield "key-hash", "is not the hash of api-key: write one of them"

    def hints(self) -> Iterator[tuple[str, str]]:
        if checks.is_sample(self.api_key) or self.key_hash in _SAMPLE_HASHES:
            yield "api-key", "is the key of the documentation: it is refused until you make up your own"

    @property
    def hash(self) -> str:
        return self.key_hash or hash_of(self.api_key.reveal())

    @property
    def shown_name(self) -> str:
        """Safe in logs."""
        return self.name or f"key-{self.hash.removeprefix(HASH_PREFIX)[:8]}"


_SAMPLE_HASHES = frozenset(hash_of(key) for key in checks.SAMPLE_KEYS)
