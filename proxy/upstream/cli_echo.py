"""The side of a relay that a CLI sees: its request's body, and the provider's answer as the caller reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp import web

from proxy.upstream.base import Answer

BODY_BYTES_MAX = 1024**3


class Exchange(Protocol):
    """`is_cut`: the answer had no end."""

    @property
    def is_cut(self) -> bool: ...

    def echoed(self) -> AsyncIterator[bytes]: ...


async def echo(exchange: Exchange, answer: Answer, request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers=dict(answer.headers))
    try:
        await response.prepare(request)
        async for piece in exchange.echoed():
            await response.write(piece)
        if exchange.is_cut and request.transport is not None:
            request.transport.abort()
        else:
            await response.write_eof()
    except ConnectionError:
        pass  # the turn was interrupted
    return response


async def body_of(request: web.BaseRequest) -> bytes:
    pieces, size = [], 0
    async for piece in request.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, size)
    return b"".join(pieces)
