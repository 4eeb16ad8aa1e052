"""Requests to a model that wait for nothing but the answer: they are served without a task.

An exchange (`proxy.server.exchange`) is a coroutine, and may have to wait anywhere: for a body, an account, a
connection, a slow reader. Most requests wait for one thing only. Those are begun in the turn of the loop in which they
come, and answered in the turn in which their answer is there. It is the same decision, the same plan, the same books;
but nobody waits in between, which is what most of the time went to.

Whatever turns out to need waiting is handed over as far as it has come, to an exchange that goes on with it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Protocol

from proxy.dispatch.inquiry import Inquiry, Refused, Report
from proxy.dispatch.passage import Whole
from proxy.dispatch.pursuit import Pursuit
from proxy.dispatch.track import Trip
from proxy.errors import ProxyError
from proxy.server.answer import Answer
from proxy.server.app import App, Starter
from proxy.server.body import Peek, quick_peek
from proxy.server.books import Note
from proxy.server.ending import CLIENT_GONE, Ended, tell_end
from proxy.server.lane import Lane
from proxy.server.limits import Grant
from proxy.server.terms import Terms, Way, terms_of
from proxy.server.visit import Visit

WAYS_MAX = 64
"""Of one client's head: models that clients make up must not fill the memory."""


class Seat(Protocol):
    """The connection that a ride is for."""

    @property
    def is_plain(self) -> bool:
        """It speaks HTTP/1.1, and stays."""
        ...

    def send(self, data: bytes) -> bool:
        """A whole answer, which `is_plain`; `leave` follows. False: the client is gone."""
        ...

    def arrive(self, answer: Answer) -> bool:
        """The same of any answer."""
        ...

    def leave(self) -> None:
        """The ride's end: another may begin."""
        ...

    def take_over(self, ride: Ride) -> None:
        """The ride's end: an exchange goes on with it."""
        ...


class Express:
    """One for the server."""

    def __init__(self, app: App) -> None:
        self._app = app

    def terms(self, visit: Visit) -> Terms | None:
        """None: it needs an exchange."""
        app = self._app
        return None if app.starter is None else terms_of(visit, app.edition(), app.now())

    def is_good(self, terms: Terms) -> bool:
        """Whether they still hold."""
        return terms.edition is self._app.edition()

    def begin(self, terms: Terms, content: bytes, seat: Seat) -> Ride | None:
        """None: nothing was done, and an exchange has to. Else `look` is to be called when it has got its seat."""
        app = self._app
        starter = app.starter
        if starter is None or app.is_draining or len(content) > terms.bytes_max:
            return None
        peek = quick_peek(content, model=terms.model, is_stream=terms.route.is_stream)
        if peek is None or (peek.names is not None and "effort" in peek.names):
            return None
        ride = Ride(app, starter, terms, seat, content, peek)
        try:
            ride.begin()
        except (ProxyError, Refused, RecursionError):
            pass  # the exchange will say so
        except Exception as error:
            app.log.exception("request.failed", request_id=ride.request_id, exc_info=error)
        return None if ride.is_over else ride


