"""One client request, from its head to its log line."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias, TypeVar

from aiohttp import WSCloseCode, web

from proxy.dispatch.inquiry import Inquiry, Outcome, Refused, Report
from proxy.dispatch.plain import comes_whole
from proxy.dispatch.pursuit import Pursuit
from proxy.errors import Forbidden, Malformed, ShuttingDown
from proxy.hub.events import Failure, Heartbeat
from proxy.hub.residue import JsonValue
from proxy.observe.metrics import CONTENT_TYPE
from proxy.server import code_assist, cors, following, health, routes, stored, wishes
from proxy.server.access import (
    Client,
    Visitor,
    admit,
    check_host,
    check_origin,
    is_local,
)
from proxy.server.answer import Answer
from proxy.server.app import App, Arrival, Management
from proxy.server.dress import dress
from proxy.server.ending import CLIENT_GONE, Ended, tell_end
from proxy.server.express import Ride
from proxy.server.limits import Grant
from proxy.server.own_answers import OWN_ANSWERS, own_answer
from proxy.server.reading import Reader
from proxy.server.responses_socket import ResponsesSocket
from proxy.server.stream import EVENT_STREAM, Pump, clean_headers, last_frame, whole
from proxy.server.terms import given_id, visitor_of
from proxy.server.visit import AiohttpVisit, Visit
from proxy.server.websocket import check_handshake
from proxy.wire.base import Reply, dumps

Told: TypeAlias = Answer | web.StreamResponse
"""What a client gets: by the management API and WebSockets told already, in aiohttp's way."""
R = TypeVar("R", bound="Answer | web.StreamResponse")

NOBODY = Client()
"""Before it is known who asks."""
_CALLERS = frozenset({"ask", "models", "model", "codex_models", "codex_usage", "code_assist", "socket", "stored"})
"""Kinds of routes that need a client key, and that a web page may be allowed to use."""
_PROBES = frozenset({"healthz", "livez", "readyz", "metrics"})
"""Kinds of routes that are asked every few seconds, for ever."""
_STREAM_HEADERS = (("Content-Type", EVENT_STREAM), ("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no"))


