"""Whatever happens to a request, its client is told in its own dialect. Here stands the server's `except Exception`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from proxy.dispatch.inquiry import Refused
from proxy.errors import AccessDenied, Malformed, ProxyError
from proxy.hub.events import Failure
from proxy.server.answer import Answer
from proxy.server.app import App
from proxy.server.exchange import Exchange, Told
from proxy.server.express import Ride
from proxy.server.routes import NoWebSocket, WrongMethod
from proxy.server.visit import Visit
from proxy.wire.base import dumps

UPGRADE_HEADERS = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
"""What goes with a 426 (RFC 9110 §15.5.22, RFC 6455 §4.4)."""


async def handle(app: App, visit: Visit, ride: Ride | None = None) -> web.StreamResponse | None:
    """Answers; what the management API or a WebSocket have answered in aiohttp's way is given back. `ride`: how far it
    has come already.

    Raises CancelledError and ConnectionError only: the client is gone.
    """
    exchange = Exchange(app, visit, ride)
    app.exchanges.add(exchange)
    app.metrics.in_flight.inc()
    try:
        told = await _told(app, exchange)
        await _give(visit, told)
    except Exception as error:
        if visit.is_gone:
            exchange.abandon()
            raise ConnectionResetError("the client is gone") from error
        app.log.exception("answer.failed", request_id=exchange.request_id, exc_info=error)
        told = _plainly()
        await _give(visit, told)
    finally:
        exchange.finish()
        app.metrics.in_flight.dec()
        app.exchanges.discard(exchange)
        del exchange.task  # which keeps what it ends with, and that where it went: neither should wait for a collector
        if app.is_draining:
            visit.close_after()
    return None if isinstance(told, Answer) else told


async def _give(visit: Visit, told: Told) -> None:
    """What was not told piece by piece."""
    if isinstance(told, Answer) and not told.is_begun:
        await visit.give(told)


async def _told(app: App, exchange: Exchange) -> Told:
    try:
        return await exchange.run()
    except Refused as refused:
        return await exchange.refuse(refused)
    except ProxyError as error:
        answer = await exchange.fail(Failure.of(error), _headers(error))
        if isinstance(error, NoWebSocket):
            answer.headers.update(UPGRADE_HEADERS)
        return answer
    except RecursionError:
        return await exchange.fail(Failure.of(Malformed("the body is nested too deeply", code="invalid_json")), ())
    except asyncio.CancelledError:
        if exchange.stopped is None:
            exchange.abandon()
            raise
        exchange.task.uncancel()
        return await exchange.fail(exchange.stopped, ())
    except Exception as error:
        if isinstance(error, ConnectionError) and exchange.visit.is_gone:
            raise
        app.log.exception("request.failed", request_id=exchange.request_id, exc_info=error)
        return await exchange.fail(_ours(exchange.request_id), ())


def _headers(error: ProxyError) -> Iterable[tuple[str, str]]:
    """What HTTP wants beside the status."""
    if isinstance(error, WrongMethod):
        return [("Allow", error.allowed)]
    if isinstance(error, AccessDenied) and error.status == 401:
        return [("WWW-Authenticate", "Bearer")]
    return ()


def _ours(request_id: str) -> Failure:
    return Failure(
        kind="server",
        status=500,
        message=f"something went wrong inside the proxy; its log tells more under request id {request_id}",
        code="internal_error",
    )


def _plainly() -> Answer:
    """In nobody's dialect."""
    error = {"message": "something went wrong inside the proxy", "type": "server_error", "param": None}
    told = Answer(500, {"Content-Type": "application/json"}, dumps({"error": {**error, "code": "internal_error"}}))
    told.force_close()
    return told