class Ride:
    """One request. `inquiry`, `grant` and `pursuit`: as far as it has come; of the last None: not so far."""

    __slots__ = (
        "_app", "_content", "_peek", "_seat", "_starter", "_trip", "_way", "began", "grant", "inquiry", "is_over",
        "pursuit", "request_id", "terms",
    )  # fmt: skip

    def __init__(self, app: App, starter: Starter, terms: Terms, seat: Seat, content: bytes, peek: Peek) -> None:
        self._app = app
        self._starter = starter
        self._seat = seat
        self._content = content
        self._peek = peek
        self._trip: Trip | None = None
        self._way: Way | None = None
        self.is_over = True
        self.terms = terms
        self.began = time.monotonic()
        self.request_id = terms.request_id or app.new_id()
        self.inquiry: Inquiry | None = None
        self.grant: Grant | None = None
        self.pursuit: Pursuit | None = None

    def begin(self) -> None:
        """It `is_over` as long as nothing was done. Raises what stands against it."""
        app, terms = self._app, self.terms
        client = terms.caller.client
        if client.guard is not None:
            client.guard.check(terms.caller.address, app.now())
        way = self._way = self._found()
        if way is None:
            return
        if not app.limits.are_none(terms.caller):
            self.grant = app.limits.admit(terms.caller, self._asked())
        self._trip = way.track.depart(self._content, self._peek.names or frozenset(), self.look, self._asked)
        self.is_over = False
        app.metrics.in_flight.inc()
        app.rides.add(self)

    def _found(self) -> Way | None:
        ways, key = self.terms.ways, (self._peek.model, self._peek.is_stream)
        way = ways.get(key)
        if way is not None and self._starter.is_current(way.track):
            return way
        track = self._starter.track(self._asked())
        if track is None:
            return None
        if len(ways) >= WAYS_MAX:
            ways.clear()
        way = ways[key] = Way(track, {})
        return way

    def _asked(self) -> Inquiry:
        if self.inquiry is None:
            terms, peek = self.terms, self._peek
            self.inquiry = Inquiry(
                request_id=self.request_id,
                wire=terms.route.wire,
                operation="generate",
                model=peek.model,
                is_stream=peek.is_stream,
                body=self._content,
                names=peek.names,
                headers=terms.headers,
                query=terms.query,
                framing=terms.framing if peek.is_stream else "sse",
                named=terms.named,
                client=terms.caller.client.name,
                reach=terms.caller.client.reach,
                is_strict=terms.is_strict,
            )
        return self.inquiry

    def look(self) -> None:
        """At what has come."""
        if self.is_over:
            return
        try:
            trip = self._trip
            whole = None if trip is None else trip.finish(self.request_id)
            if trip is not None and whole is not None:
                self._trip = None
                self._arrive(trip, whole)
        except Exception as error:
            self._app.log.exception("request.failed", request_id=self.request_id, exc_info=error)
            self._drop()
        if self not in self._app.rides:
            self._seat.leave()
        elif self._trip is None or self._trip.needs_run:
            self.hand_over()

    def _arrive(self, trip: Trip, whole: Whole) -> None:
        app, terms, seat = self._app, self.terms, self._seat
        assert self._way is not None
        lanes = self._way.lanes
        lane = lanes.get(trip.leg)
        if lane is None:
            lane = lanes[trip.leg] = Lane(trip.leg, self._asked(), route=terms.route.label, cors=terms.cors)
        if seat.is_plain and not app.is_draining:
            has_arrived = seat.send(lane.bytes_of(trip, whole, self.request_id, self.grant))
        else:
            answer = lane.answer(trip, whole, self.request_id, self.grant)
            if app.is_draining:
                answer.force_close()
            has_arrived = seat.arrive(answer)
        self._over()
        seconds = time.monotonic() - self.began
        used = lane.used(trip, whole, self.request_id, has_arrived=has_arrived, at=app.now(), seconds=seconds)
        if self.grant is None:
            app.limits.count(terms.caller, used)
        else:
            self.grant.settle(used)
        app.books.note(Note(used, terms.caller.client.name))

    def hand_over(self) -> None:
        """An exchange goes on with it."""
        if self.is_over:
            return
        self._over()
        trip, self._trip = self._trip, None
        inquiry = self._asked()
        if trip is not None:
            with suppress(ProxyError):  # then it is asked anew
                self.pursuit = trip.pursuit(inquiry)
        if self.grant is None:
            self.grant = self._app.limits.admit(self.terms.caller, inquiry)
        self._seat.take_over(self)

    def abandon(self) -> None:
        """The client is gone."""
        if self.is_over:
            return
        self._over()
        self.close()

    def close(self) -> None:
        """Of one that was handed over, and that nobody took: the client is gone."""
        self._drop()
        inquiry, terms = self._asked(), self.terms
        ended = Ended(
            route=terms.route.label,
            status=CLIENT_GONE,
            seconds=time.monotonic() - self.began,
            client=inquiry.client,
            inquiry=inquiry,
            grant=self.grant,
        )
        tell_end(self._app, Report(request_id=self.request_id, model_asked=inquiry.model), ended)

    def _drop(self) -> None:
        trip, self._trip = self._trip, None
        if trip is not None:
            trip.drop(self.request_id)
        pursuit, self.pursuit = self.pursuit, None
        if pursuit is not None:
            pursuit.drop()

    def _over(self) -> None:
        self.is_over = True
        self._app.metrics.in_flight.dec()
        self._app.rides.discard(self)
