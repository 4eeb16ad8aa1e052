"""What comes from the server, and what goes back to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.dispatch.reach import EVERYTHING, Reach
from proxy.dispatch.splice import Members
from proxy.errors import ProxyError
from proxy.hub.events import Failure
from proxy.hub.loss import Loss
from proxy.hub.request import Reasoning
from proxy.hub.response import Usage
from proxy.providers.base import Operation
from proxy.upstream.line import Line

if TYPE_CHECKING:
    from proxy.dispatch.own_key import OwnKey


@dataclass(frozen=True, slots=True)
class Tie:
    """To the credential that served the conversation so far. `is_hard`: no other can go on with it, as only that
    account's provider keeps it; else it is preferred while it is ready. `model`: the upstream's; empty: any.
    """

    credential: str
    is_hard: bool = False
    model: str = ""
    previous: str = ""
    """The answer that is gone on from, where its provider keeps it only as long as the socket is open."""

    def fits(self, key: tuple[str, str]) -> bool:
        """`key`: a candidate's."""
        return self.credential == key[0] and self.model in {"", key[1]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a client said it on a WebSocket of its own. `headers`: of its handshake, without its key and what belongs to
    the connection. `members`: of its message, as they came. `is_prewarm`: nothing is to be generated.
    """

    line: Line
    headers: Mapping[str, str]
    members: Members
    is_prewarm: bool = False


@dataclass(slots=True, kw_only=True)
class Inquiry:
    """One client request, as far as the server understands it. `body` is decoded, and untouched otherwise."""

    request_id: str
    wire: str
    """The client's."""
    operation: Operation
    model: str
    """As the client wrote it."""
    is_stream: bool
    body: bytes
    names: frozenset[str] | None = None
    """Of the members at the top of the body; None: nobody has looked."""
    headers: Mapping[str, str]
    """The client's, case-insensitive; the client's key is taken out."""
    query: Mapping[str, str]
    resource: str = ""
    """What the client's path names beside the model: a stored answer's id."""
    framing: str = "sse"
    """``sse``, ``json-array`` (Gemini without alt=sse), ``frames`` (Responses over a WebSocket: one a line)."""
    client: str = ""
    """The client key's name or digest, never the key."""
    reach: Reach = EVERYTHING
    """How far the client may go."""
    is_strict: bool = False
    """Refuse what a translation would lose."""
    tie: Tie | None = None
    envelope: bytes = b""
    """That `body` came in, whole, where it came in one (Code Assist)."""
    named: str | None = None
    """The session as `headers` name it (`proxy.dispatch.affinity`); None: nobody has looked."""
    session: str = ""
    """The client's name for its conversation, where that stands neither in `headers` nor in `body`."""
    is_session_told: bool = False
    """The client learns `session` from the answer."""
    reasoning: Reasoning | None = None
    """How much to think, where that stands beside the request; a suffix of the model's name beats it."""
    own_key: OwnKey | None = None
    """The client's own, which serves it instead of the accounts here."""
    said: Said | None = None
    """None: over HTTP."""


@dataclass(slots=True, kw_only=True)
class AttemptRecord:
    provider: str
    credential: str
    model: str
    status: int | None = None
    why: str = ""
    seconds: float = 0.0
    first_byte_seconds: float | None = None
    """From its own start to the first content; None: nothing of it reached the client."""
    usage: Usage | None = None


@dataclass(slots=True, kw_only=True)
class Report:
    """What happened to one exchange; filled in while it happens, complete when the body has ended. Never a secret."""

    request_id: str
    model_asked: str
    model_served: str | None = None
    fallback: str | None = None
    """The model that went on in place of the one that was asked for, as the catalogue has it."""
    provider: str | None = None
    wire: str | None = None
    """The provider's."""
    credential: str | None = None
    """Its id."""
    account: str | None = None
    """Its label."""
    is_relay: bool | None = None
    attempts: list[AttemptRecord] = field(default_factory=list)
    losses: tuple[Loss, ...] = ()
    usage: Usage | None = None
    finish: str | None = None
    failure: Failure | None = None
    first_byte_seconds: float | None = None
    """From the start of the exchange to the first byte of content."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """An answer that is past the first-content gate: from here on no failover.

    `body` gives bytes of the client's dialect, each chunk as it comes; when the upstream breaks it ends with the
    dialect's terminal error. Closing the iterator (``aclose``) aborts the upstream at once.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    """content-type, the upstream's allowlisted headers, our own ``x-proxy-*``."""
    body: AsyncIterator[bytes]
    report: Report


class Refused(Exception):
    """No answer: `failure` is to be rendered in the client's dialect. `headers`: ``retry-after`` and the like."""

    def __init__(self, failure: Failure, report: Report, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.report = report
        self.headers = headers

    @classmethod
    def because(cls, error: ProxyError, report: Report) -> Refused:
        return cls(Failure.of(error), report)