class Exchange:
    """Holds the edition of the configuration that it began with."""

    def __init__(self, app: App, visit: Visit, ride: Ride | None = None) -> None:
        """`ride`: what goes on here."""
        self._app = app
        self.visit = visit
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._edition = app.edition()
        task = asyncio.current_task()
        assert task is not None
        self.task: asyncio.Task[object] = task
        self._route = routes.UNROUTED
        self._wire = ""
        self._client = NOBODY
        self._grant: Grant | None = None
        self._inquiry: Inquiry | None = None
        self._report: Report | None = None
        self._response: Answer | web.StreamResponse | None = None
        self._pump: Pump | None = None
        self._socket: ResponsesSocket | None = None
        self._failure: Failure | None = None
        self._status = CLIENT_GONE
        self.stopped: Failure | None = None
        self._pursuit: Pursuit | None = None
        if ride is None:
            self.request_id = given_id(visit.headers) or app.new_id()
        else:
            self._take_over(ride)

    def _take_over(self, ride: Ride) -> None:
        self.request_id, self._began, self._edition = ride.request_id, ride.began, ride.terms.edition
        self._route, self._wire, self._client = ride.terms.route, ride.terms.route.wire, ride.terms.caller.client
        self._inquiry, self._grant, self._pursuit = ride.inquiry, ride.grant, ride.pursuit

    # The way in

    async def run(self) -> Told:
        """Raises what `proxy.server.handle` renders."""
        if self._inquiry is not None:
            return await self._answer(self._inquiry)
        visit = self.visit
        config = self._edition.config
        visitor = visitor_of(visit, config)
        check_host(visitor, (*config.server.allowed_hosts, config.host))
        path, headers = visit.path, visit.headers
        management = self._app.management
        if management is not None and management.covers(path):
            self._route = routes.MANAGEMENT
            return await self._manage(management, visitor)
        if cors.is_preflight(visit.method, headers):
            return self._preflight(path)
        match = routes.find(path, visit.method, headers, visitor.query)
        self._route, self._wire = match.route, match.route.wire
        kind = match.route.kind
        if kind in _CALLERS or (kind == "metrics" and not is_local(visitor)):
            self._client = admit(visitor, self._edition.keys, config.server.cors_origins, self._app.now())
        if kind == "ask":
            return await self._ask(match, visitor.address)
        if kind == "stored":
            return await self._stored(match)
        if kind == "socket":
            check_origin(visitor, config.server.cors_origins)
            return await self._converse(visitor.address)
        return await self._answer_here(match, visitor)

    def _preflight(self, path: str) -> Answer:
        headers = self.visit.headers
        match = routes.find(path, headers["access-control-request-method"], headers)
        if match.route.kind not in _CALLERS:
            raise routes.WrongMethod(path, "OPTIONS", [match.route.method])
        self._route, self._wire = match.route, match.route.wire
        allowed = cors.preflight_headers(headers, self._edition.config.server.cors_origins)
        return self._dressed(Answer(204, allowed, b""))

    async def _answer_here(self, match: routes.Match, visitor: Visitor) -> Answer:
        app = self._app
        told = OWN_ANSWERS.get(match.route.kind)
        if told is not None:
            content = told(app, self._edition.within(self._client.reach), match, visitor.headers)
            return self._dressed(own_answer(content, match.route.kind, visitor.headers))
        match match.route.kind:
            case "metrics":
                if self._client.reach.accounts:
                    raise Forbidden("these figures are of all accounts, and this client key sees only some of them")
                exposition = await app.metrics.exposition()
                return self._dressed(Answer(200, {"Content-Type": CONTENT_TYPE}, exposition))
            case "readyz":
                readiness = health.readiness(app)
                app.readiness_told_at = self._loop.time()
                if app.is_draining:
                    app.draining_told.set()
                return self._json(200 if readiness == "ready" else 503, {"status": readiness})
            case "health" if visitor.query.get("detail", "") in {"1", "true"}:
                if is_local(visitor):
                    return self._json(200, health.detail(app))
                reach = admit(visitor, self._edition.keys, (), self._app.now()).reach
                return self._json(200, health.detail(app, self._edition.within(reach) if reach.accounts else None))
            case _:
                return self._json(200, {"status": "ok"})

    async def _manage(self, management: Management, visitor: Visitor) -> web.StreamResponse:
        visit = self.visit
        assert isinstance(visit, AiohttpVisit), "the front hands these on"
        arrival = Arrival(
            peer=(visitor.peer, visit.peer[1] if visit.peer else 0),
            address=visitor.address,
            is_local=is_local(visitor),
            request_id=self.request_id,
            dressed=self._dressed,
        )
        response = await management.answer(visit.request, arrival)
        return response if response.prepared else self._dressed(response)

    # The way through

    async def _ask(self, match: routes.Match, address: str) -> Answer:
        inquiry = self._inquiry = await self._reader().read(match)
        inquiry = self._inquiry = wishes.heeded(inquiry, self._app.desk(self._loop.time()))
        self._grant = self._app.limits.admit(self._edition.caller(self._client, address), inquiry)
        return await self._answer(inquiry)

    async def _answer(self, inquiry: Inquiry) -> Answer:
        outcome = await self._open(inquiry)
        outcome.headers += wishes.told(inquiry)
        self._report = outcome.report
        if 200 <= outcome.status < 300 and (inquiry.is_stream or not comes_whole(_content_type(outcome))):
            return await self._stream(inquiry, outcome)
        return await self._give(outcome)

    async def _open(self, inquiry: Inquiry) -> Outcome:
        if self._pursuit is not None and self._app.starter is not None:
            return await self._app.starter.resume(self._pursuit)
        if not following.concerns(inquiry):
            return await self._app.dispatcher.open(inquiry)
        turn = following.Following(
            self._app,
            inquiry,
            owner=self._client.scope,
            bytes_max=self._edition.config.server.body_bytes_max,
            now=self._loop.time(),
        )
        return await turn.open()

    async def _stored(self, match: routes.Match) -> Answer:
        if self.visit.query.get("stream", "").lower() == "true":
            raise Malformed("a stored response is given whole here, not as a stream", path="stream", code="unsupported")
        operation = match.route.operation
        outcome = await stored.open_stored(
            self._app,
            match.model or "",
            operation,
            lambda told: self._reader().about(told, match.route, operation),
            owner=self._client.scope,
            now=self._loop.time(),
        )
        self._report = replace(outcome.report, request_id=self.request_id)
        return await self._give(outcome)

    async def _give(self, outcome: Outcome) -> Answer:
        content = await whole(outcome.body)
        if self._route.is_enveloped and self._route.operation == "generate":
            content = code_assist.wrap(content, self.request_id)
        return self._dressed(Answer(outcome.status, clean_headers(outcome.headers), content))

    def _reader(self) -> Reader:
        return Reader(visit=self.visit, config=self._edition.config, client=self._client, request_id=self.request_id)

    async def _stream(self, inquiry: Inquiry, outcome: Outcome) -> Answer:
        headers = clean_headers(outcome.headers)
        for name, value in _STREAM_HEADERS if inquiry.framing == "sse" else _STREAM_HEADERS[1:]:
            headers.setdefault(name, value)
        response = self._dressed(Answer(outcome.status, headers))
        self._pump = Pump(
            self.visit,
            response,
            heartbeat=lambda: self._in_band(Heartbeat()) if inquiry.is_stream else b"",
            keepalive_seconds=self._edition.config.streaming.keepalive_seconds,
            silent_since=self._began,
        )
        await self._pump.run(
            code_assist.Wrapped(outcome.body, self.request_id) if self._route.is_enveloped else outcome.body
        )
        return response

    async def _converse(self, address: str) -> web.StreamResponse:
        """Over a WebSocket: each answer has its own log line and figures there."""
        app, visit = self._app, self.visit
        assert isinstance(visit, AiohttpVisit), "the front hands these on"
        check_handshake(visit.request)
        if app.is_draining:
            raise ShuttingDown("the server is shutting down; try again", retry_after_seconds=5)
        conversation = ResponsesSocket(
            app,
            self._edition,
            self._edition.caller(self._client, address),
            headers=self._reader().headers,
            is_strict=self._reader().is_strict,
            owner=f"websocket {app.new_id()}",
        )
        await self._dressed(conversation.socket).open(visit.request)
        self._socket = conversation
        app.metrics.in_flight.dec()  # what is in flight is its answers
        try:
            await conversation.run()
        finally:
            app.metrics.in_flight.inc()
        return conversation.socket

    def _in_band(self, event: Heartbeat | Failure) -> bytes:
        """In the client's dialect, by a renderer of its own: the answer's may be anywhere."""
        assert self._inquiry is not None
        reply = Reply(
            model=self._inquiry.model,
            request_id=self.request_id,
            created=int(self._app.now()),
            framing=self._inquiry.framing,
        )
        renderer = self._app.wire(self._inquiry.wire).stream_renderer(reply)
        rendered = renderer.feed(event) + (renderer.finish() if isinstance(event, Failure) else b"")
        return code_assist.wrap_frames(rendered, self.request_id) if self._route.is_enveloped else rendered

    # The way out

    def stop(self, failure: Failure) -> None:
        """The server shuts down: ends with `failure` told in the client's dialect."""
        self.stopped = failure
        self.task.cancel()

    @property
    def under_way(self) -> int:
        return 1 if self._socket is None else self._socket.under_way

    def leave(self) -> None:
        """The server takes nothing new: a WebSocket ends with what is under way on it."""
        if self._socket is not None:
            self._socket.leave()
        elif self._route is routes.MANAGEMENT and self._response is not None:
            self.task.cancel()  # live events have no end of their own

    def abandon(self) -> None:
        """The client is gone."""
        self._status = CLIENT_GONE

    async def refuse(self, refused: Refused) -> Told:
        self._report = refused.report
        return await self.fail(refused.failure, refused.headers)

    async def fail(self, failure: Failure, headers: Iterable[tuple[str, str]]) -> Told:
        """Tells it: as a whole answer, or within the stream that has begun."""
        failure = replace(failure, request_id=failure.request_id or self.request_id)
        self._failure = failure
        if self._socket is not None:
            await self._socket.end(
                failure, WSCloseCode.INTERNAL_ERROR if self.stopped is None else WSCloseCode.GOING_AWAY
            )
            return self._socket.socket
        response = self._response
        if isinstance(response, Answer) and response.is_begun and self._pump is not None:
            self.visit.close_after()
            if self._inquiry is not None and not self._inquiry.is_stream:
                self.visit.abort()  # sound has no words for what went wrong
                return response
            await self.visit.write(self._last_words(failure))
            await self.visit.end()
            return response
        wire = self._wire or routes.dialect(self.visit.path, self.visit.headers)
        status = failure.status if 400 <= failure.status <= 599 else 500
        told: JsonValue = self._app.wire(wire).render_error(failure)
        if self._inquiry is not None and self._inquiry.framing == "json-array":
            told = [told]  # Google's streams without alt=sse are arrays, errors too
        answer = self._json(status, told)
        answer.headers.update(clean_headers(headers))
        if self._route is routes.UNROUTED and status in {400, 421}:
            answer.force_close()  # whatever follows on this connection is not meant for us either
        if failure.retry_after_seconds is not None and "retry-after" not in answer.headers:
            answer.headers["Retry-After"] = str(max(1, math.ceil(failure.retry_after_seconds)))
        return answer

    def _last_words(self, failure: Failure) -> bytes:
        """After content the stream is open already: an array goes on, and of frames only the last is news."""
        assert self._inquiry is not None
        if self._pump is None or not self._pump.has_content:
            return self._in_band(failure)
        if self._inquiry.framing == "json-array":
            return b"," + dumps(self._app.wire(self._inquiry.wire).render_error(failure)) + b"]"
        return last_frame(self._in_band(failure))

    def _json(self, status: int, content: JsonValue) -> Answer:
        return self._dressed(Answer(status, {"Content-Type": "application/json"}, dumps(content)))

    def _dressed(self, response: R) -> R:
        """With the headers that every answer has."""
        origins = self._edition.config.server.cors_origins
        dress(
            response.headers,
            request_id=self.request_id,
            wire=self._wire,
            cors=cors.answer_headers(self.visit.headers, origins) if self._route.kind in _CALLERS else {},
            grant=self._grant,
        )
        if self._app.is_draining:
            response.force_close()
        self._response = response
        self._status = response.status
        return response

    def finish(self) -> None:
        """The log line and the figures."""
        seconds = self._loop.time() - self._began
        if self._socket is not None:
            self._app.log.info(
                "websocket.closed", request_id=self.request_id, client=self._client.name, seconds=round(seconds, 4)
            )
            return
        report = self._report
        if report is None:
            report = Report(request_id=self.request_id, model_asked=self._inquiry.model if self._inquiry else "")
        ended = Ended(
            route=self._route.label,
            status=self._status,
            seconds=seconds,
            client=self._client.name,
            failure=self._failure,
            is_probe=self._route.kind in _PROBES,
            inquiry=self._inquiry,
            grant=self._grant,
        )
        tell_end(self._app, report, ended)


def _content_type(outcome: Outcome) -> str:
    return next((value for name, value in outcome.headers if name == "content-type"), "")
