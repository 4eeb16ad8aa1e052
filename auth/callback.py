"""The local port of a login: where the provider's page sends the browser back to, and a box to paste into.

It is there only while the login runs, on loopback only. Every page is static: nothing of a request stands in an answer,
and no query leads anywhere. Whether an answer counts is decided in `auth.flow`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from urllib.parse import parse_qs

from aiohttp import web

from auth import ports
from auth.flow import ANSWER_CHARACTERS_MAX, Answer

Take = Callable[[Answer], Awaitable[bool]]
"""Whether the answer counts."""
Paste = Callable[[str], Awaitable[bool]]

_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem}textarea{width:100%}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FORM = (
    '<form method="post" action="/paste"><p><label for="answer">Paste the code, or the address that the browser could '
    'not open:</label></p><p><textarea id="answer" name="answer" rows="4" autocomplete="off" required></textarea></p>'
    '<p><button type="submit">Finish the login</button></p></form>'
)


def _page(title: str, text: str, form: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{text}</p>{form}</html>"
    )


_RECEIVED = 200, _page("Received", "The login is being finished. You can close this page; the proxy tells how it ends.")
_BOX = 200, _page("A login is waiting", "Sign in on the provider's page first.", _FORM)
_REFUSED = 400, _page("Nothing was changed", "That is not the answer that this login is waiting for.", _FORM)
_ELSEWHERE = 404, _page("Nothing here", "This port only serves the login that is under way.")
_WRONG_HOST = 421, _page("Nothing here", "Open this page by the address that the proxy has shown.")
_WRONG_METHOD = 405, _page("Nothing here", "This is not how this page is asked.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """`path`: of the provider's callback; empty: the port only has the box."""

    port: int
    """0: any that is free."""
    path: str = ""
    when_open: Callable[[int], None] = lambda _port: None
    """Told the port that it is."""


@contextlib.asynccontextmanager
async def opened(door: Door, take: Take, paste: Paste) -> AsyncIterator[int]:
    """The port it has. Raises `PortTaken`."""
    sockets = ports.take(door.port)
    port = int(sockets[0].getsockname()[1])
    door.when_open(port)
    served = web.Server(_Doorman(door.path, port, take, paste).answer, access_log=None)
    servers: list[asyncio.Server] = []
    try:
        servers += [await _serve(served, each) for each in sockets]
        yield port
    finally:
        for server in servers:
            server.close()
        for each in sockets:
            each.close()
        await served.shutdown(1)  # what is being answered is answered


async def _serve(served: web.Server, listener: socket.socket) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(served, sock=listener)


@dataclass(frozen=True, slots=True)
class _Doorman:
    path: str
    port: int
    take: Take
    paste: Paste

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        status, page = await self._judge(request)
        answer = web.Response(status=status, text=page, content_type="text/html", charset="utf-8", headers=HEADERS)
        answer.force_close()  # nothing is held open when the login is over
        return answer

    async def _judge(self, request: web.BaseRequest) -> tuple[int, str]:
        hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        if request.headers.get("Host", "") not in hosts:
            return _WRONG_HOST
        path, _, query = request.raw_path.partition("?")
        match request.method, path:
            case "GET", "/" if not (self.path == "/" and query):
                return _BOX
            case "GET", self.path if self.path:
                return await self._callback(query)
            case "POST", "/paste":
                return await self._pasted(request) if _is_own(request, hosts) else _REFUSED
            case (("GET" | "HEAD"), _):
                return _ELSEWHERE
            case _:
                return _WRONG_METHOD

    async def _callback(self, query: str) -> tuple[int, str]:
        try:
            answer = Answer.of_query(query)
        except ValueError:  # more fields than any provider sends
            return _REFUSED
        return _RECEIVED if await self.take(answer) else _REFUSED

    async def _pasted(self, request: web.BaseRequest) -> tuple[int, str]:
        if request.content_length is None or request.content_length > ANSWER_CHARACTERS_MAX:
            return _REFUSED
        try:
            texts = parse_qs((await request.read()).decode(), max_num_fields=4).get("answer", [])
        except ValueError:
            return _REFUSED
        return _RECEIVED if len(texts) == 1 and await self.paste(texts[0]) else _REFUSED


def _is_own(request: web.BaseRequest, hosts: Collection[str]) -> bool:
    """Whether no other site's page has sent it. Our own pages have no referrer, and so the origin ``null``."""
    origin = request.headers.get("Origin", "null")
    is_origin_own = origin == "null" or origin.removeprefix("http://") in hosts
    return is_origin_own and request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
