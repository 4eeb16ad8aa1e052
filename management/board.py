"""What the API sees of logins: tickets on a board, each a login that somebody has begun and follows from afar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from auth.flow import Step
from proxy.config.settings import JsonValue

_NO_CLIENT: Mapping[str, JsonValue] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginType:
    """`name`: as in ``type`` of the account's file. `port`: that a browser comes back to; 0: none known before.
    `has_browser`: otherwise there is only the device code. `takes_client`: it is through a client of the user's own.
    """

    name: str
    whose: str
    notice: str
    port: int = 0
    has_device: bool = True
    has_browser: bool = True
    takes_project: bool = False
    takes_client: bool = False


class Ticket(Protocol):
    """One login, from its begin until it is forgotten. `began`: Unix seconds."""

    @property
    def id(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def is_device(self) -> bool: ...

    @property
    def began(self) -> float: ...

    @property
    def step(self) -> Step: ...

    @property
    def url(self) -> str:
        """Of the page to sign in at, as soon as it is known."""
        ...

    @property
    def elsewhere(self) -> str:
        """The page for a browser on another machine, where it is not the same."""
        ...

    @property
    def code(self) -> str:
        """To be typed on the page, in a login by device code."""
        ...

    @property
    def prompt(self) -> str:
        """What may be pasted; empty: nothing."""
        ...

    @property
    def file(self) -> str:
        """Of the account, once it is there."""
        ...

    @property
    def is_new(self) -> bool:
        """False: the account was there, and is renewed."""
        ...


class Board(Protocol):
    def types(self) -> Sequence[LoginType]: ...

    def tickets(self) -> Sequence[Ticket]: ...

    def find(self, ticket_id: str) -> Ticket | None: ...

    async def begin(
        self,
        kind: str,
        *,
        is_device: bool,
        has_browser: bool,
        project: str,
        expected: str,
        client: Mapping[str, JsonValue] = _NO_CLIENT,
        renewed: str = "",
    ) -> Ticket:
        """Once its first step is known. `has_browser`: one that runs on this machine. Raises `auth.refusal.Refused`."""
        ...

    async def paste(self, ticket_id: str, text: str) -> bool:
        """Whether it counts; if not, the ticket's step says why."""
        ...

    def cancel(self, ticket_id: str) -> bool:
        """Whether there was anything to cancel."""
        ...
