"""The Responses API over a WebSocket: requests come as messages, each event of an answer is a message.

Each ``response.create`` goes through the dispatcher like a POST, so that any provider can serve it, whatever it speaks.
One that takes WebSockets itself is asked on one of this connection's own (`proxy.upstream.line`), and gets what is new.
What was said on the connection is remembered (`proxy.server.archive`), for all others get the whole. An answer is
remembered before its last event is sent, and in one step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from aiohttp import WSCloseCode
from multidict import CIMultiDict

from proxy.dispatch import turn_state
from proxy.dispatch.genuine import is_genuine
from proxy.dispatch.inquiry import Inquiry, Outcome, Refused, Report, Said, Tie
from proxy.errors import Malformed, ProxyError, ShuttingDown
from proxy.hub.events import Failure, ResponseEnd, ResponseStart
from proxy.hub.response import Finish, Usage
from proxy.providers import openai
from proxy.server.access import Client
from proxy.server.app import App, Edition
from proxy.server.archive import Told
from proxy.server.continuation import Turn, is_stored, open_turn, turn_of
from proxy.server.creation import Creation, Steering, mark_of, read_message, said_lane
from proxy.server.ending import Ended, tell_end
from proxy.server.lanes import Lanes
from proxy.server.limits import Caller, Grant
from proxy.server.scribe import Scribe
from proxy.server.stream import close
from proxy.server.websocket import WebSocket
from proxy.server.wishes import heeded
from proxy.upstream.line import Line
from proxy.wire.base import Reply, dumps, expect_object, loads

WIRE = "openai_responses"
LABEL = "/v1/responses (WebSocket)"
"""In logs and figures: each answer counts as a request."""
PING_SECONDS = 30.0
"""Where the configuration wants no heartbeats: only to see who is still there."""
SILENCE_SECONDS_MAX = 120.0
SILENT_PINGS_MAX = 3
"""Without a single byte of the client's, pongs included, and after so many pings: nobody is there any more."""
IDLE_SECONDS_MAX = 3600.0
"""Without a request."""
_CLIENT_GONE = 499
_TOO_DEEP = Failure.of(Malformed("the message is nested too deeply", code="invalid_json"))


@dataclass(eq=False, slots=True, kw_only=True)
class _Answering:
    """One answer under way."""

    request_id: str
    model: str
    mark: bytes
    began: float
    scribe: Scribe = field(default_factory=Scribe)
    report: Report
    failure: Failure | None = None
    inquiry: Inquiry | None = None
    grant: Grant | None = None
    is_over: bool = False


