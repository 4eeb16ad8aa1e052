"""Whatever happens to a request, its client is told in its own dialect. Here stands the server's `except Exception`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from proxy.dispatch.inquiry import Refused, Report
from proxy.errors import AccessDenied, Malformed, ProxyError
from proxy.hub.events import Failure
from proxy.server.app import App
from proxy.server.exchange import Exchange
from proxy.server.routes import NoWebSocket, WrongMethod

UPGRADE_HEADERS = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
"""What goes with a 426 (RFC 9110 §15.5.22, RFC 6455 §4.4)."""


async def handle(app: App, request: web.BaseRequest) -> web.StreamResponse:
    """Raises CancelledError and ConnectionError only: the client is gone."""
    exchange = Exchange(app, request)
    app.exchanges.add(exchange)
    app.metrics.in_flight.inc()
    report: Report | None = None
    try:
        try:
            return await exchange.run()
        except Refused as refused:
            report = refused.report
            return await exchange.fail(refused.failure, refused.headers)
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
            if isinstance(error, ConnectionError) and _is_gone(request):
                exchange.abandon()
                raise
            app.log.exception("request.failed", request_id=exchange.request_id, exc_info=error)
            return await exchange.fail(_ours(exchange.request_id), ())
    finally:
        exchange.finish(report)
        app.metrics.in_flight.dec()
        app.exchanges.discard(exchange)
        if app.is_draining:
            request.protocol.close()


def _is_gone(request: web.BaseRequest) -> bool:
    """A transport is closing for a moment before it is lost, and refuses what is written then."""
    return request.transport is None or request.transport.is_closing()


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
