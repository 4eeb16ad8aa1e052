"""What all logins have in common, and what each kind must tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import aiohttp

from auth.callback import Door
from auth.cli.process import CliProcess
from auth.flow import Deliver, Reason, ShowCode, Visit
from auth.identity import Identity
from auth.secret import Secret

_CALLBACK_TIMEOUT = aiohttp.ClientTimeout(total=60)
"""The CLI exchanges the code before it answers."""


class LoginFailed(Exception):
    """The message is one sentence without its stop, for the person who logs in."""

    def __init__(self, reason: Reason, why: str) -> None:
        self.reason = reason
        super().__init__(why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the person does now, and which answer is expected."""

    step: Visit | ShowCode
    state: Secret | None = None
    issuer: str = ""
    must_name_issuer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how a login takes place."""

    command: Sequence[str]
    """That starts the official CLI."""
    variables: Mapping[str, str]
    """That lead it to its home."""
    home: Path
    """New and private; it becomes the account's, or is removed."""
    ours: Mapping[str, str] = field(repr=False)
    """The environment to take from, by `auth.cli.process.INHERITED`."""
    is_device: bool = False
    has_browser: bool = True
    """Whether the browser runs on this machine, so that it reaches our loopback ports."""
    project: str = ""

    async def start(self, *arguments: str, variables: Mapping[str, str] | None = None) -> CliProcess:
        """Raises `Ended`."""
        return await CliProcess.start(
            [*self.command, *arguments],
            home=self.home,
            variables={**self.variables, **(variables or {})},
            ours=self.ours,
        )


class Driver(Protocol):
    """One login through one official CLI. The methods are called in this order; each may raise `LoginFailed`."""

    @property
    def door(self) -> Door | None:
        """The local port that we serve; None: the CLI needs none, or serves it itself."""
        ...

    @property
    def is_door_needed(self) -> bool:
        """Whether the login is in vain while somebody else has the port."""
        ...

    async def open(self) -> Offer: ...

    async def deliver(self, answer: Deliver) -> None:
        """While `completed` waits."""
        ...

    async def completed(self) -> None:
        """Returns when the CLI says that it is logged in."""
        ...

    async def identity(self) -> Identity:
        """Without a request to a model."""
        ...

    async def close(self) -> None:
        """Always called; the CLI is gone then."""
        ...


def state_of(url: str) -> Secret:
    """The state that the CLI put into its URL."""
    states = parse_qs(urlsplit(url).query).get("state", [])
    if len(states) != 1 or len(states[0]) < 20:
        raise LoginFailed(
            "failed", "the official CLI gave a login page without a state; this version of it is not known"
        )
    return Secret(states[0])


async def called_back(address: str, answer: Deliver) -> str:
    """As the browser would have come back to the CLI's own port. Where it leads to from there."""
    query = {"code": answer.code, "state": answer.state}
    async with (
        aiohttp.ClientSession(timeout=_CALLBACK_TIMEOUT) as session,
        session.get(address, params=query, allow_redirects=False) as response,
    ):
        return response.headers.get("Location", "")


def text_of(value: object) -> str:
    return value if isinstance(value, str) else ""
