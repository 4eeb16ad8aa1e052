"""What aiohttp alone costs, which is what most gateways in Python begin with: every request goes on, every answer comes
back, nothing is looked at. `python passthrough.py PORT UPSTREAM [lean]`

Plain is what its documentation leads to: an application with a route, a session, asyncio's own loop. Lean is the least
that can be done with aiohttp: no application, four headers, whole answers in one piece, uvloop.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping

import aiohttp
import uvloop
from aiohttp import web

OF_ONE_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailers", "transfer-encoding", "upgrade", "host", "content-length"}
)
LEAN = ("authorization", "content-type", "accept", "user-agent")
BODY_BYTES_MAX = 1 << 30
SESSION = web.AppKey("session", aiohttp.ClientSession)


def passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in OF_ONE_HOP}


def plain(upstream: str) -> web.Application:
    async def handle(request: web.Request) -> web.StreamResponse:
        asked = request.app[SESSION].request(
            request.method, upstream + request.path_qs, data=await request.read(), headers=passed(request.headers)
        )
        async with asked as answer:
            response = web.StreamResponse(status=answer.status, headers=passed(answer.headers))
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as app[SESSION]:
            yield

    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


async def lean(port: int, upstream: str) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, read_bufsize=65536) as session:

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            headers = {name: value for name, value in request.headers.items() if name.lower() in LEAN}
            async with session.post(upstream + request.path, data=await request.read(), headers=headers) as answer:
                kind = {"Content-Type": answer.headers["Content-Type"]}
                if not kind["Content-Type"].startswith("text/event-stream"):
                    return web.Response(status=answer.status, headers=kind, body=await answer.read())
                response = web.StreamResponse(status=answer.status, headers=kind)
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
                return response

        server = web.Server(handle, access_log=None)
        await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, backlog=1024)
        await asyncio.Event().wait()


if __name__ == "__main__":
    own, behind = int(sys.argv[1]), f"http://127.0.0.1:{sys.argv[2]}"
    if sys.argv[3:] == ["lean"]:
        uvloop.run(lean(own, behind))
    else:
        web.run_app(plain(behind), host="127.0.0.1", port=own, backlog=1024, access_log=None, print=None)
