"""What aiohttp alone costs, which is what most gateways in Python begin with: every request goes on, every answer comes
back, nothing is looked at. `python passthrough.py PORT UPSTREAM`
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web

PASSED = ("authorization", "content-type", "accept", "user-agent")


async def serve(port: int, upstream: str) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, read_bufsize=65536) as session:

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            headers = {name: value for name, value in request.headers.items() if name.lower() in PASSED}
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
    uvloop.run(serve(int(sys.argv[1]), f"http://127.0.0.1:{sys.argv[2]}"))
