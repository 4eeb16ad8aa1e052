"""What is said between the owner and a follower. Times of the pool are on the machine's monotonic clock, which all its
processes share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import msgspec

from auth.quota import Window
from proxy.observe.casebook import Case
from proxy.observe.usage import Used
from proxy.providers.base import Model

UPGRADED = 3
"""A follower's exit code, where the program on the disk is another one than the owner's."""
Sockaddr: TypeAlias = tuple[str | int, ...]


class Message(msgspec.Struct, kw_only=True, tag=True, omit_defaults=True):
    """Each kind has its own name on the way."""

    brings: ClassVar[bool] = False
    """A socket goes with it."""


# from the owner


class Papers(Message):
    """`config`: the file's bytes, of which `host` and `port` may be overruled. `keys`: hash and name of those that
    stand in a file of their own; None: there is no such file. `files`: what the files of the auth-dir say, by name.
    `tokens`: of which of them there is a token (empty), or why there is none. `lists`: of models, by account.
    `is_real`: accounts of real providers, asked for real.
    """

    number: int
    config: bytes
    host: str
    port: int
    keys: list[tuple[str, str]] | None = None
    files: dict[str, dict[str, Any]] = {}
    tokens: dict[str, str] = {}
    lists: dict[str, tuple[Model, ...]] = {}
    is_real: bool = True
    is_debug: bool = False


class Listen(Message):
    """Where: family and address of each socket."""

    sockets: list[tuple[int, Sockaddr]]


class Ask(Message):
    """For everything that it has to say until now; `Said` follows it."""

    number: int


class Leave(Message):
    """Once: when all is answered. Twice: now."""


# from a follower


class Following(Message):
    """The papers of that number are in force."""

    number: int


class Listening(Message):
    pass


class Said(Message):
    number: int


class Handover(Message):
    """A client's connection. `data`: what was read of it, from the beginning of a request. `peer` and `local`: its two
    ends, where the socket does not know: it is one of a splice.
    """

    brings: ClassVar[bool] = True

    data: bytes
    peer: tuple[str, int] = ("", 0)
    local: tuple[str, int] = ("", 0)


class Booked(msgspec.Struct, frozen=True, array_like=True):
    """A request that is over. `limit`: the client's own that refused it."""

    used: Used
    limit: str | None = None


class Choice(msgspec.Struct, frozen=True, array_like=True):
    """A candidate: credential and model; and what stood against it, where it was not chosen."""

    credential: str
    model: str
    why: str = ""
    returns_at: float | None = None
    is_transient: bool = False
    is_quota: bool = False
    is_refused: bool = False
    is_busy: bool = False


class Decided(msgspec.Struct, frozen=True, array_like=True):
    request_id: str
    rule: str
    now: float
    chosen: Choice | None
    passed_over: tuple[Choice, ...] = ()


class Parcel(Message):
    """`lines`: of the log. `in_flight`: requests, now."""

    booked: list[Booked] = []
    lines: bytes = b""
    decided: list[Decided] = []
    in_flight: int = 0
    lost: int = 0
    """Requests of which nothing could be kept, as the owner did not take it."""


class Busy(Message):
    """How many requests each credential has under way there; those that have none are left out."""

    in_flight: dict[str, int]


class Failed(Message):
    case: Case


# both ways: news


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """What is held against a credential, or what it shares with others (`auth.book.Record`)."""

    until: float | None
    why: str
    is_transient: bool
    is_quota: bool
    is_refused: bool
    step: int
    window: str
    is_remembered: bool
    proven: int


class Held(Message):
    """Something was learnt against `owner`: a credential or, where `is_shared`, a provider or an address. `key`: of the
    attempt that taught it. `at`: when; 0: long ago.
    """

    owner: str
    model: str
    holding: Holding
    key: tuple[str, str]
    at: float
    is_shared: bool = False


class Eased(Message):
    """An attempt that began `at` that time has served, or fresher figures show room: what is left of what was held
    before. None: nothing.
    """

    owner: str
    model: str
    holding: Holding | None
    at: float
    key: tuple[str, str] | None = None
    is_shared: bool = False


class Read(Message):
    """Of a credential's usage windows. `most`: the share that may be used."""

    credential: str
    windows: list[Window]
    most: float


class Served(Message):
    """When credentials have served last."""

    at: dict[str, float]


class Wiped(Message):
    """The operator says so, or a new login. `model`: None: of all."""

    credential: str
    model: str | None = None


class Renewed(Message):
    """It has another token."""

    credential: str


class Placed(Message):
    """A conversation, or what else is bound to an account (`proxy.dispatch.affinity`)."""

    key: bytes
    credential: str
    model: str
    expires_at: float


class Thought(msgspec.Struct, frozen=True, array_like=True):
    """`proxy.hub.parts.Thinking`, with its residue."""

    sections: tuple[str, ...]
    signature: str | None
    is_redacted: bool
    origin: str | None
    wire: str = ""
    fields: Mapping[str, Any] = {}
    shape: Mapping[str, Any] = {}


class Kept(Message):
    """Signed thoughts that a client's wire has no room for (`proxy.dispatch.recall`)."""

    key: bytes
    thoughts: list[Thought]
    signature: str | None
    maker: str | None
    expires_at: float


News: TypeAlias = Held | Eased | Read | Served | Wiped | Renewed | Placed | Kept
FromOwner: TypeAlias = Papers | Listen | Ask | Leave | News
FromFollower: TypeAlias = Following | Listening | Said | Handover | Parcel | Busy | Failed | News
