"""Somebody who logs in: what they do at each step, and the browser they do it with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

import aiohttp

from auth.flow import ShowCode, Step, Visit
from proxy.accounts.logins import LoginRun

Act: TypeAlias = Callable[["Login", Visit | ShowCode], Awaitable[object]]


@dataclass(slots=True)
class Login:
    """One run, with everything that was shown on the way."""

    act: Act
    run: LoginRun = field(init=False)
    steps: list[Step] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)
    """What the browser was shown: status and page."""
    _acting: list[asyncio.Task[object]] = field(default_factory=list)

    def see(self, step: Step) -> None:
        self.steps.append(step)
        if isinstance(step, Visit | ShowCode):
            self._acting.append(asyncio.ensure_future(self.act(self, step)))

    async def finish(self) -> Step:
        step = await self.run.run()
        for each in self._acting:
            await each
        return step

    async def browse(self, address: str, **query: str) -> tuple[int, str]:
        self.answers.append(await browse(address, **query))
        return self.answers[-1]

    async def paste(self, text: str) -> bool:
        assert self.run.login is not None
        return await self.run.login.paste(text)


async def browse(address: str, **query: str) -> tuple[int, str]:
    """Status and page. Follows where it leads on this machine, as a browser would."""
    async with aiohttp.ClientSession() as session:
        async with session.get(address, params=query, allow_redirects=False) as response:
            answer = response.status, await response.text()
            ahead = response.headers.get("Location", "")
        if urlsplit(ahead).hostname in {"localhost", "127.0.0.1"}:
            async with session.get(ahead, allow_redirects=False):
                pass
    return answer


def asked_of(step: Visit | ShowCode) -> dict[str, str]:
    return asked_at(step.url)


def asked_at(url: str) -> dict[str, str]:
    """The query of a login page's address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def comes_back(code: str = "good-code", **instead: str) -> Act:
    """Signs in, and the page leads the browser back."""

    async def act(login: Login, step: Visit | ShowCode) -> None:
        asked = asked_of(step)
        query = {"code": code, **instead} if "error" not in instead else instead
        await login.browse(asked["redirect_uri"], **{"state": asked["state"], **query})

    return act


def pastes(code: str = "good-code", *, wrong: tuple[str, ...] = (), as_address: bool = False) -> Act:
    """First what is wrong, each of which must be refused."""

    async def act(login: Login, step: Visit | ShowCode) -> None:
        asked = asked_of(step)
        for text in wrong:
            assert not await login.paste(text)
        address = f"{asked['redirect_uri']}?code={code}&state={asked['state']}"
        assert await login.paste(address if as_address else f" {code}#{asked['state']} \r\n")

    return act


async def does_nothing(_login: Login, _step: Visit | ShowCode) -> None:
    pass
