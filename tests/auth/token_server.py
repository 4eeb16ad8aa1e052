"""A token endpoint on this machine that does what a test says, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from aiohttp import web
from aiohttp.test_utils import TestServer

Act: TypeAlias = Callable[[dict[str, str]], Awaitable[web.StreamResponse]]


async def grants(_form: dict[str, str]) -> web.Response:
    return web.json_response({"access_token": "access", "expires_in": 3600, "token_type": "Bearer"})


@dataclass(slots=True)
class TokenServer:
    act: Act = grants
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _server: TestServer = field(init=False)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._server = TestServer(app)
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("/token"))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        return await self.act(form)
