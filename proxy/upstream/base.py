"""What an upstream is: something that takes a `Call` and gives an `Answer`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from proxy.upstream.begun import Begun
    from proxy.upstream.line import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """In seconds. `head`: from the last byte sent to the answer's status line. `idle`: between two reads."""

    connect: float = 10.0
    head: float = 600.0
    idle: float = 180.0
    total: float = 3600.0


_USUAL = Deadlines()


@dataclass(frozen=True, slots=True, kw_only=True)
class CliAccount:
    """In whose name an official CLI asks. `home`: the folder that the CLI keeps its login in; None: it is a key.
    `project`: that pays, at Google.
    """

    id: str
    home: Path | None = None
    project: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """How a call is said over a WebSocket, for where its provider takes one. `headers`: of the handshake; like those of
    the call they hold the credential. `previous`: the answer that it goes on from, where only the socket knows that on
    which it was told; empty: any will do. `is_prewarm`: nothing is to be generated, which HTTP cannot say.
    """

    line: Line
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    message: bytes = field(repr=False)
    previous: str = ""
    is_prewarm: bool = False


@dataclass(slots=True, kw_only=True)
class Call:
    """One request to a provider, ready to be sent. `headers` hold the credential: never log them.

    `proxy_url`: the egress proxy (http, https, socks5); None for none. `request_id`: of the client's request, for
    recordings; it is not sent. `executor`: who carries it out. Where that is an official CLI, it gets the `account`,
    and in `session` what names the client's conversation (unique over clients; empty: nothing does); `method`, `url`,
    `headers` and `body` are what the provider would be sent, and say what is asked for, and `model` of whom. `spoken`:
    None for a client that does not speak over a WebSocket.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    proxy_url: str | None = None
    deadlines: Deadlines = _USUAL
    request_id: str = field(default="", compare=False)
    executor: str = "http"
    model: str = ""
    operation: str = "generate"
    account: CliAccount | None = None
    session: str = field(default="", compare=False)
    is_resuming: bool = field(default=False, compare=False)
    """The client tells what is new, and names the conversation that it goes on."""
    spoken: Spoken | None = field(default=None, compare=False)
    begun: Begun | None = field(default=None, compare=False)
    """It has left already; whoever sends it goes on with that."""


class Answer(Protocol):
    """An answer whose head has arrived. Exactly one of `release` and `abort` ends it; both may be called again."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive; hop-by-hop and encoding headers are gone, the body is decoded."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `Silent` or `Broken`."""
        ...

    async def read(self, bytes_max: int) -> bytes:
        """The whole body. Raises `Broken` when it is longer."""
        ...

    async def release(self) -> None:
        """Done: the connection may be used again, if the body was read to its end."""
        ...

    def abort(self) -> None:
        """The client is gone or the answer is useless: the connection is closed at once and never used again."""
        ...


class Flowing(ABC):
    """An answer, or what is made of one, whose pieces can be taken where they come, without a task between. No
    protocol: to ask whether something is of one takes 20 µs.
    """

    __slots__ = ()

    @abstractmethod
    async def flow(self, take: Callable[[bytes], bool]) -> None:
        """Calls `take` with each piece that comes, until it gives False or there is something else to be done: its
        reader goes on as ever. May come back at once.
        """


class Upstream(Protocol):
    async def send(self, call: Call) -> Answer:
        """Raises `Unreachable` (nothing was sent), `Silent` (no head in time) or `Broken` (cut before the head)."""
        ...

    async def close(self) -> None: ...


class Prompt(Protocol):
    """An upstream that may be able to send at once."""

    def ready(self, call: Call) -> Ready | None:
        """For many calls that differ in their bodies alone. None: such calls are never sent at once."""
        ...


class Ready(Protocol):
    """A `Call` but for its body."""

    def begin(self, body: bytes, tell: Callable[[], None]) -> Begun | None:
        """`tell`: called whenever there is something to look at. None: nothing was sent, as that takes waiting."""
        ...