class ResponsesSocket:
    """One for each connection. `run` once, and `end` when that was interrupted."""

    def __init__(
        self, app: App, edition: Edition, caller: Caller, *, headers: Mapping[str, str], is_strict: bool, owner: str
    ) -> None:
        """`headers`: the client's, without its key. `owner`: of this connection's memory; no other may have it."""
        self._app = app
        self._edition = edition
        self._caller = caller
        self._handshake = _without_connection(headers)
        self._headers = _as_for_http(self._handshake)
        self._is_codex = is_genuine(openai.PROVIDER, self._handshake)
        self._line = Line()
        self._is_strict = is_strict
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._wire = app.wire(WIRE)
        self._bytes_max = edition.config.server.body_bytes_max
        self._answering: set[_Answering] = set()
        self._lanes: Lanes | None = None
        self._group: asyncio.TaskGroup | None = None
        self._credential = ""
        self._is_leaving = False
        self._active_at = self._loop.time()
        self.socket = WebSocket(bytes_max=self._bytes_max, complaint=self._complaint)

    async def run(self) -> None:
        """After the handshake, until the connection is closed."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._lanes = Lanes(self._group, self._answer, bytes_max=self._bytes_max, at_rest=self._at_rest)
                pulse = self._group.create_task(self._pulse())
                await self._listen(self._lanes)
                pulse.cancel()
                self._lanes.cancel()
        finally:
            self._group = None
            self._line.close()
            self._app.archive.forget_all(self._owner)

    @property
    def under_way(self) -> int:
        return len(self._answering)

    @property
    def _client(self) -> Client:
        return self._caller.client

    def leave(self) -> None:
        """The server goes: nothing new is begun, and the connection ends with what is under way."""
        self._is_leaving = True
        if self._lanes is not None and not self._lanes.is_busy:
            self._go()

    def _at_rest(self) -> None:
        self._active_at = self._loop.time()
        if self._is_leaving:
            self._go()

    def _go(self) -> None:
        """In a task of its own: the client has a while to say goodbye, too."""
        if self._group is not None:
            self._group.create_task(self.socket.close(code=WSCloseCode.GOING_AWAY))

    async def end(self, failure: Failure, code: int) -> None:
        """Tells everybody who still waits, and closes."""
        with suppress(ConnectionError):
            for answering in self._answering:
                await self.socket.send(self._last_words(answering, failure))
            if not self._answering and code != WSCloseCode.GOING_AWAY:
                await self.socket.send(self._complaint(failure))
        await self.socket.close(code=code)

    async def _pulse(self) -> None:
        seconds = self._edition.config.streaming.keepalive_seconds or PING_SECONDS
        while True:
            await asyncio.sleep(seconds)
            now = self._loop.time()
            if self.socket.silence(now) > max(SILENCE_SECONDS_MAX, SILENT_PINGS_MAX * seconds):
                self.socket.cut()
                return
            is_busy = self._lanes is not None and self._lanes.is_busy
            if not is_busy and now - self._active_at > IDLE_SECONDS_MAX:
                self._go()
                return
            with suppress(ConnectionError):
                await self.socket.ping()

    # What the client says

    async def _listen(self, lanes: Lanes) -> None:
        with suppress(ConnectionError):
            while True:
                try:
                    data = await self.socket.take()
                except Malformed as error:
                    await self._send(self._complaint(Failure.of(error)))
                    continue
                if data is None:
                    return
                await self._heed(data, lanes)

    async def _heed(self, data: bytes, lanes: Lanes) -> None:
        self._active_at = self._loop.time()
        try:
            event = await read_message(data)
            if event is None:
                return
            if isinstance(event, Steering):
                await self._send(self._steer_failed(event))
                return
            if self._is_leaving:
                raise ShuttingDown("the server is shutting down; try again", retry_after_seconds=5)
            lanes.add(event)
        except ProxyError as error:
            await self._send(self._complaint(Failure.of(error)), mark_of(said_lane(data)))
        except RecursionError:
            await self._send(self._complaint(_TOO_DEEP), mark_of(said_lane(data)))

    def _steer_failed(self, steering: Steering) -> bytes:
        is_known = any(each.scribe.id == steering.previous for each in self._answering if each.scribe.id)
        code = "steering_not_supported" if is_known else "response_not_found"
        message = (
            "an answer cannot be steered here; send the input with the next response.create"
            if is_known
            else "no such response is being made on this connection"
        )
        return dumps({
            "type": "response.steer.failed",
            "sequence_number": 0,
            "steer": {"previous_response_id": steering.previous, "input": steering.input},
            "error": {"type": "invalid_request_error", "code": code, "message": message},
        })  # fmt: skip

    # What it is answered

    async def _answer(self, creation: Creation) -> None:
        request_id = self._app.new_id()
        answering = _Answering(
            request_id=request_id,
            model=creation.model,
            mark=creation.mark,
            began=self._loop.time(),
            report=Report(request_id=request_id, model_asked=creation.model),
        )
        self._answering.add(answering)
        self._app.metrics.in_flight.inc()
        try:
            await self._serve(creation, answering)
            answering.is_over = True
        except Refused as refused:
            answering.report = refused.report
            await self._tell_failure(answering, refused.failure)
        except ProxyError as error:
            await self._tell_failure(answering, Failure.of(error))
        except RecursionError:
            await self._tell_failure(answering, _TOO_DEEP)
        except ConnectionError:
            if self._lanes is not None:
                self._lanes.cancel()  # the client is gone: nobody waits for the others either
        finally:
            self._finish(answering)

    async def _serve(self, creation: Creation, answering: _Answering) -> None:
        view = self._app.archive.view(self._owner, self._client.scope, now=self._loop.time())
        turn = turn_of(creation.fields, view, bytes_max=self._bytes_max, is_live=self._line.knows)
        must_store = is_stored(creation.fields)
        self._caller = self._app.edition().again(self._caller, self._app.now())
        inquiry = self._inquiry(turn, answering, creation)
        if not creation.is_prewarm:
            answering.grant = self._app.limits.admit(self._caller, inquiry)
        elif self._caller.client.budgets or self._caller.subjects(inquiry):
            await self._prepare(turn, answering, is_stored=must_store)  # who has limits would not see it counted
            return
        try:
            outcome = await open_turn(self._app.dispatcher, turn, lambda each: self._inquiry(each, answering, creation))
        except Refused:
            if not creation.is_prewarm:
                raise
            await self._prepare(turn, answering, is_stored=must_store)
            return
        answering.report = outcome.report
        try:
            await self._pass(outcome, turn, answering, is_stored=must_store)
        finally:
            await close(outcome.body)

    async def _pass(self, outcome: Outcome, turn: Turn, answering: _Answering, *, is_stored: bool) -> None:
        scribe, report = answering.scribe, outcome.report
        if self._is_codex and (state := dict(outcome.headers).get(turn_state.HEADER)):
            await self._send(turn_state.event(state), answering.mark)  # its handshake was over before ours began
        async for chunk in outcome.body:
            for frame in chunk.splitlines():
                if scribe.read_frame(frame):
                    told = turn.told(scribe, report, is_stored=is_stored, is_live=self._line.knows(scribe.id))
                    self._remember(told, is_stored=is_stored)
                await self._send(frame, answering.mark)
        if report.credential and (report.is_relay or self._edition.config.routing.session_affinity):
            # It can read its own thoughts, and has the conversation's beginning in its cache.
            self._credential = report.credential

    def _inquiry(self, turn: Turn, answering: _Answering, creation: Creation) -> Inquiry:
        tie = turn.tie or (Tie(self._credential) if self._credential else None)
        said = Said(
            line=self._line,
            headers=self._handshake,
            members=creation.members,
            is_prewarm=creation.is_prewarm,
        )
        state = turn_state.brought_in(turn.body)
        inquiry = Inquiry(
            request_id=answering.request_id,
            wire=WIRE,
            operation="generate",
            model=answering.model,
            is_stream=True,
            body=turn.body,
            headers=CIMultiDict(self._headers, **{turn_state.HEADER: state}) if state else self._headers,
            query={},
            framing="frames",
            client=self._client.name,
            reach=self._client.reach,
            is_strict=self._is_strict,
            tie=tie,
            said=said,
        )
        desk = replace(self._app.desk(self._loop.time()), new_id=lambda: self._owner)  # one session, unless it is named
        answering.inquiry = heeded(inquiry, desk)
        return answering.inquiry

    async def _prepare(self, turn: Turn, answering: _Answering, *, is_stored: bool) -> None:
        """Nothing is to be generated, and no provider can be told so: what was said is kept, under the id of an answer
        without output.
        """
        renderer = self._wire.stream_renderer(self._reply(answering))
        told = renderer.feed(ResponseStart(id="", model=answering.model))
        told += renderer.feed(ResponseEnd(finish=Finish("stop"), usage=Usage()))
        for frame in told.splitlines():
            answering.scribe.read_frame(frame)
        scribe = answering.scribe
        self._remember(turn.prepared(scribe.id, scribe.response, answering.model), is_stored=is_stored)
        for frame in told.splitlines():
            await self._send(frame, answering.mark)

    def _reply(self, answering: _Answering) -> Reply:
        return Reply(
            model=answering.model, request_id=answering.request_id, created=int(self._app.now()), framing="frames"
        )

    # What is remembered

    def _remember(self, told: Told | None, *, is_stored: bool) -> None:
        if told is None:
            return
        archive, now = self._app.archive, self._loop.time()
        archive.keep(self._owner, told, now)
        if is_stored:
            archive.keep(self._client.scope, told, now)

    # How it ends

    async def _tell_failure(self, answering: _Answering, failure: Failure) -> None:
        answering.failure = failure
        with suppress(ConnectionError):
            await self.socket.send(self._last_words(answering, failure))
            answering.is_over = True

    def _last_words(self, answering: _Answering, failure: Failure) -> bytes:
        failure = replace(failure, request_id=failure.request_id or answering.request_id)
        renderer = self._wire.stream_renderer(self._reply(answering))
        if not answering.scribe.id:
            return _marked(renderer.feed(failure), answering.mark)
        renderer.feed(ResponseStart(id=answering.scribe.id, model=answering.model))
        frame = expect_object(loads(renderer.feed(failure)), "the frame")
        frame["sequence_number"] = answering.scribe.sequence + 1
        expect_object(frame["response"], "response")["id"] = answering.scribe.id
        return _marked(dumps(frame), answering.mark)

    def _complaint(self, failure: Failure) -> bytes:
        return self._wire.stream_renderer(Reply(model="", request_id="", framing="frames")).feed(failure).strip()

    async def _send(self, frame: bytes, mark: bytes = b"}") -> None:
        await self.socket.send(_marked(frame, mark))

    def _finish(self, answering: _Answering) -> None:
        app, report = self._app, answering.report
        if answering.is_over:
            self._answering.discard(answering)
        failure = report.failure or answering.failure
        status = 200 if answering.is_over else _CLIENT_GONE
        ended = Ended(
            route=LABEL,
            status=status if failure is None else failure.status,
            seconds=self._loop.time() - answering.began,
            client=self._client.name,
            failure=failure,
            inquiry=answering.inquiry,
            grant=answering.grant,
        )
        tell_end(app, report, ended)
        app.metrics.in_flight.dec()


def _marked(frame: bytes, mark: bytes) -> bytes:
    frame = frame.strip()
    return frame if mark == b"}" else frame[:-1] + mark


def _without_connection(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in {"connection", "upgrade"} and not name.lower().startswith("sec-websocket-")
    )


def _as_for_http(handshake: CIMultiDict[str]) -> Mapping[str, str]:
    """With what a POST has: the requests that are sent on over HTTP are such."""
    kept = handshake.copy()
    kept.popall(turn_state.HEADER, None)  # of one turn, and the connection may see many: each message tells its own
    if beta := kept.get("openai-beta"):
        features = [each.strip() for each in beta.split(",") if not each.strip().startswith("responses_websockets")]
        kept.popall("openai-beta")
        if features:
            kept["openai-beta"] = ",".join(features)
    kept["content-type"], kept["accept"] = "application/json", "text/event-stream"
    return kept
